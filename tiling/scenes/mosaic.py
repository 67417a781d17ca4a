"""Mosaics (VRTs, tile indexes): the files that they are made of, and what none of them covers.

So are sparse GeoTIFFs: their blocks that were never written are a mosaic's gaps.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from tiling.errors import SceneError
from tiling.window import Window

_MOST_EDGES = 2000
"""Edges of sources along an axis that are told apart; more are moved outwards to so many."""

_FEWEST_PLACES, _MOST_PLACES = 32, 256
"""Places along an axis at which a tile index is asked for its files."""

_PLACES_APART = 512
"""Pixels between them; tiles are rarely smaller."""


@dataclass(frozen=True)
class Gap:
    """What no source of a mosaic covers, or what of a GeoTIFF was never written.

    Attributes:
        share: Of the pixels, 0 to 1.
        place: One of these pixels.
        remedy: How to declare them missing.
        cause: Why they are none, for people.
        of_file: Whose pixels the remedy makes missing too, where they are 0.
    """

    share: float
    place: Window
    remedy: str
    cause: str = "is covered by none of its sources"
    of_file: str = "the sources"


@dataclass(frozen=True)
class Mosaic:
    """What a raster is made of.

    Attributes:
        files: Of it and its sources.
        gap: What no source covers; None where there is nothing, or no sources are known.
    """

    files: Sequence[str]
    gap: Gap | None = None


def mosaic_of(dataset: DatasetReader) -> Mosaic:
    """Looks into an open file; one that is no mosaic has its own files and no gap.

    Raises:
        SceneError: A source is missing.
    """
    files = list(dataset.files)
    if dataset.driver == "VRT":
        for source in files:
            # Names with a colon are GDAL's own, or URLs.
            if ":" not in source and not source.startswith("/vsi") and not Path(source).exists():
                raise SceneError(
                    f"{source}: no such file, but {dataset.name} is made of it; bring it back, or "
                    "make the mosaic anew without it"
                )
        return Mosaic(files, _gap_of_vrt(dataset))
    if dataset.driver == "GTI":
        return _of_index(dataset, files)
    return Mosaic(files, _gap_of_blocks(dataset) if dataset.driver == "GTiff" else None)


def vrt_of(dataset: DatasetReader) -> ElementTree.Element:
    """The description of an open VRT, whatever its name is."""
    return ElementTree.fromstring(dataset.tags(ns="xml:VRT")["xml:VRT"])


def _gap_of_blocks(dataset: DatasetReader) -> Gap | None:
    """Looks for blocks of a GeoTIFF that were never written, which GDAL reads as 0."""
    if dataset.nodata is not None or not Path(dataset.name).is_file():
        return None  # Over a network, each look may fetch a part of the file's directory.
    height, width = dataset.block_shapes[0]
    down, across = -(-dataset.height // height), -(-dataset.width // width)
    rows, columns = (_evenly(count, min(count, _MOST_PLACES)) for count in (down, across))
    empty = [
        (row, column)
        for row in rows
        for column in columns
        if dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1) is None
    ]
    if not empty:
        return None
    row, column = empty[len(empty) // 2]
    return Gap(
        len(empty) / (len(rows) * len(columns)),
        Window(row * height, column * width, 1, 1),
        f"rio edit-info --nodata 0 {shlex.quote(dataset.name)}",
        "was never written (a sparse GeoTIFF)",
        "the file",
    )


def _evenly(length: int, count: int) -> list[int]:
    """So many of the numbers from 0 to `length` - 1."""
    places: list[int] = np.linspace(0, length - 1, count).round().astype(int).tolist()
    return places


def _gap_of_vrt(dataset: DatasetReader) -> Gap | None:
    band = vrt_of(dataset).find("VRTRasterBand")
    sources = [] if band is None else [one for one in band if one.tag.endswith("Source")]
    if not sources:
        return None
    rectangles = np.array([_rectangle(one, dataset.width, dataset.height) for one in sources])
    columns, left, right = _cells(rectangles[:, 0], rectangles[:, 2], dataset.width)
    rows, top, bottom = _cells(rectangles[:, 1], rectangles[:, 3], dataset.height)
    covered = np.zeros((len(rows) - 1, len(columns) - 1), bool)
    for first, end, start, stop in zip(top, bottom, left, right, strict=True):
        covered[first:end, start:stop] = True
    pixels = np.where(covered, 0, np.diff(rows)[:, None] * np.diff(columns))
    if not pixels.any():
        return None
    row, column = np.unravel_index(pixels.argmax(), pixels.shape)
    middle = (rows[row] + rows[row + 1]) // 2, (columns[column] + columns[column + 1]) // 2
    share = float(pixels.sum() / (dataset.width * dataset.height))
    return Gap(
        share, Window(int(middle[0]), int(middle[1]), 1, 1),
        f"rio edit-info --nodata 0 {shlex.quote(dataset.name)}",
    )  # fmt: skip


def _rectangle(
    source: ElementTree.Element, width: int, height: int
) -> tuple[float, float, float, float]:
    """The left, top, right and bottom of a source."""
    where = source.find("DstRect")
    if where is None:
        return 0, 0, width, height
    left, top = float(where.get("xOff", 0)), float(where.get("yOff", 0))
    return (
        left, top, left + float(where.get("xSize", width)), top + float(where.get("ySize", height)),
    )  # fmt: skip


def _cells(
    start: NDArray[np.float64], stop: NDArray[np.float64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cuts an axis at the edges of all sources.

    Returns:
        The edges in pixels, from 0 to `length`, and the numbers of those at which each source
        starts and stops.
    """
    # A pixel that is covered in part counts as covered.
    first, last = np.floor(start + 0.01), np.ceil(stop - 0.01)
    edges = np.unique(np.concatenate([first, last]))
    if len(edges) > _MOST_EDGES:
        step = ceil(length / _MOST_EDGES)
        first, last = first // step * step, -(-last // step) * step
    first, last = (edge.clip(0, length).astype(np.int64) for edge in (first, last))
    edges = np.unique(np.concatenate([first, last, [0, length]]))
    return edges, np.searchsorted(edges, first), np.searchsorted(edges, last)


def _of_index(dataset: DatasetReader, files: Sequence[str]) -> Mosaic:
    """Asks a tile index for its files, place by place: GDAL lists none."""
    rows, columns = (
        _evenly(length, min(length, int(number)))
        for length in (dataset.height, dataset.width)
        for number in [np.clip(length // _PLACES_APART, _FEWEST_PLACES, _MOST_PLACES)]
    )
    tiles: dict[str, None] = {}
    empty = []
    for row in rows:
        for column in columns:
            item = f"Pixel_{column}_{row}"
            found = dataset.get_tag_item(item, "LocationInfo", bidx=1)
            here = [one.text or "" for one in ElementTree.fromstring(found or "<none/>")]
            tiles |= dict.fromkeys(here)
            if not here:
                empty.append((row, column))
    gap = None
    if empty:
        gap = Gap(
            len(empty) / (len(rows) * len(columns)), Window(*empty[len(empty) // 2], 1, 1),
            "give a .gti file of the index, with <NoDataValue>0</NoDataValue> in it",
        )  # fmt: skip
    return Mosaic([*files, *tiles], gap)
