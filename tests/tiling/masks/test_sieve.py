from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, label

from tiling.blend import NODATA
from tiling.errors import GridError
from tiling.masks.sieve import HOLES, SPECKS, Regions
from tiling.window import Window, split

SIDES = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
SIDES_AND_CORNERS = np.ones((3, 3))


@st.composite
def masks(draw):
    """Dense, sparse and in between, with some nodata and three classes, or one."""
    shape = draw(st.integers(1, 25)), draw(st.integers(1, 25))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    density, missing = draw(st.sampled_from([0.2, 0.4, 0.6, 0.8])), draw(st.sampled_from([0, 0.03]))
    mask = np.where(random.random(shape) < density, random.integers(1, 4, shape), 0)
    mask[random.random(shape) < missing] = NODATA
    return mask.astype(np.uint8)


def regions_of(mask, windows, kind):
    regions = Regions(*mask.shape, kind)
    for window in windows:
        regions.add(window, mask[window.slices()])
    return regions


def small_regions(mask, windows, kind, minimum):
    """[h, w], put together from the windows."""
    regions = regions_of(mask, windows, kind).smaller_than(minimum)
    small = np.zeros(mask.shape, bool)
    for window in windows:
        small[window.slices()] = regions.within(window, mask[window.slices()])
    return small


def sieved(mask, windows, minimum):
    """Without specks, then without holes; these become class 1."""
    result = np.where(small_regions(mask, windows, SPECKS, minimum), 0, mask)
    return np.where(small_regions(result, windows, HOLES, minimum), 1, result)


def sieved_at_once(mask, minimum):
    """The same from the scene as a whole, region by region."""
    result = mask.copy()
    labels, count = label((mask > 0) & (mask < NODATA), SIDES_AND_CORNERS)
    for region in (labels == number for number in range(1, count + 1)):
        if region.sum() < minimum:
            result[region] = 0
    labels, count = label(result == 0, SIDES)
    around = np.pad(mask == NODATA, 1, constant_values=True)
    is_open = binary_dilation(around, SIDES)[1:-1, 1:-1]
    for region in (labels == number for number in range(1, count + 1)):
        if region.sum() < minimum and not is_open[region].any():
            result[region] = 1
    return result


def cut(mask, size):
    return list(split(*mask.shape, size))


@settings(max_examples=200)
@given(masks(), st.integers(1, 27), st.integers(0, 60))
def test_windows_give_what_the_whole_scene_gives(mask, size, minimum):
    result = sieved(mask, cut(mask, size), minimum)
    np.testing.assert_array_equal(result, sieved_at_once(mask, minimum))


@given(masks(), st.sets(st.integers(1, 24)), st.sets(st.integers(1, 24)), st.integers(0, 60))
def test_windows_may_be_of_any_widths_and_heights(mask, rows, columns, minimum):
    ends = (
        [*sorted(end for end in cuts if end < length), length]
        for cuts, length in zip((rows, columns), mask.shape, strict=True)
    )
    down, across = ([0, *some] for some in ends)
    windows = [
        Window(top, left, bottom - top, right - left)
        for top, bottom in pairwise(down)
        for left, right in pairwise(across)
    ]
    np.testing.assert_array_equal(sieved(mask, windows, minimum), sieved_at_once(mask, minimum))


@given(masks(), st.integers(1, 9), st.integers(0, 700))
def test_nodata_stays_and_nothing_else_becomes_nodata(mask, size, minimum):
    result = sieved(mask, cut(mask, size), minimum)
    np.testing.assert_array_equal(result == NODATA, mask == NODATA)


@given(masks(), st.integers(1, 9), st.sampled_from([SPECKS, HOLES]))
def test_no_region_has_fewer_pixels_than_one(mask, size, kind):
    assert not small_regions(mask, cut(mask, size), kind, minimum=1).any()


def snake(side):
    """One line of pixels [side, side] that goes to and fro through all of it."""
    mask = np.zeros((side, side), np.uint8)
    mask[::2] = 1
    mask[1::4, -1] = mask[3::4, 0] = 1
    return mask


@pytest.mark.parametrize("size", [1, 2, 5, 8, 41])
def test_a_snake_through_all_windows_is_one_region(size):
    mask = snake(41)
    pixels = int(mask.sum())
    windows = cut(mask, size)
    assert not small_regions(mask, windows, SPECKS, pixels).any()
    np.testing.assert_array_equal(small_regions(mask, windows, SPECKS, pixels + 1), mask == 1)


@pytest.mark.parametrize("size", [1, 2, 5, 8, 43])
def test_a_winding_hole_through_all_windows_is_one_region(size):
    mask = np.pad(1 - snake(41), 1, constant_values=1)
    pixels = int((mask == 0).sum())
    windows = cut(mask, size)
    assert not small_regions(mask, windows, HOLES, pixels).any()
    np.testing.assert_array_equal(small_regions(mask, windows, HOLES, pixels + 1), mask == 0)


