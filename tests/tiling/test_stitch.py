import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiling.blend import NODATA, ONE, TOP
from tiling.errors import SceneError
from tiling.grid import Grid
from tiling.scene import RasterScene
from tiling.stitch import stitch

TILE, OVERLAP = 64, 16
SIZES = [(300, 200), (1, 500), (64, 64), (65, 64), (64, 65), (65, 65), (40, 50), (1, 1), (129, 63)]


class Constant:
    """Says the same of every pixel."""

    classes = 1

    def __init__(self, level):
        self.level = level

    def __call__(self, pixels, valid):
        return np.full((len(pixels), 1, *pixels.shape[-2:]), self.level, np.uint16)


class Echo:
    """Says of every pixel what its first band says."""

    classes = 1

    def __call__(self, pixels, valid):
        return pixels[:, :1].astype(np.uint16) * np.uint16(257)


class FromBorderToBorder:
    """Rises from 0 at a tile's left border to 1 at its right one: neighbours disagree."""

    classes = 1

    def __call__(self, pixels, valid):
        ramp = np.linspace(0, ONE, pixels.shape[-1]).astype(np.uint16)
        return np.broadcast_to(ramp, (len(pixels), 1, *pixels.shape[-2:]))


class OfTheWholeTile:
    """Says of a pixel what depends on all of its tile, like group norm does."""

    classes = 2

    def __init__(self):
        self.seen = []

    def __call__(self, pixels, valid):
        self.seen += [
            (tile.copy(), there.copy()) for tile, there in zip(pixels, valid, strict=True)
        ]
        mean = (pixels * valid[:, None]).mean(axis=(1, 2, 3), keepdims=True)
        return (pixels[:, :2] * mean).astype(np.uint16)


def levels_of(scene, predict, *, part_size=4096, batch=4, tile=TILE, overlap=OVERLAP, told=None):
    """The whole scene's levels, put together from its parts."""
    grid = Grid(scene.height, scene.width, tile, overlap)
    levels = np.full((predict.classes, scene.height, scene.width), 77, np.uint8)
    progress = (lambda tiles: None) if told is None else told.append
    parts = stitch(scene, grid, grid.parts(part_size), predict, batch=batch, progress=progress)
    for part, of_part in parts:
        levels[:, *part.slices()] = of_part
    return levels


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (3, height, width)).astype(np.uint8)


@pytest.fixture(scope="module")
def holed(write_raster, tmp_path_factory):
    """A scene of odd size of which a disc is not there, with what is."""
    rows, columns = np.mgrid[:171, :233]
    valid = np.hypot(rows - 60, columns - 100) > 45
    path = tmp_path_factory.mktemp("holed") / "holed.tif"
    write_raster(path, noise(171, 233), nodata_kind="mask", valid=valid)
    with RasterScene(path) as scene:
        yield scene, valid


@pytest.fixture(scope="module")
def as_one_part(holed):
    """What any other cut of `holed` must give, byte for byte."""
    return levels_of(holed[0], OfTheWholeTile())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", [0, 33_000, ONE])
def test_a_constant_predictor_gives_a_constant_raster(write_raster, tmp_path, size, level):
    path = write_raster(tmp_path / "scene.tif", noise(*size))
    with RasterScene(path) as scene:
        levels = levels_of(scene, Constant(level))
    assert set(np.unique(levels)) == {round(level / ONE * TOP)}


@pytest.mark.parametrize("size", SIZES)
def test_a_predictor_that_gives_back_its_band_gives_back_the_scenes_band(
    write_raster, tmp_path, size
):
    pixels = noise(*size)
    with RasterScene(write_raster(tmp_path / "scene.tif", pixels)) as scene:
        levels = levels_of(scene, Echo(), part_size=90)
    np.testing.assert_allclose(levels[0], pixels[0] / 255 * TOP, atol=1)


def test_a_ramp_over_the_scene_has_no_step_at_tile_borders(write_raster, tmp_path):
    ramp = np.broadcast_to(np.linspace(0, 255, 250).astype(np.uint8), (3, 130, 250))
    with RasterScene(write_raster(tmp_path / "ramp.tif", ramp)) as scene:
        levels = levels_of(scene, Echo())[0].astype(int)
    assert (np.diff(levels, axis=0) == 0).all()
    steps = np.diff(levels, axis=1)
    assert steps.min() >= 0
    assert steps.max() <= 2


