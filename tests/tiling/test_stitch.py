"""Tiles of a scene, predicted and stitched: what comes out, and what is predicted."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiling.stitching import (
    OVERLAP,
    TILE,
    Constant,
    Echo,
    FromBorderToBorder,
    OfTheWholeTile,
    disc_missing,
    levels_of,
    noise,
    stitched,
    whole,
)
from tiling.blend import NODATA, ONE, TOP, ramp
from tiling.grid import Grid
from tiling.readers.raster import RasterScene
from tiling.window import split

SIZES = [(300, 200), (1, 500), (64, 64), (65, 64), (64, 65), (65, 65), (40, 50), (1, 1), (129, 63)]


def tile_by_tile(scene, grid, predict):
    """Levels and probabilities the plain way: one tile after the other, in 64-bit integers."""
    sums = np.zeros((predict.bands, scene.height, scene.width), np.int64)
    weights = np.zeros((scene.height, scene.width), np.int64)
    weight = np.outer(ramp(grid.tile_height, grid.overlap), ramp(grid.tile_width, grid.overlap))
    margins = (0, grid.tile - grid.tile_height), (0, grid.tile - grid.tile_width)
    for tile in grid.tiles():
        pixels, valid = scene.read(tile)
        pixels = np.pad(pixels, ((0, 0), *margins), mode="symmetric")
        fixed = predict(pixels[None], np.pad(valid, margins, mode="symmetric")[None])[0]
        sums[:, *tile.slices()] += fixed[:, : tile.height, : tile.width] * weight
        weights[tile.slices()] += weight
    valid = scene.read(whole(scene))[1]
    levels = (2 * TOP * sums + ONE * weights) // (2 * ONE * weights)
    probability = (sums / (ONE * weights)).astype(np.float32)
    return np.where(valid, levels, NODATA), np.where(valid, probability, np.nan)


# What comes out.


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fixed", [0, 33_000, ONE])
def test_a_constant_predictor_gives_a_constant_raster(write_raster, tmp_path, size, fixed):
    with RasterScene(write_raster(tmp_path / "scene.tif", noise(*size))) as scene:
        store = stitched(scene, Constant(fixed), tmp_path, part_size=100)
        blended = store.read(whole(scene))
    assert set(np.unique(blended.levels)) == {round(fixed / ONE * TOP)}
    assert set(np.unique(blended.probability)) == {np.float32(fixed / ONE)}


@pytest.mark.parametrize("size", SIZES)
def test_a_predictor_that_gives_back_its_band_gives_back_the_scenes_band(
    write_raster, tmp_path, size
):
    pixels = noise(*size)
    with RasterScene(write_raster(tmp_path / "scene.tif", pixels)) as scene:
        levels = levels_of(scene, Echo(), tmp_path, part_size=90)
    assert abs(levels[0] - pixels[0] / 255 * TOP).max() <= 0.5


def test_a_ramp_over_the_scene_has_no_step_at_tile_borders(write_raster, tmp_path):
    rise = np.broadcast_to(np.linspace(0, 255, 250).astype(np.uint8), (3, 130, 250))
    with RasterScene(write_raster(tmp_path / "ramp.tif", rise)) as scene:
        levels = levels_of(scene, Echo(), tmp_path, part_size=90)[0].astype(int)
    assert (np.diff(levels, axis=0) == 0).all()
    steps = np.diff(levels, axis=1)
    assert steps.min() >= 0
    assert steps.max() <= 2


def test_tiles_that_disagree_are_blended_without_a_step(write_raster, tmp_path):
    with RasterScene(write_raster(tmp_path / "scene.tif", noise(64, 300))) as scene:
        for folder in ("blended", "hard"):
            (tmp_path / folder).mkdir()
        predict = FromBorderToBorder()
        levels = levels_of(scene, predict, tmp_path / "blended", part_size=80)[0].astype(int)
        cut_hard = levels_of(scene, predict, tmp_path / "hard", overlap=0)[0].astype(int)
    assert abs(np.diff(cut_hard)).max() > 100
    assert abs(np.diff(levels)).max() < 2 * TOP / OVERLAP


@pytest.mark.parametrize("kind", ["nodata", "alpha", "mask", "none"])
def test_missing_pixels_stay_missing_pixel_for_pixel(write_raster, tmp_path, kind):
    valid = np.ones((171, 233), bool) if kind == "none" else disc_missing(171, 233)
    path = write_raster(tmp_path / "holed.tif", noise(171, 233), nodata_kind=kind, valid=valid)
    with RasterScene(path) as scene:
        store = stitched(scene, OfTheWholeTile(), tmp_path, part_size=110)
        blended = store.read(whole(scene))
    for band in blended.levels:
        np.testing.assert_array_equal(band == NODATA, ~valid)
    for band in blended.probability:
        np.testing.assert_array_equal(np.isnan(band), ~valid)


@st.composite
def cuts(draw):
    """A scene's size, its tiles, and how the work on it is cut up and shared out."""
    tile = draw(st.integers(12, 40))
    return {
        "size": (draw(st.integers(1, 90)), draw(st.integers(1, 90))),
        "tile": tile,
        "overlap": draw(st.integers(0, tile * 2 // 3)),
        "part_size": draw(st.integers(1, 100)),
        "batch": draw(st.integers(1, 9)),
        "lanes": draw(st.integers(1, 3)),
        "readers": draw(st.integers(1, 3)),
        "read_by": draw(st.integers(7, 100)),
    }


@settings(max_examples=60)
@given(cuts())
def test_no_cut_changes_a_byte(write_raster, tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    height, width = cut["size"]
    path = write_raster(
        folder / "holed.tif", noise(height, width), nodata_kind="mask",
        valid=disc_missing(height, width),
    )  # fmt: skip
    with RasterScene(path) as scene:
        grid = Grid(height, width, cut["tile"], cut["overlap"])
        levels, probability = tile_by_tile(scene, grid, OfTheWholeTile())
        predict = OfTheWholeTile(batch=cut["batch"], lanes=cut["lanes"], readers=cut["readers"])
        store = stitched(
            scene, predict, folder, part_size=cut["part_size"], tile=cut["tile"],
            overlap=cut["overlap"],
        )  # fmt: skip
    for window in split(height, width, cut["read_by"]):
        blended = store.read(window)
        np.testing.assert_array_equal(blended.levels, levels[:, *window.slices()])
        np.testing.assert_array_equal(blended.probability, probability[:, *window.slices()])


# What is predicted.


@pytest.mark.parametrize("part_size", [64, 100, 150, 4096])
def test_no_tile_is_predicted_twice(write_raster, tmp_path, part_size):
    predict = OfTheWholeTile(lanes=2)
    with RasterScene(write_raster(tmp_path / "scene.tif", noise(230, 190))) as scene:
        stitched(scene, predict, tmp_path, part_size=part_size)
        grid = Grid(230, 190, TILE, OVERLAP)
        expected = Counter(scene.read(tile)[0].tobytes() for tile in grid.tiles())
    assert Counter(tile.tobytes() for tile, _ in predict.seen) == expected
    assert set(expected.values()) == {1}


@pytest.mark.parametrize("part_size", [64, 150, 4096])
@pytest.mark.parametrize("lanes", [1, 3])
def test_tiles_with_nothing_in_them_are_not_predicted_but_counted(
    write_raster, tmp_path, part_size, lanes
):
    valid = np.zeros((200, 400), bool)
    valid[:, 300:] = True
    valid[20, 20] = True
    path = write_raster(tmp_path / "s.tif", noise(200, 400), nodata_kind="alpha", valid=valid)
    predict, told = OfTheWholeTile(lanes=lanes), []
    with RasterScene(path) as scene:
        levels = levels_of(scene, predict, tmp_path, part_size=part_size, told=told)
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
        levels = levels_of(scene, predict, tmp_path, told=told)
    assert predict.seen == []
    assert sum(told) == Grid(100, 90, TILE, OVERLAP).tile_count
    assert (levels == NODATA).all()


@pytest.mark.parametrize("batch", [2, 3, 5, 8])
@pytest.mark.parametrize("part_size", [64, 112, 160, 4096])
def test_all_batches_but_the_last_are_full(write_raster, tmp_path, batch, part_size):
    valid = disc_missing(250, 210)
    path = write_raster(tmp_path / "s.tif", noise(250, 210), nodata_kind="mask", valid=valid)
    predict = OfTheWholeTile(batch=batch)
    with RasterScene(path) as scene:
        stitched(scene, predict, tmp_path, part_size=part_size)
    sizes = [len(tiles) for tiles in predict.batches]
    assert sizes[:-1] == [batch] * (len(sizes) - 1)
    assert 1 <= sizes[-1] <= batch


def test_predictors_get_whole_tiles_of_the_scenes_own_pixels(write_raster, tmp_path):
    pixels = noise(10, 100)
    valid = np.ones((10, 100), bool)
    valid[9, :40] = False
    path = write_raster(tmp_path / "low.tif", pixels, nodata_kind="mask", valid=valid)
    predict = OfTheWholeTile()
    with RasterScene(path) as scene:
        stitched(scene, predict, tmp_path)
    assert [tile.shape for tile, _ in predict.seen] == [(3, TILE, TILE)] * len(predict.seen)
    first, there = predict.seen[0]
    np.testing.assert_array_equal(first[:, :10], pixels[:, :, :TILE])
    # Reflected below, not padded with a value: the row below the last is the last again.
    np.testing.assert_array_equal(first[:, 10:20], pixels[:, ::-1, :TILE])
    np.testing.assert_array_equal(there[:20], np.concatenate([valid, valid[::-1]])[:, :TILE])
