"""Thinning: what stays together stays so, whichever way the image lies and wherever it is cut."""

import numpy as np
import pytest
from scipy.ndimage import label

from tests.tiling.lines.drawings import cross, parallel, ring, turned, wild
from tiling.lines.thinning import FEW, REACH, WIDEST, cells_of, thinned, widths_at

ALL_ROUND = np.ones((3, 3))


def cells_left(mask):
    return thinned(mask)[0]


def regions(cells):
    """Components of lines, and pieces of background."""
    cells = np.pad(cells, 1)
    return label(cells, ALL_ROUND)[1], label(~cells)[1]


@pytest.mark.parametrize("mask", [cross(), ring(), parallel(), wild()],
                         ids=["cross", "ring", "parallel", "wild"])  # fmt: skip
def test_components_and_holes_stay(mask):
    assert regions(cells_left(mask)) == regions(cells_of(mask))


@pytest.mark.parametrize("width", [1, 2, 3, 6, 7, 8])
def test_a_straight_line_of_any_width_is_thinned_to_its_middle(width):
    mask = np.zeros((40, 90), bool)
    mask[12 : 12 + width, 5:85] = True
    rows, columns = np.nonzero(cells_left(mask))
    assert set(rows) == {2 * 12 + width}  # In half pixels: from 12 to 12 + width.
    assert columns.size == columns.max() - columns.min() + 1
    # Each end is drawn in by half the width.
    assert columns.min() == 10 + width
    assert set(widths_at(mask, np.argwhere(cells_left(mask)))) == {width}


def test_no_cell_of_a_line_could_go_without_a_change_of_what_is_connected():
    cells = cells_left(wild())
    blocks = cells[:-1, :-1] & cells[1:, :-1] & cells[:-1, 1:] & cells[1:, 1:]
    assert not blocks.any()


@pytest.mark.parametrize("mask", [cross(), parallel()], ids=["cross", "parallel"])
def test_a_turned_drawing_of_straight_roads_gives_turned_cells(mask):
    upright = turned(cells_left(mask))
    for one, expected in zip(turned(mask), upright, strict=True):
        assert (cells_left(one) == expected).all()


def test_a_turned_image_gives_as_many_lines_and_holes():
    assert len({regions(cells_left(one)) for one in turned(wild())}) == 1


def test_cells_depend_on_pixels_within_reach_only():
    mask = np.pad(wild(60), 2 * REACH, mode="wrap")[:, REACH : REACH + 120]
    row = mask.shape[0] // 2
    part = mask[row - REACH - 5 : row + REACH + 5]
    whole = cells_left(mask)[2 * row - 8 : 2 * row + 8]
    assert (cells_left(part)[2 * (REACH + 5) - 8 : 2 * (REACH + 5) + 8] == whole).all()


def test_of_a_square_wider_than_roads_the_rim_is_a_line():
    mask = np.pad(np.ones((WIDEST + 60, WIDEST + 60), bool), 10)
    cells = cells_left(mask)
    assert regions(cells) == (1, 2)  # A ring, and what is in and around it.
    assert not cells[mask.shape[0], mask.shape[1]]


def test_hardly_a_road_is_so_wide_that_more_must_be_read():
    road = np.pad(np.ones((FEW - 5, 100), bool), 10)
    square = np.pad(np.ones((FEW + 20, FEW + 20), bool), 10)
    assert thinned(road)[1] <= FEW < thinned(square)[1]


def test_nothing_of_nothing():
    assert not cells_left(np.zeros((5, 7), bool)).any()
    assert widths_at(np.zeros((5, 7), bool), np.zeros((0, 2), int)).size == 0
