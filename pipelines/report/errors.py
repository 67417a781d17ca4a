"""`errors.gpkg`: where predictions and labels disagree, to click through in a GIS."""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from pipelines.report.files.styles import add_styles, style_of_errors
from pipelines.results.outcome import SceneErrors, SceneOutcome
from tiling.disk import appearing

_LAYER = "errors"

_FIELDS = ("rank", "kind", "scene", "pixels", "area_m2")


def write_errors(folder: Path, outcomes: Sequence[SceneOutcome]) -> None:
    """Writes the regions of all scenes that have coordinates, the largest first.

    Where scenes differ in their CRS there is a file for each: `errors.gpkg`, `errors-2.gpkg`, ...
    Files of an earlier run are removed.

    Raises:
        OSError: The disk refuses.
    """
    by_crs = defaultdict(list)
    for one in outcomes:
        if one.scores is not None and one.scores.errors is not None:
            by_crs[one.scores.errors.crs].append((one, one.scores.errors))
    for old in folder.glob("errors*.gpkg"):
        old.unlink()
    for number, (crs, scenes) in enumerate(by_crs.items(), start=1):
        name = "errors.gpkg" if number == 1 else f"errors-{number}.gpkg"
        with appearing(folder / name) as partial:
            partial.write_bytes(_geopackage(crs, scenes))


def _geopackage(crs: str, scenes: Sequence[tuple[SceneOutcome, SceneErrors]]) -> bytes:
    rows = [
        (region, outcome.name, errors.placed(region), errors.square_metres(region))
        for outcome, errors in scenes
        for region in errors.regions
    ]
    rows.sort(key=lambda row: -row[0].pixels)
    columns: list[NDArray[Any]] = [
        np.arange(1, len(rows) + 1, dtype=np.int32),
        np.array([row[0].kind for row in rows], dtype=object),
        np.array([row[1] for row in rows], dtype=object),
        np.array([row[0].pixels for row in rows], dtype=np.int64),
        np.array([np.nan if row[3] is None else row[3] for row in rows], dtype=np.float64),
    ]
    import pyogrio.raw  # Here: it brings a GDAL of its own, with 60 MB of memory.

    # In memory: there a full disk cannot leave half a file, and no name lacks its extension.
    file = BytesIO()
    pyogrio.raw.write(
        file,
        np.array([shapely.to_wkb(row[2]) for row in rows], dtype=object),
        columns,
        _FIELDS,
        layer=_LAYER,
        driver="GPKG",
        geometry_type="MultiPolygon",
        crs=crs,
    )
    with closing(sqlite3.connect(":memory:")) as geopackage:
        geopackage.deserialize(file.getvalue())
        add_styles(geopackage, {_LAYER: style_of_errors()})
        return geopackage.serialize()
