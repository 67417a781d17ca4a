import numpy as np
import pytest

from tiling.readers.raster import RasterScene
from tiling.scenes.masked import MaskedScene
from tiling.window import Window

HEIGHT, WIDTH = 90, 120
WHOLE = Window(0, 0, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def disc():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(rows - 45, columns - 60) < 40


@pytest.fixture
def scene(write_raster, tmp_path):
    """A scene that misses its first ten columns."""
    pixels = np.random.default_rng(3).integers(1, 256, (3, HEIGHT, WIDTH)).astype(np.uint8)
    valid = np.arange(WIDTH)[None].repeat(HEIGHT, axis=0) >= 10
    path = write_raster(tmp_path / "scene.tif", pixels, nodata_kind="mask", valid=valid)
    with RasterScene(path) as scene:
        yield scene


def test_pixels_count_inside_the_mask_where_the_scene_has_them(scene, disc):
    pixels, valid = MaskedScene(scene, disc).read(WHOLE)
    np.testing.assert_array_equal(valid, disc & (np.arange(WIDTH) >= 10))
    np.testing.assert_array_equal(pixels, scene.read(WHOLE)[0])


@pytest.mark.parametrize("window", [Window(0, 0, 7, 120), Window(33, 8, 57, 50)])
def test_a_window_is_masked_as_the_whole_is(scene, disc, window):
    masked = MaskedScene(scene, disc)
    np.testing.assert_array_equal(masked.read(window)[1], masked.read(WHOLE)[1][window.slices()])


def test_a_pixel_of_a_coarser_mask_stands_for_a_block(scene):
    coarse = np.array([[True, False, True], [False, True, False]])
    _, valid = MaskedScene(scene, coarse).read(WHOLE)
    blocks = np.kron(coarse, np.ones((HEIGHT // 2, WIDTH // 3), bool))
    np.testing.assert_array_equal(valid, blocks & (np.arange(WIDTH) >= 10))


def test_a_coarser_mask_need_not_divide_the_scene(scene):
    coarse = np.ones((7, 11), bool)
    coarse[6, 10] = False
    _, valid = MaskedScene(scene, coarse).read(WHOLE)
    assert not valid[-1, -1]
    assert valid[0, 10:].all()
    missing = ~valid[:, 10:]
    assert missing.sum() == pytest.approx(HEIGHT / 7 * WIDTH / 11, rel=0.3)
