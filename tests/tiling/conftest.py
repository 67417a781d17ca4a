"""What tests of tiling share."""

import pytest

from tests.tiling.interrupted_runs import pixels_of_the_scene
from tests.tiling.stitching import noise
from tiling.readers.raster import RasterScene


@pytest.fixture
def scene(write_raster, tmp_path):
    with RasterScene(write_raster(tmp_path / "scene.tif", noise(300, 300))) as opened:
        yield opened


@pytest.fixture
def path(write_raster, tmp_path):
    return write_raster(tmp_path / "in" / "scene.tif", pixels_of_the_scene())


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"
