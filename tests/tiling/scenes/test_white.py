import numpy as np
import pytest

from tiling.errors import SceneError
from tiling.readers.raster import RasterScene
from tiling.scenes.white import WhiteScene
from tiling.window import Window

HEIGHT, WIDTH = 150, 200
WHOLE = Window(0, 0, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def snowy(write_raster, tmp_path_factory):
    """A scene with patches of white that are missing, and with white things that are there."""
    random = np.random.default_rng(2)
    pixels = random.integers(0, 230, (3, HEIGHT, WIDTH)).astype(np.uint8)
    white = random.integers(235, 256, (3, HEIGHT, WIDTH)).astype(np.uint8)
    missing, things = np.zeros((HEIGHT, WIDTH), bool), np.zeros((HEIGHT, WIDTH), bool)
    missing[:45, :60] = True  # A corner of the scene.
    missing[60:91, 100:131] = True  # The smallest patch that counts.
    things[110:140, 20:50] = True  # A roof, a pixel too small.
    things[5:12, 70:200] = True  # A road in the snow: long, but narrow.
    pixels = np.where(missing | things, white, pixels)
    path = write_raster(tmp_path_factory.mktemp("snow") / "snow.tif", pixels)
    with RasterScene(path) as scene:
        yield scene, missing


def test_white_patches_are_missing_and_white_things_are_there(snowy):
    scene, missing = snowy
    pixels, there = WhiteScene(scene).read(WHOLE)
    np.testing.assert_array_equal(there, ~missing)
    np.testing.assert_array_equal(pixels, scene.read(WHOLE)[0])


def test_white_is_a_colour_unless_asked_otherwise(snowy):
    assert snowy[0].read(WHOLE)[1].all()


def test_bright_colours_are_not_white(write_raster, tmp_path):
    pixels = np.full((3, 70, 90), 255, np.uint8)
    pixels[2] = 200
    with RasterScene(write_raster(tmp_path / "yellow.tif", pixels)) as scene:
        assert WhiteScene(scene).read(Window(0, 0, 70, 90))[1].all()


def test_what_the_file_says_is_missing_stays_missing(write_raster, tmp_path):
    valid = np.arange(90)[None].repeat(70, axis=0) >= 10
    pixels = np.full((3, 70, 90), 90, np.uint8)
    path = write_raster(tmp_path / "scene.tif", pixels, nodata_kind="mask", valid=valid)
    with RasterScene(path) as scene:
        np.testing.assert_array_equal(WhiteScene(scene).read(Window(0, 0, 70, 90))[1], valid)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_only_8_bits_have_a_white(write_raster, tmp_path, dtype):
    path = write_raster(tmp_path / "deep.tif", np.ones((3, 40, 40), dtype))
    with (
        RasterScene(path) as scene,
        pytest.raises(SceneError, match=rf"deep\.tif: pixels are {dtype}.*; give it a nodata"),
    ):
        WhiteScene(scene)
