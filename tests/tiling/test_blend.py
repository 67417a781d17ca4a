import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiling.blend import ONE, TOP, Accumulator, BlendWeights, quantise, ramp
from tiling.grid import Grid
from tiling.window import Window


def whole(grid):
    return Window(0, 0, grid.height, grid.width)


def accumulated(grid, tiles, bands=1):
    """The sums of a scene in one part from (tile, fixed, valid), added in the order given."""
    (part,) = grid.parts(10**6)
    sums = Accumulator(BlendWeights(grid), part, bands)
    for tile, fixed, valid in tiles:
        sums.add(tile, fixed, valid)
    return sums


def blended(grid, tiles, bands=1):
    """Levels [bands, h, w] of a scene."""
    sums = accumulated(grid, tiles, bands)
    return sums.weights.levels(sums.sums, whole(grid))


def made_up_tiles(grid, seed=0, bands=1):
    random = np.random.default_rng(seed)
    valid = random.random((grid.height, grid.width)) > 0.1
    return [
        (
            tile,
            random.integers(0, ONE + 1, (bands, tile.height, tile.width)).astype(np.uint16),
            valid[tile.slices()],
        )
        for tile in grid.tiles()
    ]


def tiles_that_say(grid, fixed):
    """Every tile says the same of all its pixels."""
    return [
        (tile, np.full((1, tile.height, tile.width), fixed, np.uint16),
         np.ones((tile.height, tile.width), bool))
        for tile in grid.tiles()
    ]  # fmt: skip


def weight_of(grid):
    """All tiles' weights [h, w], added one by one, as integers of any size."""
    down, across = [0] * grid.height, [0] * grid.width
    for total, origins, length in (
        (down, grid.rows, grid.tile_height),
        (across, grid.columns, grid.tile_width),
    ):
        for origin in origins:
            for place, weight in enumerate(ramp(length, grid.overlap)):
                total[origin + place] += int(weight)
    return [[one * other for other in across] for one in down]


GRIDS = {
    "plain": Grid(50, 70, 20, 5),
    "one row": Grid(1, 90, 20, 19),
    "no overlap": Grid(21, 20, 20, 0),
    "one tile": Grid(9, 7, 20, 4),
    "much overlap": Grid(150, 140, 128, 126),
}


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_tiles_that_agree_give_what_they_agree_on(grid, probability):
    sums = accumulated(grid, tiles_that_say(grid, quantise(np.full(1, probability))))
    weights = sums.weights
    assert set(np.unique(weights.levels(sums.sums, whole(grid)))) == {round(probability * TOP)}
    np.testing.assert_allclose(
        weights.probability(sums.sums, whole(grid)), probability, atol=0.5 / ONE + 1e-7
    )


@given(st.floats(0, 1))
def test_a_probability_becomes_its_nearest_level(probability):
    grid = Grid(1, 1, 1, 0)
    levels = blended(grid, tiles_that_say(grid, quantise(np.full(1, probability))))
    # Half a level, and what 16 bits leave out.
    assert abs(int(levels.item()) - probability * TOP) <= 0.5 + TOP / ONE


@given(st.randoms())
def test_the_order_of_tiles_changes_nothing(random):
    grid = Grid(60, 45, 24, 8)
    tiles = made_up_tiles(grid)
    expected = accumulated(grid, tiles)
    random.shuffle(tiles)
    other = accumulated(grid, tiles)
    np.testing.assert_array_equal(other.sums, expected.sums)
    np.testing.assert_array_equal(other.valid, expected.valid)


def test_blending_is_the_weighted_mean():
    grid = Grid(40, 55, 24, 10)
    tiles = made_up_tiles(grid, bands=2)
    total = np.zeros((2, 40, 55))
    for tile, fixed, _ in tiles:
        total[:, *tile.slices()] += fixed * np.outer(ramp(tile.height, 10), ramp(tile.width, 10))
    mean = total / np.array(weight_of(grid)) / ONE
    sums = accumulated(grid, tiles, bands=2)
    levels = sums.weights.levels(sums.sums, whole(grid))
    assert abs(levels - mean * TOP).max() <= 0.5 + 1e-6
    np.testing.assert_allclose(sums.weights.probability(sums.sums, whole(grid)), mean, rtol=1e-6)


