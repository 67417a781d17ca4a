"""Rasters of roads, for tests of lines."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine

from tests.tiling.lines.drawings import wild

NORTH_UP = Affine(2.0, 0, 200_000.0, 0, -2.0, 900_000.0)
"""Two metres per pixel."""


@dataclass(frozen=True)
class Features:
    """A layer that was read back: its geometries and its columns by name."""

    crs: str
    geometries: np.ndarray
    columns: dict[str, list]


def read_layer(path: Path, layer: str) -> Features:
    about, _, shapes, values = pyogrio.raw.read(path, layer=layer)
    columns = {name: list(of) for name, of in zip(about["fields"], values, strict=True)}
    return Features(about["crs"], shapely.from_wkb(shapes), columns)


def rows_of(path: Path) -> dict[str, list]:
    """All features of all layers, as what can be compared."""
    found = {}
    for layer in ("lines", "nodes", "polygons"):
        features = read_layer(path, layer)
        values = zip(*features.columns.values(), strict=True)
        found[layer] = [
            (shape.wkb_hex, *map(str, row))
            for shape, row in zip(features.geometries, values, strict=True)
        ]
    return found


@pytest.fixture(scope="session")
def levels():
    """Levels of roads that fade: between threshold and 0 in places."""
    mask = wild(160)
    fading = np.linspace(100, 254, mask.shape[1]).astype(np.uint8)
    levels = np.where(mask, fading[None], 3).astype(np.uint8)
    levels[70:76] = 255
    return levels


@pytest.fixture(scope="session")
def ours(levels, write_raster, tmp_path_factory):
    """A folder of ours: `probability.tif` and `mask.tif` of a scene."""
    folder = tmp_path_factory.mktemp("ours") / "city"
    mask = np.where(levels == 255, 255, levels >= 127).astype(np.uint8)
    probability = np.where(levels == 255, np.nan, levels / 254).astype(np.float32)
    for name, pixels in (("probability", probability), ("mask", mask)):
        nodata = np.nan if name == "probability" else 255
        write_raster(folder / f"{name}.tif", pixels[None], transform=NORTH_UP, nodata=nodata)
    return folder
