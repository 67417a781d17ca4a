"""`rurnet label-queue RUN`: the least certain tiles of a run as a folder to label."""

import csv
import glob
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS
from rasterio.features import shapes
from rasterio.transform import Affine
from rasterio.windows import transform as transform_of

from pipelines.errors import DataError
from pipelines.inputs.naming import LABEL_EXTENSIONS
from pipelines.measurements.certainty import doubt_of
from pipelines.results.levels import open_levels
from pipelines.results.report import Report, SceneEntry
from pipelines.runtime.disk import refusals_named
from tiling.blend import NODATA
from tiling.dicom.names import is_pseudonym
from tiling.disk import appearing
from tiling.errors import TilingError
from tiling.readers.files import open_scene
from tiling.readers.raster import without_georeferencing_warning
from tiling.scenes.scene import FileScene
from tiling.window import Window

IMAGES, DRAFTS, LABELS, LIST = "images", "drafts", "labels", "queue.csv"
"""What a queue holds: pictures to label, what the network found there, a place for the labels that
a person has made of these, and a list of the tiles."""

_LOG = logging.getLogger("rurnet")

_FOREGROUND = 255
"""Of a draft of two classes."""

_STAIRS = 0.75
"""How far the outline of a draft may leave the stairs of its pixels, in pixels."""


@dataclass(frozen=True)
class QueuedTile:
    """A tile to label.

    Attributes:
        name: Of its image, its drafts and its label, without suffix.
        scene: That it is from.
        window: Where it lies there.
        entropy: Of the prediction, in bits: mean over its pixels, 0 (certain) to 1 (a coin).
        labelled: Whether there is a label of its name already.
    """

    name: str
    scene: str
    window: Window
    entropy: float
    labelled: bool


def label_queue(
    run: Path, report: Report, output: Path, tiles: int = 10, side: int = 512
) -> list[QueuedTile]:
    """Writes the least certain tiles of a run into a folder, the least certain first.

    Each is a picture in `images` (with the scene's coordinates, if it has any) and what was found
    there in `drafts`: a PNG of 0 and 255 (with several classes, of their numbers), and for two
    classes with coordinates a GeoPackage of polygons too. `labels` is for what a person makes of
    them; what lies there stays, with its picture and drafts. Drafts that a person changed since
    they were written stay too.

    Args:
        run: Folder of a run of `infer-roads` or `infer-drive`.
        report: Of that run.
        output: Folder of the queue.
        tiles: How many at most; tiles of a scene do not touch each other.
        side: Of a tile in pixels, at most the shorter side of its scene.

    Raises:
        DataError: No predicted scene lies beside the report, or a scene is gone.
        PipelineError: The disk refuses.
    """
    scenes = [one for one in report.scenes if (run / one.name / "probability.tif").is_file()]
    if not scenes:
        raise DataError(
            f"{run}: no predicted scene lies beside its report; give the --output folder of "
            "infer-roads or infer-drive"
        )
    queued = _least_certain(run, scenes, output, tiles, side)
    with refusals_named(output, "choose another --output"):
        for folder in (IMAGES, DRAFTS, LABELS):
            (output / folder).mkdir(parents=True, exist_ok=True)
        for scene in scenes:
            if of_scene := [one for one in queued if one.scene == scene.name]:
                _write_tiles(report, scene, run, of_scene, output)
        with appearing(output / LIST) as partial:
            partial.write_text(_listed(queued), encoding="utf-8")
    return queued


def _least_certain(
    run: Path, scenes: Sequence[SceneEntry], output: Path, tiles: int, side: int
) -> list[QueuedTile]:
    found = []
    for scene in scenes:
        path = run / scene.name / "probability.tif"
        of_scene = min(side, scene.height, scene.width)
        with open_levels(path, "probability") as probability:
            places = doubt_of(probability, tiles, of_scene).places
        for place in places:
            window = _whole(place.window, scene.height, scene.width, of_scene)
            name = f"{scene.name}_r{window.row}_c{window.column}"
            found.append((name, scene.name, window, place.entropy))
    found.sort(key=lambda one: -one[3])
    labelled = {one.stem for one in (output / LABELS).glob("*") if _is_label(one)}
    return [QueuedTile(*one, labelled=one[0] in labelled) for one in found[:tiles]]


def _is_label(path: Path) -> bool:
    return path.suffix.lower() in LABEL_EXTENSIONS


def _whole(window: Window, height: int, width: int, side: int) -> Window:
    """A window at the scene's border moved inward, so that it is of full size."""
    row, column = max(0, min(window.row, height - side)), max(0, min(window.column, width - side))
    return Window(row, column, side, side)


