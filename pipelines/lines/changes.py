"""`changes.gpkg`: the lines that are new since an earlier result, and those that are gone."""

import hashlib
import json
import sqlite3
import warnings
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.warp
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from pipelines.config.lines import LineSettings
from pipelines.lines.files import STEM, unfinished
from pipelines.report.files.styles import add_styles, style_of_changed_lines
from tiling.blend import NODATA
from tiling.disk import refusals_named
from tiling.masks.polygons import polygons_of
from tiling.readers.raster import without_georeferencing_warning
from tiling.scenes.ground import PixelSize
from tiling.window import Window

CHANGES = "changes.gpkg"

_NOTE = "RURNET_CHANGES"

_SUFFIXES = (".gpkg", ".fgb", ".parquet")

_DIGITS = 3


def lines_in(folder: Path) -> Path | None:
    """The file of lines of a result; None where it has none that can be compared."""
    paths = (folder / f"{STEM}{suffix}" for suffix in _SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def changed_lines(
    before: Path,
    now: Path,
    change: Path,
    transform: Affine,
    pixel: PixelSize | None,
    settings: LineSettings,
    folder: Path,
) -> Path:
    """Writes the lines that were added and removed, unless they are there already.

    A piece of a line counts that lies further from all lines of the other file than the shortest
    spur that is kept (`least_spur`), if it is at least as long as that. Where there was no pixel at
    one of the two times, nothing is known to have changed.

    Args:
        before: The earlier lines.
        now: The new ones.
        change: `change.tif` of the scene, which is nodata where a pixel is missing.
        transform: Of the scene, from pixels to coordinates.
        pixel: The size of a pixel; None where nothing tells it: then lengths are in pixels.
        settings: What lines were made with.
        folder: Where the file goes.

    Returns:
        A GeoPackage with the layers "added" and "removed".

    Raises:
        SinkError: The disk refuses.
    """
    path = folder / CHANGES
    size = PixelSize(1, 1) if pixel is None else pixel
    least = max(settings.least_spur, size.side)
    digests = {"before": _digest(before), "now": _digest(now), "change": _digest(change)}
    note = {**digests, "least": least}
    if _noted(path) == note:
        return path
    crs, new = _read(now)
    old_crs, old = _read(before)
    if crs is not None and old_crs is not None and crs != old_crs:
        old = _moved(old, old_crs, crs)
    # Metres from the scene's corner, right and down: degrees are not as long in all directions.
    metres = Affine.scale(size.width, size.height)
    ground = metres @ ~(Affine.scale(1, -1) if transform.is_identity else transform)
    old, new = (_placed(lines, ground) for lines in (old, new))
    known = _placed(_known(change), metres)
    layers = {
        "added": _beyond(new, old, known, least),
        "removed": _beyond(old, new, known, least),
    }
    unit = "px" if pixel is None else "m"
    with refusals_named(path), unfinished(folder) as inside:
        partial = inside / CHANGES
        for name, lines in layers.items():
            columns = {f"length_{unit}": np.round(_lengths(lines), _DIGITS)}
            _write(_placed(lines, ~ground), columns, crs, partial, name, note)
        with closing(sqlite3.connect(partial)) as geopackage:
            add_styles(geopackage, {name: style_of_changed_lines(name) for name in layers})
        partial.replace(path)
    return path


def _known(change: Path) -> NDArray[Any]:
    """Where there was a pixel at both times: polygons in columns and rows."""
    with without_georeferencing_warning(), rasterio.open(change) as file:

        def there(window: Window) -> NDArray[np.bool_]:
            values: NDArray[np.bool_] = file.read(1, window=window.as_rasterio()) != NODATA
            return values

        return polygons_of(file.height, file.width, there)


def _beyond(
    lines: NDArray[Any], others: NDArray[Any], known: NDArray[Any], least: float
) -> NDArray[Any]:
    """The pieces of lines that lie further than `least` from all others, the longest first.

    They are cut off where nothing is known.
    """
    import shapely

    tree, places = shapely.STRtree(others), shapely.STRtree(known)
    pieces = []
    for line in lines:
        near = others[tree.query(line, predicate="dwithin", distance=least)]
        if len(near):
            line = shapely.difference(line, shapely.union_all(shapely.buffer(near, least)))
        # One place after the other: a road that crosses two is not one piece there.
        inside = shapely.intersection(line, known[places.query(line, predicate="intersects")])
        pieces += [one for one in shapely.get_parts(inside) if one.length >= least]
    order = np.argsort([-one.length for one in pieces], kind="stable")
    found = np.empty(len(pieces), object)
    found[:] = [pieces[index] for index in order]
    return found


def _lengths(lines: NDArray[Any]) -> NDArray[np.float64]:
    import shapely

    lengths: NDArray[np.float64] = shapely.length(lines)
    return lengths


def _placed(lines: NDArray[Any], transform: Affine) -> NDArray[Any]:
    """Lines with their coordinates transformed."""
    import shapely

    t = transform
    moved: NDArray[Any] = shapely.transform(
        lines, lambda xy: np.column_stack(
            [t.a * xy[:, 0] + t.b * xy[:, 1] + t.c, t.d * xy[:, 0] + t.e * xy[:, 1] + t.f]
        )
    )  # fmt: skip
    return moved


def _moved(lines: NDArray[Any], source: CRS, target: CRS) -> NDArray[Any]:
    """Lines in another coordinate reference system."""
    import shapely

    moved: NDArray[Any] = shapely.transform(
        lines, lambda xy: np.column_stack(rasterio.warp.transform(source, target, *xy.T))
    )
    return moved


def _read(path: Path) -> tuple[CRS | None, NDArray[Any]]:
    import shapely

    if path.suffix == ".parquet":
        from pyarrow import parquet

        table = parquet.read_table(path, columns=["geometry"])
        told = json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]["crs"]
        crs = None if told is None else CRS.from_user_input(json.dumps(told))
        return crs, shapely.from_wkb(table["geometry"].to_numpy())
    import pyogrio

    # Otherwise reading leaves a file `.aux.xml` beside a GeoPackage, in the earlier result too.
    pyogrio.set_gdal_config_options({"GDAL_PAM_ENABLED": "NO"})
    layer = STEM if path.suffix == ".gpkg" else None
    about, _, geometries, _ = pyogrio.raw.read(path, layer=layer, columns=[])
    crs = None if about["crs"] is None else CRS.from_user_input(about["crs"])
    return crs, shapely.from_wkb(geometries)


def _write(
    lines: NDArray[Any],
    columns: Mapping[str, NDArray[Any]],
    crs: CRS | None,
    path: Path,
    layer: str,
    note: Mapping[str, Any],
) -> None:
    import pyogrio
    import shapely

    with warnings.catch_warnings():
        # Of a scene without a CRS, which is as it should be.
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.raw.write(
            path, shapely.to_wkb(lines), list(columns.values()), list(columns), layer=layer,
            driver="GPKG", geometry_type="LineString", append=path.exists(),
            crs=None if crs is None else crs.to_wkt(),
            dataset_metadata={_NOTE: json.dumps(note)},
        )  # fmt: skip


def _noted(path: Path) -> Any:
    """What a file says it was made from; None where there is none that says so."""
    import pyogrio

    if not path.is_file():
        return None
    try:
        return json.loads(pyogrio.read_info(path, layer="added")["dataset_metadata"][_NOTE])
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
