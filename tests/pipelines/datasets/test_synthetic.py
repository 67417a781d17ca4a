"""Drawn images: the same for a seed, with labels that fit them."""

import subprocess
import sys

import numpy as np
import pytest
import rasterio
from scipy.ndimage import binary_dilation
from skimage.morphology import skeletonize

from pipelines.datasets.synthetic import (
    draw_fundus,
    draw_road_scene,
    write_drive_folder,
    write_road_scene,
    write_roads_folder,
)


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    write_road_scene(folder / "new" / "scene.tif", folder / "label.tif", size=400, seed=3)
    return folder / "new" / "scene.tif", folder / "label.tif"


@pytest.mark.parametrize(
    "write",
    [
        lambda folder, seed: write_roads_folder(folder, train=1, valid=1, size=96, seed=seed),
        lambda folder, seed: write_drive_folder(folder, train=1, test=0, seed=seed),
    ],
    ids=["roads", "fundus"],
)
def test_a_seed_is_all_that_a_drawing_depends_on(write, tmp_path):
    np.random.seed(1)
    first = files(write(tmp_path / "a", 5))
    np.random.seed(2)
    again = files(write(tmp_path / "b", 5))
    other = files(write(tmp_path / "c", 50))
    assert first == again
    images = [name for name in first if name.parent.name in ("sat", "images")]
    assert images
    assert len({first[name] for name in images}) == len(images)
    assert all(first[name] != drawn for name in images for drawn in other.values())


def test_a_scene_is_an_rgb_geotiff_in_massachusetts_at_1_m_per_pixel(scene):
    with rasterio.open(scene[0]) as raster:
        assert raster.crs.to_string() == "EPSG:26986"
        assert raster.res == (1.0, 1.0)
        assert raster.dtypes == ("uint8",) * 3
        assert raster.shape == (400, 400)
        assert raster.nodata == 0
        bounds = raster.bounds
    with rasterio.open(scene[1]) as raster:
        assert raster.bounds == bounds
        assert set(np.unique(raster.read())) == {0, 255}


def test_one_corner_of_a_scene_is_missing_and_has_no_roads(scene):
    with rasterio.open(scene[0]) as raster, rasterio.open(scene[1]) as label:
        there = raster.dataset_mask() > 0
        roads = label.read(1) > 0
    corners = there[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.sum() == 3
    assert 0.85 < there.mean() < 1
    assert not roads[~there].any()


def test_scenes_do_not_lie_on_one_another(tmp_path):
    lefts = []
    for seed in (0, 1):
        write_road_scene(tmp_path / f"{seed}.tif", None, size=64, seed=seed)
        with rasterio.open(tmp_path / f"{seed}.tif") as raster:
            lefts.append((raster.bounds.left, raster.bounds.right))
    assert lefts[0][1] <= lefts[1][0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.tif", "1.tif"]


@pytest.mark.parametrize("seed", range(2))
def test_roads_are_greyer_than_what_lies_beside_them(seed):
    pixels, label, valid = draw_road_scene(400, 500, seed)
    assert pixels.shape == (3, 400, 500)
    assert label.shape == valid.shape == (400, 500)
    colours = pixels.astype(float)
    saturation = colours.max(axis=0) - colours.min(axis=0)
    road = label == 1
    beside = binary_dilation(road, iterations=12) & ~binary_dilation(road, iterations=3) & valid
    assert saturation[road].mean() < 0.8 * saturation[beside].mean()
    assert 0.03 < label[valid].mean() < 0.4


@pytest.mark.parametrize("seed", range(3))
def test_vessels_are_thin_dark_lines_inside_the_field(seed):
    image, label, field = draw_fundus(seed)
    green = image[1].astype(float)
    vessels = label == 1
    beside = binary_dilation(vessels, iterations=6) & ~binary_dilation(vessels, iterations=2)
    beside &= field
    assert green[vessels].mean() < green[beside].mean() - 8
    assert not vessels[~field].any()
    assert 0.04 < vessels[field].mean() < 0.2
    assert 2 < vessels.sum() / skeletonize(vessels).sum() < 8
    assert image[:, ~binary_dilation(field, iterations=6)].mean() < 2


def test_the_command_without_a_folder_says_what_it_wants():
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.datasets.synthetic"], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "usage: python -m pipelines.datasets.synthetic DIR" in done.stderr
