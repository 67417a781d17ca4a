"""Blocks of whole tiles: how the work on a scene is cut up, without computing a tile twice."""

from collections.abc import Iterator
from dataclasses import dataclass

from tiling.window import Window


@dataclass(frozen=True)
class Block:
    """A run of neighbouring tiles along one axis.

    Attributes:
        origins: Where its tiles start.
        start: First pixel that its tiles touch.
        stop: The one after the last that they touch.
        own_start: First pixel that no other block's tile touches.
        own_stop: The one after the last of them; equal to `own_start` where there is none.
    """

    origins: tuple[int, ...]
    start: int
    stop: int
    own_start: int
    own_stop: int


@dataclass(frozen=True)
class Part:
    """A block of whole tiles: what is computed, written and resumed at once.

    The pixels that only its own tiles touch are final when these are blended (`core`). Those
    that it shares with its neighbours (`rims`) are sums to which the neighbours add theirs, so
    that no tile is computed twice.

    Attributes:
        rows: Its tiles down the scene.
        columns: Its tiles across the scene.
    """

    rows: Block
    columns: Block

    @property
    def name(self) -> str:
        """Its place in the scene, as in a file's name."""
        return f"{self.rows.start}-{self.columns.start}"

    @property
    def tile_count(self) -> int:
        """How many tiles it holds."""
        return len(self.rows.origins) * len(self.columns.origins)

    def tiles(self) -> Iterator[Window]:
        """Its tiles, row by row."""
        height = self.rows.stop - self.rows.origins[-1]
        width = self.columns.stop - self.columns.origins[-1]
        for row in self.rows.origins:
            for column in self.columns.origins:
                yield Window(row, column, height, width)

    @property
    def extent(self) -> Window:
        """All pixels that its tiles touch."""
        return _window(self.rows.start, self.columns.start, self.rows.stop, self.columns.stop)

    @property
    def core(self) -> Window:
        """The pixels that no other part's tiles touch; of no size where there are none."""
        rows, columns = self.rows, self.columns
        if rows.own_start == rows.own_stop or columns.own_start == columns.own_stop:
            return Window(rows.start, columns.start, 0, 0)
        return _window(rows.own_start, columns.own_start, rows.own_stop, columns.own_stop)

    @property
    def rims(self) -> list[Window]:
        """The rest of its extent: above, below, left and right of the core, where there is any."""
        extent, core = self.extent, self.core
        rims = [
            _window(extent.row, extent.column, core.row, extent.right),
            _window(core.bottom, extent.column, extent.bottom, extent.right),
            _window(core.row, extent.column, core.bottom, core.column),
            _window(core.row, core.right, core.bottom, extent.right),
        ]
        return [rim for rim in rims if rim.pixels]


def _window(row: int, column: int, bottom: int, right: int) -> Window:
    return Window(row, column, bottom - row, right - column)


def blocks(origins: tuple[int, ...], tile: int, most: int) -> Iterator[Block]:
    """Cuts a row of tiles into blocks of `most` tiles; the last one may have fewer.

    They are not evened out: then memory would go up and down with the size of the scene.
    """
    for first in range(0, len(origins), most):
        last = min(first + most, len(origins))
        inside = origins[first:last]
        start, stop = inside[0], inside[-1] + tile
        # Origins ascend, so only the tile before and the one after the block reach furthest in.
        own_start = max(start, origins[first - 1] + tile) if first else start
        own_stop = min(stop, origins[last]) if last < len(origins) else stop
        if own_start >= own_stop:
            own_start = own_stop = start
        yield Block(inside, start, stop, own_start, own_stop)