@pytest.mark.parametrize("flip", [False, True], ids=["falling", "rising"])
@pytest.mark.parametrize("size", [1, 3, 6])
def test_a_corner_joins_foreground_but_not_background(flip, size):
    # Windows of 3 meet between the two pixels.
    two = np.zeros((6, 6), np.uint8)
    two[2, 2] = two[3, 3] = 1
    if flip:
        two = two[:, ::-1]
    assert not small_regions(two, cut(two, size), SPECKS, minimum=2).any()
    holes = 1 - two
    np.testing.assert_array_equal(small_regions(holes, cut(two, size), HOLES, minimum=2), two == 1)


def test_foreground_of_two_classes_is_one_region():
    mask = np.array([[1, 2, 0, 3]], np.uint8)
    np.testing.assert_array_equal(sieved(mask, cut(mask, 1), minimum=2), [[1, 2, 0, 0]])


def test_a_speck_at_the_border_of_the_scene_goes():
    mask = np.array([[1, 0, 0], [0, 0, 0], [0, 0, NODATA]], np.uint8)
    assert not (sieved(mask, cut(mask, 2), minimum=2) == 1).any()


def counted(mask, size, kind):
    return regions_of(mask, cut(mask, size), kind).count()


@settings(max_examples=200)
@given(masks(), st.integers(1, 27))
def test_regions_are_counted_as_in_the_whole_scene(mask, size):
    _, specks = label((mask > 0) & (mask < NODATA), SIDES_AND_CORNERS)
    assert counted(mask, size, SPECKS) == specks
    labels, holes = label(mask == 0, SIDES)
    around = np.pad(mask == NODATA, 1, constant_values=True)
    is_open = binary_dilation(around, SIDES)[1:-1, 1:-1]
    assert counted(mask, size, HOLES) == holes - np.setdiff1d(labels[is_open], 0).size


@pytest.mark.parametrize("size", [1, 2, 5, 8, 43])
def test_a_snake_counts_once_and_so_does_a_winding_hole(size):
    line = np.pad(snake(41), 1)
    assert (counted(line, size, SPECKS), counted(line, size, HOLES)) == (1, 0)
    ditch = np.pad(1 - snake(41), 1, constant_values=1)
    assert counted(ditch, size, HOLES) == 1


@pytest.mark.parametrize("value", [0, 1, NODATA])
def test_a_scene_of_one_value_is_one_region_or_none(value):
    mask = np.full((7, 9), value, np.uint8)
    assert counted(mask, 3, SPECKS) == (value == 1)
    assert counted(mask, 3, HOLES) == 0


RING = np.array([[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]], np.uint8)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_hole_in_a_ring_is_filled(size):
    assert (sieved(RING, cut(RING, size), minimum=3) == 1).all()


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("value", [0, NODATA], ids=["border", "nodata"])
@pytest.mark.parametrize("gap", [(0, 1), (0, 2), (1, 0), (1, 3), (2, 1), (2, 2)])
def test_a_hole_that_is_open_stays(gap, value, size):
    mask = RING.copy()
    mask[gap] = value
    np.testing.assert_array_equal(sieved(mask, cut(mask, size), minimum=4), mask)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("corner", [(0, 0), (0, 3), (2, 0), (2, 3)])
def test_a_hole_is_not_open_over_a_corner(corner, size):
    mask = RING.copy()
    mask[corner] = NODATA
    assert (sieved(mask, cut(mask, size), minimum=4)[1] == 1).all()


@pytest.mark.parametrize(
    "windows",
    [
        [Window(0, 2, 2, 2)],
        [Window(0, 0, 2, 2), Window(2, 0, 2, 2)],
        [Window(0, 0, 2, 2), Window(0, 3, 2, 1)],
        [Window(0, 0, 2, 2), Window(0, 2, 1, 2)],
        [Window(0, 0, 2, 4), Window(0, 0, 2, 4)],
    ],
    ids=["begins late", "column by column", "gap", "uneven", "twice"],
)
def test_a_window_that_does_not_follow_is_refused(windows):
    mask = np.zeros((4, 4), np.uint8)
    regions = regions_of(mask, windows[:-1], SPECKS)
    with pytest.raises(GridError, match="regions need windows row by row"):
        regions.add(windows[-1], mask[windows[-1].slices()])


@pytest.mark.parametrize(
    "windows",
    [[], [Window(0, 0, 2, 4)], [Window(0, 0, 2, 4), Window(2, 0, 2, 2)]],
    ids=["none", "a row is lacking", "a column is lacking"],
)
def test_regions_of_half_a_scene_are_refused(windows):
    regions = regions_of(np.ones((4, 4), np.uint8), windows, HOLES)
    with pytest.raises(GridError, match="regions need windows to the scene's last pixel"):
        regions.count()
    with pytest.raises(GridError, match="regions need windows to the scene's last pixel"):
        regions.smaller_than(2)
