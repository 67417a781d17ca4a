"""The STAC item of a scene: where it lies, what it was made from, and its files."""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError

from pipelines.catalogue.footprint import footprint_of
from pipelines.errors import DataError
from pipelines.results.layout import STEP
from pipelines.results.report import Report, SceneEntry
from tiling.readers.raster import without_georeferencing_warning
from tiling.scenes.names import kind_of

if TYPE_CHECKING:
    import pystac

ITEM = "item.json"
"""Name of an item, beside the files of its scene."""

_PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"

_CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"

_PROCESSING = "https://stac-extensions.github.io/processing/v1.1.0/schema.json"

_RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"

_COG = "image/tiff; application=geotiff; profile=cloud-optimized"

TYPES = {
    ".tif": _COG,
    ".png": "image/png",
    ".gpkg": "application/geopackage+sqlite3",
    ".fgb": "application/vnd.flatgeobuf",
    ".parquet": "application/vnd.apache.parquet",
    ".pmtiles": "application/vnd.pmtiles",
    ".json": "application/json",
}
"""Media types of files by their endings."""

TITLES = {
    "probability": "Probability of each foreground class",
    "mask": "Class of each pixel",
    "png": "Mask as a picture",
    "lines": "Lines",
    "nodes": "Ends and junctions of the lines",
    "polygons": "Regions of the mask",
    "change": "What appeared and vanished since an earlier result",
    "changes": "Lines that were added and removed since an earlier result",
    "steps": "Recurrent steps of each pixel",
    "uncertainty": "How sure each pixel is",
    "manifest": "What the rasters were made from",
}
"""Of files, by what they hold."""


def item_of(
    report: Report,
    scene: SceneEntry,
    folder: Path,
    collection: str,
    model: str | None,
    taken: datetime | None,
) -> "pystac.Item":
    """The item of a scene. Its links and the paths of its assets are relative to `folder`.

    Args:
        report: Of the run.
        scene: What the report says of the scene.
        folder: Of the scene's files.
        collection: Link to the collection.
        model: Link to the item of the weights; None where there is none.
        taken: When the scene was taken, where nothing else tells it.

    Raises:
        DataError: Its raster is gone, or cannot be read.
    """
    import pystac

    assets = dict(_assets(scene, folder, report.model.classes if report.model else ()))
    raster = _raster(scene, folder)
    geometry = bbox = None
    properties: dict[str, Any] = {}
    if raster is not None:
        geometry, bbox, properties = _place(raster)
    created = datetime.fromisoformat(report.created)
    item = pystac.Item(
        scene.name, geometry, bbox, _taken(scene) or taken or created,
        {
            **properties,
            "created": report.created,
            "processing:software": {"RurNet": report.version},
            "processing:lineage": _lineage(report),
            "rurnet:input": scene.input,
            **_numbers(scene),
        },
        stac_extensions=[_PROCESSING],
        assets=assets,
    )  # fmt: skip
    if properties:
        item.stac_extensions.append(_PROJECTION)
    if any("bands" in each.extra_fields for each in assets.values()):
        item.stac_extensions.append(_RASTER)
    if any("classification:classes" in each.extra_fields for each in assets.values()):
        item.stac_extensions.append(_CLASSIFICATION)
    for rel in ("root", "parent", "collection"):
        item.add_link(pystac.Link(rel, collection, "application/json"))
    if model is not None:
        item.add_link(pystac.Link("derived_from", model, "application/geo+json", "The weights"))
    if scene.stac_item is not None:
        origin = scene.stac_item
        href = relative_to(origin.href, folder) if kind_of(origin.href) == "path" else origin.href
        item.add_link(pystac.Link("derived_from", href, "application/geo+json", origin.id))
    return item


def relative_to(path: str | Path, folder: Path) -> str:
    """A path as a link from a folder on."""
    whole = Path(path).resolve()
    try:
        relative = Path(os.path.relpath(whole, folder.resolve())).as_posix()
    except ValueError:  # On another drive.
        return whole.as_uri()
    return relative if relative.startswith(".") else f"./{relative}"


def _raster(scene: SceneEntry, folder: Path) -> Path | None:
    """A raster that lies where the scene does: in its folder, or where lines were made from it."""
    named = [Path(path) for path in scene.files.values() if path.endswith(".tif")]
    places = [folder / path.name for path in named] + named
    return next((path for path in places if path.is_file()), None)


