"""Where the tiles of a scene lie: a matter of the scene alone, never of how the work is cut."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tiling.errors import GridError
from tiling.part import Part, blocks
from tiling.window import Window


@dataclass(frozen=True)
class Grid:
    """Overlapping tiles that cover a scene.

    Every tile lies inside the scene: the last of a row or column moves inward (padding would
    change what group norm sees). Only a scene smaller than a tile has smaller tiles.

    Attributes:
        height: Rows of the scene.
        width: Columns of the scene.
        tile: Side of a tile in pixels.
        overlap: Pixels that neighbouring tiles share, at least.

    Raises:
        GridError: Sizes that make no grid.
    """

    height: int
    width: int
    tile: int
    overlap: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise GridError(f"a scene of {self.width} x {self.height} pixels has no tiles")
        if self.tile < 1:
            raise GridError(f"tile must be at least 1 pixel, not {self.tile}")
        if not 0 <= self.overlap < self.tile:
            raise GridError(
                f"overlap must be at least 0 and less than the tile ({self.tile}), "
                f"not {self.overlap}"
            )

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """First row of each row of tiles."""
        return _origins(self.height, self.tile, self.overlap)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """First column of each column of tiles."""
        return _origins(self.width, self.tile, self.overlap)

    @property
    def stride(self) -> int:
        """Pixels from one tile's origin to the next one's."""
        return self.tile - self.overlap

    @property
    def tile_height(self) -> int:
        """Rows of every tile."""
        return min(self.tile, self.height)

    @property
    def tile_width(self) -> int:
        """Columns of every tile."""
        return min(self.tile, self.width)

    @property
    def tile_count(self) -> int:
        """Tiles in the scene."""
        return len(self.rows) * len(self.columns)

    def tiles(self) -> Iterator[Window]:
        """The tiles, row by row."""
        for row in self.rows:
            for column in self.columns:
                yield Window(row, column, self.tile_height, self.tile_width)

    def parts(self, size: int) -> list[Part]:
        """Cuts the tiles into blocks that touch at most `size` by `size` pixels, row by row.

        Every tile is in one part. A block holds one tile at least, however small `size` is.
        """
        if size < 1:
            raise GridError(f"part size must be at least 1 pixel, not {size}")
        most = max(1, (size - self.overlap) // self.stride)
        rows = list(blocks(self.rows, self.tile_height, most))
        columns = list(blocks(self.columns, self.tile_width, most))
        return [Part(row, column) for row in rows for column in columns]


def _origins(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Where tiles start along an axis; the last one ends at the scene's border."""
    if length <= tile:
        return (0,)
    last = length - tile
    return (*range(0, last, tile - overlap), last)
