"""Writes layers as GeoPackage, FlatGeobuf, GeoParquet or PMTiles, so that they appear whole."""

import json
import shutil
import sqlite3
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from pipelines.errors import PipelineError
from pipelines.lines.features import Layer
from pipelines.report.files.styles import add_styles, style_of
from tiling.disk import refusals_named

NOTE = "RURNET_LINES"
"""Key of the metadata that says what a file was made from."""

STEM = "lines"
"""Of the file, or of the file with the lines."""


def file_names(format: str) -> list[str]:
    """The files of a format, the one with the note last."""
    if format == "gpkg":
        return [f"{STEM}.gpkg"]
    suffix = _SUFFIXES[format]
    return [f"polygons{suffix}", f"nodes{suffix}", f"{STEM}{suffix}"]


def noted(path: Path) -> dict[str, Any] | None:
    """What a file of lines says it was made from; None where there is none that says so."""
    import pyogrio

    if not path.is_file():
        return None
    try:
        if path.suffix == _SUFFIXES["geoparquet"]:
            text = _parquet().read_schema(path).metadata[NOTE.encode()].decode()
        elif path.suffix == ".gpkg":
            text = pyogrio.read_info(path, layer=STEM)["dataset_metadata"][NOTE]
        else:
            text = path.with_name(f"{STEM}.json").read_text(encoding="utf-8")
        note: dict[str, Any] = json.loads(text)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        # Cut off, or of another tool: it is written anew. pyogrio's errors are RuntimeErrors.
        return None
    return note


