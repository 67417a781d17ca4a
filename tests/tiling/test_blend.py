import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiling.blend import NODATA, ONE, TOP, Accumulator, quantise, ramp
from tiling.grid import Grid
from tiling.window import Window


def blended(grid, part, tiles, classes=1):
    """Levels of a part from (tile, levels, valid), added in the order given."""
    sums = Accumulator(grid, part, classes)
    for tile, levels, valid in tiles:
        if tile.meets(part):
            sums.add(tile, levels, valid)
    return sums.levels()


def whole(grid):
    return Window(0, 0, grid.height, grid.width)


def made_up_tiles(grid, seed=0, classes=1):
    random = np.random.default_rng(seed)
    valid = random.random((grid.height, grid.width)) > 0.1
    return [
        (
            tile,
            random.integers(0, ONE + 1, (classes, tile.height, tile.width)).astype(np.uint16),
            valid[tile.slices()],
        )
        for tile in grid.tiles()
    ]


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize(
    "grid", [Grid(50, 70, 20, 5), Grid(1, 90, 20, 19), Grid(21, 20, 20, 0), Grid(9, 7, 20, 4)]
)
def test_tiles_that_agree_give_what_they_agree_on(grid, probability):
    tiles = [
        (
            tile,
            quantise(np.full((1, tile.height, tile.width), probability)),
            np.ones((tile.height, tile.width), bool),
        )
        for tile in grid.tiles()
    ]
    levels = blended(grid, whole(grid), tiles)
    assert set(np.unique(levels)) == {round(probability * TOP)}


@given(st.floats(0, 1))
def test_a_probability_becomes_its_nearest_level(probability):
    grid = Grid(1, 1, 1, 0)
    tile = Window(0, 0, 1, 1)
    levels = blended(
        grid, tile, [(tile, quantise(np.full((1, 1, 1), probability)), np.ones((1, 1)))]
    )
    # Half a level, and what 16 bits leave out.
    assert abs(int(levels.item()) - probability * TOP) <= 0.5 + TOP / ONE


@given(st.randoms())
def test_the_order_of_tiles_changes_nothing(random):
    grid = Grid(60, 45, 24, 8)
    tiles = made_up_tiles(grid)
    expected = blended(grid, whole(grid), tiles)
    random.shuffle(tiles)
    np.testing.assert_array_equal(blended(grid, whole(grid), tiles), expected)


@given(st.integers(1, 70))
def test_the_cut_into_parts_changes_nothing(size):
    grid = Grid(60, 45, 24, 8)
    tiles = made_up_tiles(grid)
    expected = blended(grid, whole(grid), tiles)
    for part in grid.parts(size):
        np.testing.assert_array_equal(blended(grid, part, tiles), expected[:, *part.slices()])


def test_blending_is_the_weighted_mean():
    grid = Grid(40, 55, 24, 10)
    tiles = made_up_tiles(grid, classes=2)
    total, weight = np.zeros((2, 40, 55)), np.zeros((40, 55))
    for tile, levels, _ in tiles:
        rows, columns = ramp(tile.height, 10), ramp(tile.width, 10)
        total[:, *tile.slices()] += levels * np.outer(rows, columns)
        weight[tile.slices()] += np.outer(rows, columns)
    mean = total / weight / ONE * TOP
    levels = blended(grid, whole(grid), tiles, classes=2)
    there = levels != NODATA
    assert there.any()
    assert abs(levels - mean)[there].max() <= 0.5 + 1e-6


def test_pixels_that_are_not_there_have_no_level():
    grid = Grid(60, 45, 24, 8)
    tiles = made_up_tiles(grid, classes=2)
    valid = np.zeros((60, 45), bool)
    for tile, _, there in tiles:
        valid[tile.slices()] = there
    levels = blended(grid, whole(grid), tiles, classes=2)
    for band in levels:
        np.testing.assert_array_equal(band == NODATA, ~valid)


def test_a_part_without_tiles_has_no_level_anywhere():
    grid = Grid(60, 45, 24, 8)
    assert (blended(grid, Window(10, 5, 20, 30), []) == NODATA).all()


@given(st.integers(1, 700), st.integers(0, 700))
def test_weights_rise_from_the_border_and_are_never_nothing(length, overlap):
    weights = ramp(length, overlap)
    assert len(weights) == length
    assert weights.min() == 1
    np.testing.assert_array_equal(weights, weights[::-1])
    assert (np.diff(weights[: (length + 1) // 2]) >= 0).all()


def test_a_long_overlap_of_many_tiles_does_not_overflow():
    grid = Grid(1, 2000, 900, 890)
    full = np.full((1, 1, 900), ONE, np.uint16)
    tiles = [(tile, full, np.ones((1, 900), bool)) for tile in grid.tiles()]
    assert (blended(grid, whole(grid), tiles) == TOP).all()