def _write_tiles(
    report: Report, scene: SceneEntry, run: Path, tiles: Sequence[QueuedTile], output: Path
) -> None:
    if is_pseudonym(scene.input):
        raise DataError(
            f"{scene.input}: this is a DICOM photograph, whose file the report does not tell; "
            "predict copies of it as PNG to label tiles of it"
        )
    bands = report.settings.get("bands")
    wanted = None if bands is None else [int(one) for one in bands.split(",")]
    try:
        with (
            open_scene(scene.input, bands=wanted) as image,
            without_georeferencing_warning(),
            rasterio.open(run / scene.name / "mask.tif") as mask,
        ):
            for tile in tiles:
                if tile.labelled and (output / IMAGES / f"{tile.name}.tif").exists():
                    continue  # The label was made for the picture that is there.
                if changed := _changed(output, tile):
                    _LOG.warning(
                        "%s: was changed since it was written, so it stays; save it in %s, or "
                        "remove it to get a new one", changed, output / LABELS,
                    )  # fmt: skip
                    continue
                found = mask.read(1, window=tile.window.as_rasterio())
                _write_image(output / IMAGES, image, tile)
                _write_drafts(output / DRAFTS, image, tile, found, _classes(report))
    except TilingError as error:
        raise DataError(
            f"{scene.name}: cannot be read any more ({error}); run this in the folder in which the "
            "run was started"
        ) from error


def _changed(output: Path, tile: QueuedTile) -> Path | None:
    """A draft of a tile that a person changed after the queue was written."""
    if not (output / LIST).exists():
        return None
    written = (output / LIST).stat().st_mtime_ns  # The list is written last.
    drafts = (output / DRAFTS).glob(f"{glob.escape(tile.name)}.*")
    return next((one for one in sorted(drafts) if one.stat().st_mtime_ns > written), None)


def _classes(report: Report) -> int:
    return 2 if report.model is None else len(report.model.classes)


def _place(image: FileScene, window: Window) -> tuple[CRS | None, Affine]:
    return image.crs, transform_of(window.as_rasterio(), image.transform)


def _write_image(folder: Path, image: FileScene, tile: QueuedTile) -> None:
    pixels, valid = image.read(tile.window)
    crs, transform = _place(image, tile.window)
    placed = {} if crs is None else {"crs": crs, "transform": transform}
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": len(pixels), "dtype": pixels.dtype, "compress": "deflate",
        "height": tile.window.height, "width": tile.window.width, **placed,
    }  # fmt: skip
    with (
        appearing(folder / f"{tile.name}.tif") as partial,
        without_georeferencing_warning(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(partial, "w", **profile) as file,
    ):
        file.write(pixels)
        if not valid.all():
            file.write_mask(valid)


def _write_drafts(
    folder: Path, image: FileScene, tile: QueuedTile, found: NDArray[np.uint8], classes: int
) -> None:
    drawn = np.where(found == NODATA, 0, found).astype(np.uint8)
    if classes == 2:
        drawn[drawn == 1] = _FOREGROUND
    with appearing(folder / f"{tile.name}.png") as partial:
        Image.fromarray(drawn).save(partial, format="PNG")
    crs, transform = _place(image, tile.window)
    if crs is not None and classes == 2:
        _write_polygons(folder / f"{tile.name}.gpkg", drawn, crs, transform)


def _write_polygons(path: Path, drawn: NDArray[np.uint8], crs: CRS, transform: Affine) -> None:
    """The outlines of foreground, simplified: stairs of pixels cannot be edited."""
    # Imported here: they take a quarter of a second.
    import pyogrio
    import shapely

    stairs = [
        shapely.geometry.shape(one)
        for one, value in shapes(drawn, mask=drawn > 0, transform=transform)
        if value
    ]
    tolerance = _STAIRS * abs(transform.determinant) ** 0.5
    outlines = shapely.simplify(np.array(stairs, object), tolerance)
    # In memory: there a full disk cannot leave half a file, and no name lacks its extension.
    file = io.BytesIO()
    pyogrio.raw.write(
        file, shapely.to_wkb(outlines), [], [], driver="GPKG", layer=path.stem, crs=crs.to_wkt(),
        geometry_type="Polygon",
    )  # fmt: skip
    with appearing(path) as partial:
        partial.write_bytes(file.getvalue())


def _listed(queued: Sequence[QueuedTile]) -> str:
    """The tiles as CSV."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["rank", "name", "scene", "row", "column", "height", "width", "entropy",
                   "labelled"])  # fmt: skip
    for rank, one in enumerate(queued, 1):
        window = one.window
        size = window.row, window.column, window.height, window.width
        labelled = "yes" if one.labelled else "no"
        rows.writerow([rank, one.name, one.scene, *size, f"{one.entropy:.4f}", labelled])
    return text.getvalue()
