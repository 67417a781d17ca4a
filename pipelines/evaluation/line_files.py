"""Lines of files, and of label rasters, in metres around a scene's middle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import array_bounds
from rasterio.warp import transform

from pipelines.errors import DataError, LabelError
from pipelines.results.levels import open_levels
from pipelines.scores.line_graphs import Points
from tiling.blend import NODATA
from tiling.lines.cleaning import merged, pruned
from tiling.lines.smoothing import line_of
from tiling.lines.walk import walked
from tiling.scenes.ground import PixelSize, pixel_size
from tiling.scenes.vector import LINES, read_roads
from tiling.window import Window

_SPUR = 10.0
"""Shorter dead ends of a label raster's middle lines are corners of its roads, in metres."""

_LINES = (1, 2, 5)
"""Numbers that shapely gives to lines, rings and multiple lines."""


@dataclass(frozen=True)
class Frame:
    """Where lines of a scene are measured.

    Attributes:
        crs: Metres on the ground around the scene's middle; None where coordinates are pixels.
        pixel: Metres of a pixel where coordinates are pixels; 1 where none are known.
    """

    crs: CRS | None
    pixel: float = 1.0

    def placed(self, points: Points, crs: CRS | None) -> Points:
        """Coordinates of a CRS [n, 2] in the frame."""
        if self.crs is None or crs is None:
            return points * self.pixel
        x, y = transform(crs, self.crs, *points.T)
        return np.column_stack([x, y])


@dataclass(frozen=True)
class LineFile:
    """Lines that were read.

    Attributes:
        lines: Their corners in the frame, each [n, 2].
        bounds: Left, bottom, right and top of where there may be lines; None where it is not known.
    """

    lines: Sequence[Points]
    bounds: tuple[float, float, float, float] | None


def frame_of(path: Path, pixel_told: float | None) -> Frame:
    """The frame around the lines of a file.

    Args:
        path: The file.
        pixel_told: Side of a pixel in metres, for files without a CRS.

    Raises:
        DataError: The file cannot be read.
    """
    shapes, crs = _shapes(path)
    if crs is None:
        return Frame(None, pixel_told or 1.0)
    import shapely

    bounds = shapely.total_bounds(shapes)
    if not np.isfinite(bounds).all():
        bounds = np.zeros(4)
    middle = [(bounds[0] + bounds[2]) / 2], [(bounds[1] + bounds[3]) / 2]
    try:
        (longitude,), (latitude,) = transform(crs, CRS.from_epsg(4326), *middle)
    except (RasterioError, CPLE_BaseError) as error:
        raise DataError(f"{path}: its coordinates lie nowhere on the earth; check its CRS") from (
            error
        )
    return Frame(
        CRS.from_proj4(
            f"+proj=aeqd +lat_0={latitude:.9f} +lon_0={longitude:.9f} +datum=WGS84 +units=m"
        )
    )


def lines_in(path: Path, frame: Frame) -> LineFile:
    """The lines of a file of vectors.

    Raises:
        DataError: It cannot be read, or has a CRS where the frame has none, or the reverse.
    """
    import shapely

    shapes, crs = _shapes(path)
    _check_placed(str(path), crs, frame)
    placed = [frame.placed(shapely.get_coordinates(shape), crs) for shape in shapes]
    return LineFile(placed, None)


def lines_of_raster(path: Path, frame: Frame, pixel_told: float | None) -> LineFile:
    """The middle lines of a label raster's foreground; no spurs, and crossings are one node.

    Raises:
        DataError: It has a CRS where the frame has none, or the reverse.
        PredictionError: It is no mask.
        SceneError: It cannot be read.
    """
    with open_levels(path, "mask") as raster:
        crs = None if raster.transform.is_identity else raster.crs
        _check_placed(str(path), crs, frame)
        pixel = pixel_size(raster, pixel_told) or PixelSize(1.0, 1.0)

        def read(window: Window) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
            levels = raster.read(window)
            mask = ((levels != 0) & (levels != NODATA)).any(axis=0)
            return mask, np.zeros((1, *mask.shape), np.uint8)

        spur = _SPUR / pixel.side
        network = pruned(walked(raster.height, raster.width, read), spur)
        network = pruned(merged(network, 2 * spur), spur)
        place = raster.transform
        found = []
        for edge in network.edges.values():
            points = line_of(network, edge, (pixel.height, pixel.width), max(1.0, pixel.side))
            row, column = points.T
            if crs is None:
                found.append(np.column_stack([column, -row]) * frame.pixel)
                continue
            x = place.a * column + place.b * row + place.c
            y = place.d * column + place.e * row + place.f
            found.append(frame.placed(np.column_stack([x, y]), crs))
        bounds = array_bounds(raster.height, raster.width, place)
        if crs is None:
            bounds = (0.0, -float(raster.height), float(raster.width), 0.0)
    corners = np.array([[x, y] for x in bounds[::2] for y in bounds[1::2]])
    corners = frame.placed(corners, crs)
    return LineFile(found, (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()))


def within(lines: Sequence[Points], bounds: tuple[float, float, float, float]) -> list[Points]:
    """Lines as far as they are within bounds."""
    import shapely

    left, bottom, right, top = bounds
    found: list[Points] = []
    for points in lines:
        inside = (points >= (left, bottom)) & (points <= (right, top))
        if inside.all():
            found.append(points)  # Untouched: corners in common stay in common.
            continue
        cut = shapely.clip_by_rect(shapely.linestrings(points), left, bottom, right, top)
        parts = [part for part in shapely.get_parts(cut) if shapely.get_type_id(part) in _LINES]
        found += [shapely.get_coordinates(part) for part in parts]
    return found


def _check_placed(name: str, crs: CRS | None, frame: Frame) -> None:
    if (crs is None) != (frame.crs is None):
        has, other = ("no", "have one") if crs is None else ("a", "have none")
        raise LabelError(
            f"{name}: has {has} coordinate reference system, but the lines that it belongs to "
            f"{other}; give both the same"
        )


def _shapes(path: Path) -> tuple[NDArray[Any], CRS | None]:
    """The single lines of a file, roads where it tells roads apart, and its CRS."""
    import pyogrio
    import shapely

    try:
        layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
        layer = LINES if LINES in layers else layers[0]
        if len(layers) > 1 and layer != LINES:
            raise DataError(
                f"{path}: {len(layers)} layers ({', '.join(map(str, layers[:4]))}), none of which "
                f"is called {LINES}; save the one with the roads as a file of its own"
            )
        found, crs = read_roads(str(path), layer)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, IndexError) as error:
        raise DataError(
            f"{path}: no vectors that can be read; give a GeoPackage, GeoJSON, FlatGeobuf or "
            "shapefile"
        ) from error
    single = shapely.get_parts(found)
    single = single[np.isin(shapely.get_type_id(single), _LINES)]
    return single, None if crs is None else CRS.from_user_input(crs)
