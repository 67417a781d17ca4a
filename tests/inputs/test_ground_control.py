"""Georeferencing other than a transform is handed on, or the command that makes one is named."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rio.main import main_group
from rasterio.rpc import RPC

from pipelines.config.inference import InferRoads
from pipelines.inference.run import infer_roads
from pipelines.results.progress import Silence
from tiling.readers.raster import without_georeferencing_warning

SIZE = 96
TERMS = 20


def polynomial(*terms):
    return [*map(float, terms), *[0.0] * (TERMS - len(terms))]


CAMERA = RPC(
    height_off=0, height_scale=100, lat_off=45, lat_scale=0.0005, long_off=9, long_scale=0.0005,
    line_off=SIZE / 2, line_scale=SIZE / 2, samp_off=SIZE / 2, samp_scale=SIZE / 2,
    line_num_coeff=polynomial(0, 0, -1), line_den_coeff=polynomial(1),
    samp_num_coeff=polynomial(0, 1), samp_den_coeff=polynomial(1), err_bias=None, err_rand=None,
)  # fmt: skip
"""Looks straight down at 45 degrees north, 9 east: a pixel is about a metre."""


def points(x, y, side):
    return [
        GroundControlPoint(row, column, x + column * side, y - row * side)
        for row in (0, SIZE) for column in (0, SIZE)
    ]  # fmt: skip


CASES = {
    "points in metres": {"gcps": points(500_000, 4_983_000, 1.0), "crs": "EPSG:32632"},
    "points in degrees": {"gcps": points(9, 45, 1e-5), "crs": "EPSG:4326"},
    "camera": {"rpcs": CAMERA},
}


@pytest.fixture(params=CASES)
def scene(request, tmp_path):
    path = tmp_path / "a scene's.tif"
    pixels = np.random.default_rng(1).integers(1, 250, (3, SIZE, SIZE)).astype(np.uint8)
    with (
        without_georeferencing_warning(),
        rasterio.open(
            path, "w", driver="GTiff", height=SIZE, width=SIZE, count=3, dtype="uint8",
            **CASES[request.param],
        ) as raster,
    ):  # fmt: skip
        raster.write(pixels)
    return path


def run(scene, weights, **changes):
    settings = InferRoads(
        scenes=[str(scene)], model=[str(weights)], tile=64, overlap=16, batch=2, steps=1,
        device="cpu", output=scene.parent / "out", **changes,
    )  # fmt: skip
    return infer_roads(settings, Silence())


def georeferencing(path):
    with without_georeferencing_warning(), rasterio.open(path) as raster:
        at = [(p.row, p.col, p.x, p.y, p.z) for p in raster.gcps[0]]
        return raster.crs, raster.transform, at, raster.gcps[1], raster.rpcs


def test_results_have_the_georeferencing_of_the_scene(scene, roads_weights):
    result = run(scene, roads_weights, pixel_size=1.1)
    [done] = result.report.scenes
    assert done.seen == (106, 106)
    for kind in ("probability", "mask"):
        assert georeferencing(done.files[kind]) == georeferencing(scene)


def test_an_area_asks_for_a_transform_by_a_command_that_makes_one(
    scene, roads_weights, monkeypatch
):
    inside = [[9.0002, 44.9998], [9.0002, 44.9996], [9.0004, 44.9996], [9.0002, 44.9998]]
    area = scene.parent / "area.geojson"
    area.write_text(json.dumps({"type": "Polygon", "coordinates": [inside]}))
    [failure] = run(scene, roads_weights, aoi=area).failed
    assert str(scene) in failure.error
    assert str(area) in failure.error
    monkeypatch.chdir(scene.parent)
    program, *arguments = shlex.split(failure.error.split("this makes: ")[1])
    if program == "rio":
        with pytest.raises(SystemExit, match="0"):
            main_group(arguments)
    else:
        assert program == "python"
        subprocess.run([sys.executable, *arguments], check=True)
    result = run(scene.parent / "warped.tif", roads_weights, aoi=area)
    assert not result.failed
    with rasterio.open(result.report.scenes[0].files["mask"]) as mask:
        assert (mask.read(1) != 255).any()


def test_a_distance_is_refused_with_an_option_that_helps(scene, roads_weights):
    [failure] = run(scene, roads_weights, gsd=1.0).failed
    assert "--pixel-size" in failure.error
    assert not run(scene, roads_weights, gsd=1.0, pixel_size=1.0).failed
    assert Path(scene.parent / "out").is_dir()


@pytest.fixture
def swath(write_raster, tmp_path):
    """A scene of about a metre a pixel, whose coordinates stand in two other files."""
    place = np.arange(SIZE) * 1e-5
    for name, values in (("x", 9 + place[None]), ("y", 45 - place[:, None])):
        full = np.broadcast_to(values, (1, SIZE, SIZE)).astype(np.float64)
        write_raster(tmp_path / f"{name}.tif", full, crs=None)
    pixels = np.random.default_rng(1).integers(1, 250, (3, SIZE, SIZE)).astype(np.uint8)
    path = write_raster(tmp_path / "a swath's.tif", pixels, crs=None)
    arrays = {
        "X_DATASET": str(tmp_path / "x.tif"), "Y_DATASET": str(tmp_path / "y.tif"), "SRS":
        CRS.from_epsg(4326).to_wkt(), "X_BAND": 1, "Y_BAND": 1, "PIXEL_OFFSET": 0, "LINE_OFFSET": 0,
        "PIXEL_STEP": 1, "LINE_STEP": 1,
    }  # fmt: skip
    with without_georeferencing_warning(), rasterio.open(path, "r+") as raster:
        raster.update_tags(ns="GEOLOCATION", **arrays)
    return path


def test_geolocation_arrays_are_named_with_a_command_that_uses_them(
    swath, roads_weights, monkeypatch
):
    result = run(swath, roads_weights)
    assert not result.failed
    told, unknown = result.report.scenes[0].remarks
    assert told.startswith(f"{swath}: geolocation arrays tell")
    assert "--pixel-size" in unknown
    monkeypatch.chdir(swath.parent)
    _, *arguments = shlex.split(told.split("this makes: ")[1])
    subprocess.run([sys.executable, *arguments], check=True)
    done = run(swath.parent / "warped.tif", roads_weights).report.scenes[0]
    assert not done.remarks
    assert done.pixel_size == pytest.approx([1.111, 0.788], abs=0.001)