def write(
    layers: Sequence[Layer], crs: CRS | None, folder: Path, format: str, note: Mapping[str, Any]
) -> dict[str, Path]:
    """Writes layers; the files appear when all are whole.

    Args:
        layers: Of lines, nodes and polygons.
        crs: Of their coordinates; None where there is none.
        folder: Where the files go.
        format: A key of `FORMATS`.
        note: What the file says it was made from.

    Returns:
        The files by what they hold: "lines", ... There are no PMTiles of a layer without features.

    Raises:
        SinkError: The disk refuses.
        PipelineError: GeoParquet, but pyarrow is not installed; or PMTiles, but no coordinates.
    """
    with refusals_named(folder), unfinished(folder) as inside:
        FORMATS[format](layers, crs, inside, json.dumps(note))
        names = sorted(path.name for path in inside.iterdir())
        # The one that says what was made is named last.
        last = file_names(format)[-1]
        for name in sorted(names, key=lambda name: (name == last, name)):
            (inside / name).replace(folder / name)
        made = [name for name in reversed(file_names(format)) if name in names]
        for name in set(file_names(format)) - set(made):
            (folder / name).unlink(missing_ok=True)  # Of an earlier run.
    return {Path(name).stem: folder / name for name in made}


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A hidden folder for files that are not whole yet."""
    inside = folder / f".{STEM}.{uuid.uuid4().hex}"
    for left in folder.glob(f".{STEM}.*"):
        shutil.rmtree(left, ignore_errors=True)  # A killed run was at it.
    inside.mkdir()
    try:
        yield inside
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def _geopackage(layers: Sequence[Layer], crs: CRS | None, folder: Path, note: str) -> None:
    path = folder / f"{STEM}.gpkg"
    for layer in layers:
        # The first makes the file.
        _write_layer(layer, crs, path, "GPKG", append=path.exists(), dataset_metadata={NOTE: note})
    with closing(sqlite3.connect(path)) as geopackage:
        add_styles(geopackage, {layer.name: style_of(layer.name) for layer in layers})


def _flatgeobuf(layers: Sequence[Layer], crs: CRS | None, folder: Path, note: str) -> None:
    for layer in layers:
        path = folder / f"{layer.name}{_SUFFIXES['flatgeobuf']}"
        _write_layer(layer, crs, path, "FlatGeobuf")
        path.with_suffix(".qml").write_text(style_of(layer.name), encoding="utf-8")
    (folder / f"{STEM}.json").write_text(note + "\n", encoding="utf-8")


def _geoparquet(layers: Sequence[Layer], crs: CRS | None, folder: Path, note: str) -> None:
    import shapely

    parquet = _parquet()
    import pyarrow

    for layer in layers:
        about = {
            "encoding": "WKB",
            "geometry_types": [layer.kind],
            "crs": None if crs is None else crs.to_dict(projjson=True),
        }
        if len(layer.geometries):
            about["bbox"] = shapely.total_bounds(layer.geometries).tolist()
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": about}}
        table = pyarrow.table(
            {**layer.columns, "geometry": pyarrow.array(shapely.to_wkb(layer.geometries), "binary")}
        )
        table = table.replace_schema_metadata({"geo": json.dumps(geo), NOTE: note})
        parquet.write_table(table, folder / f"{layer.name}{_SUFFIXES['geoparquet']}")
        (folder / f"{layer.name}.qml").write_text(style_of(layer.name), encoding="utf-8")


def _pmtiles(layers: Sequence[Layer], crs: CRS | None, folder: Path, note: str) -> None:
    if crs is None:
        raise PipelineError(
            f"{folder.parent}: PMTiles are tiles of the Earth, but the scene has no coordinates; "
            "give --format gpkg"
        )
    for layer in layers:
        if not len(layer.geometries):
            continue  # The driver knows no empty archive.
        path = folder / f"{layer.name}{_SUFFIXES['pmtiles']}"
        # The driver brings the coordinates to Web Mercator.
        _write_layer(layer, crs, path, "PMTiles", dataset_options=_TILES | {"NAME": layer.name})
    (folder / f"{STEM}.json").write_text(note + "\n", encoding="utf-8")


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise PipelineError(
            "GeoParquet needs pyarrow: pip install 'rurnet[geoparquet]', or give --format gpkg"
        ) from error
    return pyarrow.parquet


def _write_layer(layer: Layer, crs: CRS | None, path: Path, driver: str, **options: Any) -> None:
    import pyogrio
    import shapely

    names = list(layer.columns)
    data, masks = zip(*(_column(layer.columns[name]) for name in names), strict=True)
    with warnings.catch_warnings():
        # Of a scene without a CRS, which is as it should be.
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.raw.write(
            path, shapely.to_wkb(layer.geometries), list(data), names, list(masks),
            layer=layer.name, driver=driver, geometry_type=layer.kind,
            crs=None if crs is None else crs.to_wkt(), **options,
        )  # fmt: skip


def _column(values: Sequence[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """A column's values, and where it has none; floats have nan there."""
    missing = np.array([value is None for value in values], bool)
    some = next((value for value in values if value is not None), None)
    if isinstance(some, str):
        return np.array(values, object), None
    if isinstance(some, int):
        return np.array([value or 0 for value in values], np.int32), missing
    return np.array([np.nan if value is None else value for value in values], np.float64), None


_SUFFIXES = {
    "gpkg": ".gpkg", "flatgeobuf": ".fgb", "geoparquet": ".parquet", "pmtiles": ".pmtiles",
}  # fmt: skip

_TILES = {
    "MINZOOM": "6",
    # There a tile's unit is 0.3 m at the equator; maps enlarge tiles beyond.
    "MAXZOOM": "15",
    # Half a pixel of a map, in units of a tile; the largest tiles have the lines as they are.
    "SIMPLIFICATION": "4",
    "SIMPLIFICATION_MAX_ZOOM": "0",
}
"""Options of the PMTiles driver."""

FORMATS: Mapping[str, Callable[[Sequence[Layer], CRS | None, Path, str], None]] = {
    "gpkg": _geopackage,
    "flatgeobuf": _flatgeobuf,
    "geoparquet": _geoparquet,
    "pmtiles": _pmtiles,
}
"""Every format, and what writes it."""
