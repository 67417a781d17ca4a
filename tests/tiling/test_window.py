import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiling.window import Window, split, split_near

SIDE = 24
SCENE = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)


@st.composite
def windows(draw):
    row, column = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
    return Window(
        row, column, draw(st.integers(1, SIDE - row)), draw(st.integers(1, SIDE - column))
    )


def pixels_of(window):
    return {
        (row, column)
        for row in range(window.row, window.bottom)
        for column in range(window.column, window.right)
    }


@given(windows(), windows())
def test_intersection_holds_the_pixels_that_both_hold(one, other):
    assert pixels_of(one.intersection(other)) == pixels_of(one) & pixels_of(other)


@given(windows(), windows())
def test_windows_meet_exactly_where_they_share_a_pixel(one, other):
    assert one.meets(other) == bool(pixels_of(one) & pixels_of(other))
    assert one.meets(other) == other.meets(one)


@given(windows())
def test_slices_cut_out_the_windows_pixels(window):
    cut = SCENE[window.slices()]
    assert cut.size == window.pixels
    assert {divmod(int(value), SIDE) for value in cut.flat} == pixels_of(window)


@given(windows(), windows())
def test_slices_from_an_origin_find_the_same_pixels_in_the_array_that_starts_there(one, other):
    shared = one.intersection(other)
    if shared.pixels:
        inside = SCENE[one.slices()][shared.slices(one)]
        np.testing.assert_array_equal(inside, SCENE[shared.slices()])


@given(windows(), st.integers(0, 9))
def test_grown_window_has_the_margin_on_every_side(window, margin):
    grown = window.grown(margin)
    assert (window.row - grown.row, window.column - grown.column) == (margin, margin)
    assert (grown.bottom - window.bottom, grown.right - window.right) == (margin, margin)


@given(windows())
def test_rasterio_reads_the_same_rows_and_columns(window):
    assert window.as_rasterio().toslices() == window.slices()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70))
def test_split_gives_every_pixel_to_exactly_one_window(height, width, size):
    counted = np.zeros((height, width), int)
    for window in split(height, width, size):
        assert 1 <= window.height <= size
        assert 1 <= window.width <= size
        counted[window.slices()] += 1
    assert (counted == 1).all()


def test_a_window_cannot_be_changed():
    with pytest.raises(AttributeError):
        Window(0, 0, 1, 1).row = 3


def test_only_the_windows_near_an_area_are_cut_out():
    assert list(split_near(100, 90, 40, [Window(0, 0, 100, 90)])) == list(split(100, 90, 40))
    areas = [Window(5, 5, 10, 10), Window(79, 41, 1, 9)]
    assert split_near(100, 90, 40, areas) == [Window(0, 0, 40, 40), Window(40, 40, 40, 40)]
    assert split_near(100, 90, 40, areas[1:], margin=1) == [
        Window(40, 40, 40, 40), Window(80, 40, 20, 40),
    ]  # fmt: skip
