"""Weighted blending in integers.

Probabilities come as 16-bit levels and weights are whole numbers, so sums are exact: order,
partition, workers and interruptions cannot change a bit of the result.
"""

import numpy as np
from numpy.typing import NDArray

from tiling.grid import Grid
from tiling.window import Window

ONE = 65_535
"""Probability 1 as a 16-bit level."""

NODATA = 255
"""Level of a pixel that is not there."""

TOP = 254
"""Level of probability 1 in the written raster."""

_STEEPEST = 256
"""Weights end here: a longer overlap is not blended more finely, and sums stay in 64 bits."""


def quantise(probability: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Probability 0 to 1, any shape, to 16-bit levels."""
    levels: NDArray[np.uint16] = np.rint(probability * ONE).astype(np.uint16)
    return levels


def ramp(length: int, overlap: int) -> NDArray[np.int64]:
    """Weight along an axis of a tile [length]: rises over the overlap, flat inside, falls again."""
    from_border = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    weights: NDArray[np.int64] = np.minimum(from_border, max(1, min(overlap, _STEEPEST)))
    return weights


class Accumulator:
    """Sums of weighted levels over one part of a scene.

    Holds 8 bytes per pixel and class, and one for validity; nothing else grows with the part.

    Args:
        grid: The scene's tiles.
        part: The pixels to be summed.
        classes: Foreground classes.
    """

    def __init__(self, grid: Grid, part: Window, classes: int) -> None:
        self.grid = grid
        self.part = part
        self.sums = np.zeros((classes, part.height, part.width), np.int64)
        self.valid = np.zeros((part.height, part.width), bool)
        rows, columns = (
            ramp(length, grid.overlap) for length in (grid.tile_height, grid.tile_width)
        )
        self._weights = rows[:, None] * columns[None]
        self._down = _total(grid.rows, rows, part.row, part.height)
        self._across = _total(grid.columns, columns, part.column, part.width)

    def add(self, tile: Window, levels: NDArray[np.uint16], valid: NDArray[np.bool_]) -> None:
        """Adds what a tile has to say of this part.

        Args:
            tile: Where the tile lies in the scene.
            levels: 16-bit levels [classes, h, w].
            valid: Which of its pixels are there [h, w].
        """
        shared = tile.intersection(self.part)
        here, there = shared.slices(self.part), shared.slices(tile)
        self.sums[:, *here] += levels[:, *there] * self._weights[there]
        self.valid[here] = valid[there]

    def levels(self) -> NDArray[np.uint8]:
        """The blended levels [classes, h, w], 0 to 254, 255 where no pixel is.

        round(254 * sum(w * q) / (65535 * sum(w))), in integers, halves up. Every tile that
        holds a valid pixel has been added, so the sum of weights is that of the grid.
        """
        whole = (self._down[:, None] * self._across[None]) * ONE
        levels = (self.sums * TOP + whole // 2) // whole
        result: NDArray[np.uint8] = np.where(self.valid, levels, NODATA).astype(np.uint8)
        return result


def _total(
    origins: tuple[int, ...], weights: NDArray[np.int64], start: int, length: int
) -> NDArray[np.int64]:
    """Sum of the tiles' weights along one axis, over `length` pixels from `start`."""
    total = np.zeros(length, np.int64)
    for origin in origins:
        first, last = max(origin, start), min(origin + weights.size, start + length)
        if first < last:
            total[first - start : last - start] += weights[first - origin : last - origin]
    return total