def test_a_tile_that_was_not_added_leaves_its_pixels_out():
    grid = Grid(60, 45, 24, 8)
    tiles = made_up_tiles(grid)
    valid = np.zeros((60, 45), bool)
    for tile, _, there in tiles[1:]:
        valid[tile.slices()] = there
    np.testing.assert_array_equal(accumulated(grid, tiles[1:]).valid, valid)
    assert not accumulated(grid, []).valid.any()


def test_what_reaches_beyond_a_tile_is_cut_off():
    grid = Grid(9, 7, 20, 4)
    fixed = np.zeros((1, 20, 20), np.uint16)
    fixed[:, 9:] = fixed[:, :, 7:] = ONE
    assert not blended(grid, [(Window(0, 0, 9, 7), fixed, np.ones((20, 20), bool))]).any()


@given(st.integers(1, 700), st.integers(0, 700))
def test_weights_rise_from_the_border_and_are_never_nothing(length, overlap):
    weights = ramp(length, overlap)
    assert len(weights) == length
    assert weights.min() == 1
    np.testing.assert_array_equal(weights, weights[::-1])
    assert (np.diff(weights[: (length + 1) // 2]) >= 0).all()


@pytest.mark.parametrize(
    ("grid", "dtype"),
    [
        (Grid(2000, 2000, 512, 64), np.uint32),
        (Grid(2000, 2000, 1024, 512), np.uint32),
        (Grid(3000, 3000, 1024, 896), np.uint32),
        (Grid(3000, 3000, 1024, 1000), np.uint64),
        (Grid(2000, 2000, 256, 255), np.uint64),
        (Grid(9, 7, 512, 511), np.uint32),
    ],
)
def test_sums_take_eight_bytes_only_where_tiles_overlap_very_much(grid, dtype):
    assert BlendWeights(grid).dtype == dtype


@st.composite
def grids(draw):
    """Some of which need 64 bits."""
    tile = draw(st.integers(1, 140))
    overlap = draw(st.integers(0, tile - 1) | st.just(tile - 1))
    return Grid(draw(st.integers(1, 150)), draw(st.integers(1, 150)), tile, overlap)


@given(grids())
def test_every_sum_fits(grid):
    weights = BlendWeights(grid)
    most = max(map(max, weight_of(grid))) * ONE
    assert most <= np.iinfo(weights.dtype).max
    assert weights.dtype == np.uint32 or most >= 2**32


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_no_sum_of_certain_tiles_overflows(grid):
    sums = accumulated(grid, tiles_that_say(grid, ONE)).sums
    np.testing.assert_array_equal(sums[0], np.array(weight_of(grid)) * ONE)


@given(grids(), st.integers(0, 2**32))
def test_levels_are_rounded_half_up_to_the_last_bit(grid, seed):
    check_rounding(grid, seed)


def test_levels_are_rounded_exactly_where_256_tiles_lie_over_each_other_each_way():
    grid = Grid(520, 513, 256, 255)
    assert max(map(max, weight_of(grid))) > 2**22
    check_rounding(grid, 0)


def check_rounding(grid, seed):
    """Random sums, and sums at a half or beside it, against integers of any size."""
    random = np.random.default_rng(seed)
    weights, weight = BlendWeights(grid), weight_of(grid)
    rows = random.integers(0, grid.height, 40).tolist()
    columns = random.integers(0, grid.width, 40).tolist()
    for row, column in zip(rows, columns, strict=True):
        one = weight[row][column] * ONE
        half = (2 * int(random.integers(0, TOP)) + 1) * one // (2 * TOP)
        sums = [int(random.integers(0, one + 1)), half - 1, half, half + 1, one - 1, one]
        levels = weights.levels(
            np.array(sums, weights.dtype)[:, None, None], Window(row, column, 1, 1)
        )
        assert levels.ravel().tolist() == [(2 * TOP * s + one) // (2 * one) for s in sums]


@pytest.mark.parametrize(("certain", "level"), [(1, 64), (2, 127), (3, 191)])
def test_a_half_is_rounded_up(certain, level):
    grid = Grid(3, 3, 2, 1)
    tiles = tiles_that_say(grid, ONE)[:certain] + tiles_that_say(grid, 0)[certain:]
    assert blended(grid, tiles)[0, 1, 1] == level, f"{certain} of 4, times 254, halves up"