def test_tiles_that_disagree_are_blended_without_a_step(write_raster, tmp_path):
    with RasterScene(write_raster(tmp_path / "scene.tif", noise(64, 300))) as scene:
        levels = levels_of(scene, FromBorderToBorder())[0].astype(int)
        cut_hard = levels_of(scene, FromBorderToBorder(), overlap=0)[0].astype(int)
    assert abs(np.diff(cut_hard)).max() > 100
    assert abs(np.diff(levels)).max() < 2 * TOP / OVERLAP


@settings(max_examples=25)
@given(part_size=st.integers(16, 260), batch=st.integers(1, 9))
def test_parts_and_batches_change_not_one_byte(holed, as_one_part, part_size, batch):
    levels = levels_of(holed[0], OfTheWholeTile(), part_size=part_size, batch=batch)
    assert levels.tobytes() == as_one_part.tobytes()


def test_missing_pixels_stay_missing_pixel_for_pixel(holed, as_one_part):
    for band in as_one_part:
        np.testing.assert_array_equal(band == NODATA, ~holed[1])


def test_tiles_with_nothing_in_them_are_not_predicted_but_counted(write_raster, tmp_path):
    valid = np.zeros((200, 400), bool)
    valid[:, 300:] = True
    valid[20, 20] = True
    path = write_raster(tmp_path / "s.tif", noise(200, 400), nodata_kind="alpha", valid=valid)
    predict, told = OfTheWholeTile(), []
    with RasterScene(path) as scene:
        levels = levels_of(scene, predict, told=told)
    grid = Grid(200, 400, TILE, OVERLAP)
    wanted = [tile for tile in grid.tiles() if valid[tile.slices()].any()]
    assert len(predict.seen) == len(wanted) < grid.tile_count
    assert all(there.any() for _, there in predict.seen)
    assert sum(told) == grid.tile_count
    np.testing.assert_array_equal(levels[0] == NODATA, ~valid)


def test_a_scene_with_nothing_in_it_is_never_predicted(write_raster, tmp_path):
    valid = np.zeros((100, 90), bool)
    path = write_raster(tmp_path / "s.tif", noise(100, 90), nodata_kind="nodata", valid=valid)
    predict, told = OfTheWholeTile(), []
    with RasterScene(path) as scene:
        levels = levels_of(scene, predict, told=told)
    assert predict.seen == []
    assert sum(told) == Grid(100, 90, TILE, OVERLAP).tile_count
    assert (levels == NODATA).all()


def test_predictors_get_whole_tiles_of_the_scenes_own_pixels(write_raster, tmp_path):
    pixels = noise(10, 100)
    predict = OfTheWholeTile()
    with RasterScene(write_raster(tmp_path / "low.tif", pixels)) as scene:
        levels_of(scene, predict)
    assert [tile.shape for tile, _ in predict.seen] == [(3, TILE, TILE)] * len(predict.seen)
    first, _ = predict.seen[0]
    np.testing.assert_array_equal(first[:, :10], pixels[:, :, :TILE])
    # Reflected below, not padded with a value: the row below the last is the last again.
    np.testing.assert_array_equal(first[:, 10:20], pixels[:, ::-1, :TILE])


def test_pixels_that_cannot_be_read_are_an_error_of_the_scene(write_raster, tmp_path):
    path = write_raster(tmp_path / "cut.tif", noise(300, 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SceneError, match=r"cut\.tif"), RasterScene(path) as scene:
        levels_of(scene, Constant(5))


def test_a_file_is_opened_twice_at_most_however_many_parts_there_are(write_raster, tmp_path):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("open files are counted in /proc")
    path = write_raster(tmp_path / "scene.tif", noise(300, 300))
    with RasterScene(path) as scene:
        levels_of(scene, Constant(5), part_size=32)
        opened = [handle for handle in handles.iterdir() if handle.resolve() == path.resolve()]
    # Once where its size was asked for, once in the thread that reads ahead.
    assert 1 <= len(opened) <= 2


def test_leaving_off_halfway_leaves_no_thread_behind(write_raster, tmp_path):
    before = threading.active_count()
    with RasterScene(write_raster(tmp_path / "scene.tif", noise(300, 300))) as scene:
        grid = Grid(300, 300, TILE, OVERLAP)
        parts = stitch(scene, grid, grid.parts(100), Constant(5), batch=2)
        next(parts)
        parts.close()
    assert threading.active_count() == before
