import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiling.grid import Grid
from tiling.window import Window


@st.composite
def cuts(draw):
    """A grid and its parts of any size."""
    tile = draw(st.integers(1, 40))
    height, width = draw(st.integers(1, 130)), draw(st.integers(1, 130))
    grid = Grid(height, width, tile, draw(st.integers(0, tile - 1)))
    return grid, grid.parts(draw(st.integers(1, 140)))


def touched_by(part, grid):
    """How many of a part's tiles touch each pixel of the scene."""
    count = np.zeros((grid.height, grid.width), int)
    for row in part.rows.origins:
        for column in part.columns.origins:
            count[Window(row, column, grid.tile_height, grid.tile_width).slices()] += 1
    return count


@given(cuts())
def test_the_extent_is_what_a_parts_tiles_touch(cut):
    grid, parts = cut
    for part in parts:
        touched = touched_by(part, grid) > 0
        assert touched[part.extent.slices()].all()
        assert touched.sum() == part.extent.pixels


@given(cuts())
def test_the_core_is_what_no_other_parts_tiles_touch(cut):
    grid, parts = cut
    parts_at = sum((touched_by(part, grid) > 0).astype(int) for part in parts)
    for part in parts:
        alone = np.zeros((grid.height, grid.width), bool)
        alone[part.extent.slices()] = parts_at[part.extent.slices()] == 1
        core = np.zeros_like(alone)
        core[part.core.slices()] = True
        np.testing.assert_array_equal(core, alone)


@given(cuts())
def test_core_and_rims_cover_the_extent_once(cut):
    grid, parts = cut
    for part in parts:
        count = np.zeros((grid.height, grid.width), int)
        for window in (part.core, *part.rims):
            assert window.row >= 0
            assert window.column >= 0
            count[window.slices()] += 1
        assert (count[part.extent.slices()] == 1).all()
        assert count.sum() == part.extent.pixels


@given(cuts())
def test_parts_have_names_of_their_own(cut):
    _, parts = cut
    assert len({part.name for part in parts}) == len(parts)


@given(cuts())
def test_parts_count_their_tiles(cut):
    grid, parts = cut
    assert sum(part.tile_count for part in parts) == grid.tile_count
    assert all(part.tile_count == len(part.rows.origins) * len(part.columns.origins) >= 1
               for part in parts)  # fmt: skip


def test_a_lone_part_shares_nothing():
    (part,) = Grid(90, 70, 20, 5).parts(1000)
    assert part.core == part.extent == Window(0, 0, 90, 70)
    assert part.rims == []


def test_neighbours_share_the_overlap():
    left, right = Grid(20, 35, 20, 5).parts(20)
    assert left.extent == Window(0, 0, 20, 20)
    assert left.core == Window(0, 0, 20, 15)
    assert left.rims == right.rims == [Window(0, 15, 20, 5)]
    assert right.core == Window(0, 20, 20, 15)


@pytest.mark.parametrize("overlap", [10, 15])
def test_where_tiles_overlap_by_half_and_more_a_part_may_have_no_core(overlap):
    parts = Grid(20, 100, 20, overlap).parts(20)
    assert all(part.core.pixels == 0 for part in parts[1:-1])
    assert all(part.rims == [part.extent] for part in parts[1:-1])
