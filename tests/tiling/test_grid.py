from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiling.errors import GridError, TilingError
from tiling.grid import Grid
from tiling.window import Window


@st.composite
def grids(draw):
    tile = draw(st.integers(1, 40))
    return Grid(
        draw(st.integers(1, 130)),
        draw(st.integers(1, 130)),
        tile,
        draw(st.integers(0, tile - 1)),
    )


@given(grids())
def test_tiles_lie_inside_the_scene_and_cover_every_pixel(grid):
    covered = np.zeros((grid.height, grid.width), bool)
    for tile in grid.tiles():
        assert tile.row >= 0
        assert tile.column >= 0
        assert tile.bottom <= grid.height
        assert tile.right <= grid.width
        covered[tile.slices()] = True
    assert covered.all()


@given(grids())
def test_neighbours_share_at_least_the_overlap(grid):
    for origins in (grid.rows, grid.columns):
        for before, after in pairwise(origins):
            assert before < after
            assert before + grid.tile - after >= grid.overlap


@given(grids())
def test_only_a_scene_smaller_than_a_tile_has_smaller_tiles(grid):
    for tile in grid.tiles():
        assert tile.height == (grid.tile if grid.height >= grid.tile else grid.height)
        assert tile.width == (grid.tile if grid.width >= grid.tile else grid.width)


@given(grids())
def test_no_tile_lies_twice_and_all_are_counted(grid):
    tiles = list(grid.tiles())
    assert len(set(tiles)) == len(tiles) == grid.tile_count


def tiles_of(part, grid):
    return [
        Window(row, column, grid.tile_height, grid.tile_width)
        for row in part.rows.origins
        for column in part.columns.origins
    ]


@given(grids(), st.integers(1, 140))
def test_every_tile_is_in_exactly_one_part(grid, size):
    shared_out = [tile for part in grid.parts(size) for tile in tiles_of(part, grid)]
    assert sorted(shared_out) == sorted(grid.tiles())


@given(grids(), st.integers(1, 140))
def test_parts_touch_at_most_their_size_unless_a_tile_is_larger(grid, size):
    for part in grid.parts(size):
        assert part.extent.height <= size or len(part.rows.origins) == 1
        assert part.extent.width <= size or len(part.columns.origins) == 1


@given(grids(), st.integers(1, 140))
def test_parts_are_as_large_as_their_size_allows(grid, size):
    for part in grid.parts(size):
        if part.extent.bottom < grid.height:
            assert part.extent.height + grid.stride > size
        if part.extent.right < grid.width:
            assert part.extent.width + grid.stride > size


@given(grids(), st.integers(1, 140))
def test_every_pixel_is_in_some_part(grid, size):
    covered = np.zeros((grid.height, grid.width), bool)
    for part in grid.parts(size):
        covered[part.extent.slices()] = True
    assert covered.all()


def test_the_last_tile_moves_inward():
    grid = Grid(65, 64, 64, 16)
    assert grid.rows == (0, 1)
    assert grid.columns == (0,)


@pytest.mark.parametrize(
    ("height", "width", "tile", "overlap"),
    [(0, 5, 4, 1), (5, 0, 4, 1), (5, 5, 0, 0), (5, 5, 4, 4), (5, 5, 4, 9), (5, 5, 4, -1)],
)
def test_sizes_that_make_no_grid_are_refused(height, width, tile, overlap):
    with pytest.raises(GridError) as caught:
        Grid(height, width, tile, overlap)
    assert isinstance(caught.value, TilingError)
    assert isinstance(caught.value, ValueError)


def test_parts_without_pixels_are_refused():
    with pytest.raises(GridError, match="part size"):
        Grid(5, 5, 4, 1).parts(0)