def _taken(scene: SceneEntry) -> datetime | None:
    """When a scene was taken, as the STAC item tells that it comes from."""
    told = scene.stac_item and scene.stac_item.taken
    return datetime.fromisoformat(told) if told else None


def _place(raster: Path) -> tuple[dict[str, Any] | None, list[float] | None, dict[str, Any]]:
    """Geometry, bounding box, and the properties of the projection extension."""
    try:
        with without_georeferencing_warning(), rasterio.open(raster) as file:
            crs, transform, height, width = file.crs, file.transform, file.height, file.width
            bounds = file.bounds
    except RasterioError as error:
        raise DataError(
            f"{raster}: cannot be read ({error}); run the command in the report's made_with again"
        ) from error
    found = footprint_of(crs, transform, height, width)
    if found is None:
        return None, None, {}
    properties = {
        **_named(crs),
        "proj:shape": [height, width],
        "proj:transform": list(transform)[:6],
        "proj:bbox": [
            min(bounds.left, bounds.right), min(bounds.bottom, bounds.top),
            max(bounds.left, bounds.right), max(bounds.bottom, bounds.top),
        ],
    }  # fmt: skip
    return found.geometry, list(found.bbox), properties


def _named(crs: CRS) -> dict[str, Any]:
    """A CRS by its code; where it has none, in full."""
    code = crs.to_epsg()
    if code is not None and CRS.from_epsg(code) == crs:
        return {"proj:code": f"EPSG:{code}"}
    try:
        return {"proj:code": None, "proj:wkt2": crs.to_wkt(version="WKT2_2019")}
    except CRSError:
        return {"proj:code": None, "proj:wkt2": crs.to_wkt()}


def _lineage(report: Report) -> str:
    if report.model is None:
        return "Made of rasters that existed, by RurNet."
    used = report.model
    return (
        f"Predicted by the network {used.network} with the weights {used.name} "
        f"(SHA-256 {used.weights_sha256}...) in {used.steps} recurrent steps."
    )


def _numbers(scene: SceneEntry) -> dict[str, Any]:
    """What is known of the scene in numbers."""
    told: dict[str, Any] = {}
    if scene.pixel_size is not None:
        told["gsd"] = round(sum(scene.pixel_size) / 2, 6)
    if scene.threshold is not None:
        told["rurnet:threshold"] = scene.threshold
    if scene.lines is not None and scene.lines.kilometres is not None:
        told["rurnet:lines_km"] = scene.lines.kilometres
    return told


def _assets(
    scene: SceneEntry, folder: Path, classes: Sequence[str]
) -> Iterator[tuple[str, "pystac.Asset"]]:
    """The files that lie in the scene's own folder."""
    files = {**scene.files, "manifest": "manifest.json"}
    for what, path in files.items():
        name = Path(path).name
        if not (folder / name).is_file():
            continue
        yield what, _asset(what, folder / name, classes)


def _asset(what: str, path: Path, classes: Sequence[str]) -> "pystac.Asset":
    import pystac

    title = TITLES.get(what)
    if what.startswith(STEP):
        title = f"Probability after recurrent step {what.removeprefix(STEP)}"
    roles = {"png": ["visual"], "manifest": ["metadata"]}.get(what, ["data"])
    extra: dict[str, Any] = {}
    if path.suffix == ".tif":
        extra["bands"] = _bands(path)
    if what == "mask" and classes:
        extra["classification:classes"] = classes_of(classes)
    return pystac.Asset(
        f"./{path.name}", title, media_type=TYPES.get(path.suffix), roles=roles, extra_fields=extra
    )


def _bands(path: Path) -> list[dict[str, Any]]:
    """The bands of a raster, as STAC 1.1 and the raster extension describe them."""
    with without_georeferencing_warning(), rasterio.open(path) as file:
        bands = []
        for index in range(file.count):
            nodata = file.nodatavals[index]
            band: dict[str, Any] = {
                "name": file.descriptions[index] or f"band {index + 1}",
                "data_type": file.dtypes[index],
                "raster:scale": file.scales[index],
                "raster:offset": file.offsets[index],
                "raster:sampling": "area",
            }
            if nodata is not None:
                band["nodata"] = "nan" if nodata != nodata else nodata
            bands.append(band)
        return bands


def classes_of(names: Sequence[str]) -> list[dict[str, Any]]:
    """Classes as the classification extension has them, from their names, background first."""
    return [
        {"value": value, "name": re.sub(r"[^\w-]", "_", name, flags=re.ASCII), "title": name}
        for value, name in enumerate(names)
    ]
