import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, label

from tiling.blend import NODATA, TOP
from tiling.masks.mask import Cleaning, class_mask, likeliest_class
from tiling.spool import Spool
from tiling.window import split

EVERY_LEVEL = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
SIDES = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
SIDES_AND_CORNERS = np.ones((3, 3))


@pytest.mark.parametrize("threshold", range(1, 255))
def test_of_one_band_exactly_what_reaches_the_threshold_is_foreground(threshold):
    mask = class_mask(EVERY_LEVEL, threshold)
    assert mask.dtype == np.uint8
    there = EVERY_LEVEL[0] != NODATA
    np.testing.assert_array_equal(mask[there], EVERY_LEVEL[0][there] >= threshold)
    np.testing.assert_array_equal(mask == NODATA, ~there)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((200, 20), 1),
        ((20, 200), 2),
        ((100, 90), 1),
        ((90, 100), 2),
        ((60, 60), 0),
        ((0, 0), 0),
        ((TOP, 0), 1),
        ((0, TOP), 2),
        ((127, 127), 1),
        ((84, 85), 2),
        ((84, 84), 0),
        ((NODATA, NODATA), NODATA),
    ],
)
def test_of_two_bands_the_likeliest_of_three_classes_is_taken(levels, expected):
    assert class_mask(np.array(levels, np.uint8).reshape(2, 1, 1), 127).item() == expected


@st.composite
def probabilities(draw):
    """Levels of two to four foreground classes [classes, 1, pixels], at most 254 together."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    classes = draw(st.integers(2, 4))
    cuts = np.sort(random.integers(0, TOP + 1, (classes, 1, 40)), axis=0)
    return np.diff(cuts, axis=0, prepend=0).astype(np.uint8)


@given(probabilities())
def test_of_several_bands_at_127_the_highest_of_all_is_taken(levels):
    background = TOP - levels.sum(axis=0, dtype=int)
    mask = class_mask(levels, 127)
    highest = levels.max(axis=0)
    np.testing.assert_array_equal(mask == 0, background > highest)
    of_class = np.take_along_axis(levels, np.maximum(mask, 1)[None].astype(int) - 1, axis=0)[0]
    np.testing.assert_array_equal(of_class[mask > 0], highest[mask > 0])


@given(probabilities(), st.integers(1, 253))
def test_a_higher_threshold_only_takes_pixels_away(levels, threshold):
    lower, higher = class_mask(levels, threshold), class_mask(levels, threshold + 1)
    np.testing.assert_array_equal(higher[higher > 0], lower[higher > 0])


@given(st.integers(0, TOP), st.integers(1, 254))
def test_a_class_that_has_no_part_changes_nothing(level, threshold):
    one = np.full((1, 1, 1), level, np.uint8)
    two = np.concatenate([one, np.zeros_like(one)])
    assert class_mask(two, threshold).item() == class_mask(one, threshold).item()


@pytest.mark.parametrize("threshold", [1, 127, 254])
def test_where_nothing_is_left_for_the_background_the_threshold_does_not_matter(threshold):
    levels = np.array([100, 154], np.uint8).reshape(2, 1, 1)
    assert class_mask(levels, threshold).item() == 2


# Small regions.


@st.composite
def level_rasters(draw):
    """Levels of one or two classes [classes, h, w] in patches, with some nodata."""
    shape = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    classes, missing = draw(st.integers(1, 2)), draw(st.sampled_from([0, 0.03]))
    levels = random.integers(0, TOP + 1, (classes, *shape)) // classes
    levels[:, random.random(shape) < missing] = NODATA
    return levels.astype(np.uint8)


def at_once(levels, threshold, minimum):
    """What the whole scene gives, region by region."""
    mask = class_mask(levels, threshold)
    labels, count = label((mask > 0) & (mask < NODATA), SIDES_AND_CORNERS)
    for region in (labels == number for number in range(1, count + 1)):
        if region.sum() < minimum:
            mask[region] = 0
    labels, count = label(mask == 0, SIDES)
    around = np.pad(mask == NODATA, 1, constant_values=True)
    is_open = binary_dilation(around, SIDES)[1:-1, 1:-1]
    for region in (labels == number for number in range(1, count + 1)):
        if region.sum() < minimum and not is_open[region].any():
            mask[region] = likeliest_class(levels)[region]
    return mask


def window_by_window(levels, threshold, minimum, size):
    """Adds masks as views of one array, which must not be written to."""
    whole, likeliest = class_mask(levels, threshold), likeliest_class(levels)
    whole.flags.writeable = likeliest.flags.writeable = False
    result = np.full(whole.shape, 77, np.uint8)
    with Spool(Path(tempfile.gettempdir())) as spool:
        cleaning = Cleaning(*whole.shape, minimum, spool)
        for window in split(*whole.shape, size):
            cleaning.add(window, whole[window.slices()], likeliest[window.slices()])
        for window, mask in cleaning.cleaned():
            assert mask.dtype == np.uint8
            result[window.slices()] = mask
    return result


@settings(max_examples=150)
@given(level_rasters(), st.integers(60, 190), st.integers(0, 40), st.integers(1, 32))
def test_windows_of_any_size_give_what_the_whole_scene_gives(levels, threshold, minimum, size):
    result = window_by_window(levels, threshold, minimum, size)
    np.testing.assert_array_equal(result, at_once(levels, threshold, minimum))


@given(level_rasters(), st.sampled_from([0, 1]), st.integers(1, 32))
def test_regions_of_one_pixel_stay_where_no_smallest_size_is_asked_for(levels, minimum, size):
    np.testing.assert_array_equal(
        window_by_window(levels, 127, minimum, size), class_mask(levels, 127)
    )


def test_a_hole_becomes_the_class_that_is_likeliest_there():
    levels = np.zeros((2, 5, 5), np.uint8)
    levels[0] = 200
    levels[:, 2, 2] = 50, 60
    assert class_mask(levels, 127)[2, 2] == 0
    assert window_by_window(levels, 127, 2, 3)[2, 2] == 2


def test_a_speck_inside_a_hole_goes_with_it():
    mask = np.full((1, 9, 9), TOP, np.uint8)
    mask[0, 2:7, 2:7] = 0
    mask[0, 4, 4] = TOP
    assert (window_by_window(mask, 127, 26, 4) == 1).all()
