"""Weighted blending in integers.

Probabilities come in 16-bit fixed point and weights are whole numbers, so sums are exact: order,
partition, workers and interruptions cannot change a bit of the result. A level is one of the 255
steps, 0 to 254, in which probabilities are written in the end.
"""

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tiling.errors import ProbabilityError
from tiling.grid import Grid
from tiling.part import Part
from tiling.window import Window

ONE = 65_535
"""Probability 1 in 16-bit fixed point."""

NODATA = 255
"""Level of a predicted pixel that is not there. It has nothing to do with values of labels."""

TOP = 254
"""Level of probability 1 in the written raster."""

Sums = NDArray[np.unsignedinteger]

_HIGHEST = 64
"""Largest weight along an axis: a longer overlap rises to it in finer steps, and sums stay in
32 bits."""

_ROWS_AT_ONCE = 16
"""Rows that are divided at once, so that what is held in between stays in the cache."""


def quantise(probability: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Probability 0 to 1, any shape, to 16-bit fixed point.

    Raises:
        ProbabilityError: One is no finite number: it would become any number at all.
    """
    # One number tells of all: a sum with nan or infinity is not finite.
    if not np.isfinite(probability.sum()):
        raise ProbabilityError(
            f"{int((~np.isfinite(probability)).sum())} of {probability.size} probabilities are no "
            "finite numbers"
        )
    fixed: NDArray[np.uint16] = np.rint(probability * ONE).astype(np.uint16)
    return fixed


def ramp(length: int, overlap: int) -> NDArray[np.int64]:
    """Weight along an axis of a tile [length]: rises over the overlap, flat inside, falls again."""
    from_border = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    rise = max(1, overlap)
    # Rounded up, so that no pixel is without weight.
    weights: NDArray[np.int64] = -(-np.minimum(from_border, rise) * min(rise, _HIGHEST) // rise)
    return weights


class BlendWeights:
    """Blend weights of a scene's grid.

    Args:
        grid: The scene's tiles.

    Attributes:
        tile: Weight of each pixel of a tile [tile height, tile width].
        dtype: Unsigned integers that hold every sum of weighted probabilities.
    """

    def __init__(self, grid: Grid) -> None:
        rows, columns = (
            ramp(length, grid.overlap) for length in (grid.tile_height, grid.tile_width)
        )
        self._down = _total(grid.rows, rows, grid.height)
        self._across = _total(grid.columns, columns, grid.width)
        largest = int(self._down.max()) * int(self._across.max()) * ONE
        self.dtype = np.dtype(np.uint32 if largest < 2**32 else np.uint64)
        self.tile: Sums = (rows[:, None] * columns[None]).astype(self.dtype)

    def levels(self, sums: Sums, window: Window) -> NDArray[np.uint8]:
        """Sums of weighted probabilities [bands, h, w] of a window to levels 0 to 254.

        round(254 * sum(w * q) / (65535 * sum(w))), halves up. Every tile that holds a valid
        pixel has been added, so the sum of weights is that of the grid. The quotient is taken
        in 64-bit floats, which is exact: numbers are whole and below 2^52 (with up to 256 tiles
        over each other each way), and a quotient that is no whole number is further from the next
        one than floats can be off.
        """
        result = np.empty(sums.shape, np.uint8)
        quotients = np.empty((len(sums), _ROWS_AT_ONCE, window.width))
        last: NDArray[np.float64] | None = None
        for rows, whole in self._wholes(window):
            if whole is not last:
                half, last = np.floor(whole / 2), whole
            quotient = quotients[:, : len(whole)]
            np.multiply(sums[:, rows], float(TOP), out=quotient)
            quotient += half
            quotient /= whole
            result[:, rows] = quotient
        return result

    def probability(self, sums: Sums, window: Window) -> NDArray[np.float32]:
        """The same to probabilities 0 to 1."""
        result = np.empty(sums.shape, np.float32)
        for rows, whole in self._wholes(window):
            result[:, rows] = sums[:, rows] / whole
        return result

    def _wholes(self, window: Window) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """What the sums come to where every tile says 1, some rows of a window at a time.

        It is the same array as before where it has the same values, as in most of a scene.
        """
        down = self._down[window.row : window.bottom].astype(np.float64) * ONE
        across = self._across[window.column : window.right].astype(np.float64)
        whole = np.empty((0, window.width))
        for first in range(0, window.height, _ROWS_AT_ONCE):
            rows = slice(first, min(first + _ROWS_AT_ONCE, window.height))
            before = down[max(0, first - _ROWS_AT_ONCE) : first]
            if not np.array_equal(before, down[rows]):
                whole = down[rows, None] * across[None]
            yield rows, whole


class Accumulator:
    """Sums of weighted probabilities over a part's extent; several threads may add tiles.

    Holds 4 bytes per pixel and band (8 where tiles overlap very much), and one for validity.

    Args:
        weights: Of the scene's grid.
        part: Whose tiles are added.
        bands: Classes, and steps, that are blended side by side.
    """

    def __init__(self, weights: BlendWeights, part: Part, bands: int) -> None:
        self.weights = weights
        self.part = part
        self.sums: Sums = np.zeros((bands, part.extent.height, part.extent.width), weights.dtype)
        self.valid = np.zeros((part.extent.height, part.extent.width), bool)
        self._lock = threading.Lock()

    def add(self, tile: Window, fixed: NDArray[np.uint16], valid: NDArray[np.bool_]) -> None:
        """Adds what a tile has to say.

        Args:
            tile: Where the tile lies in the scene.
            fixed: Probabilities in 16-bit fixed point [bands, h, w]; more than the tile's pixels
                are cut off.
            valid: Which of its pixels are there [h, w].
        """
        rows, columns = tile.slices(self.part.extent)
        weighted = fixed[:, : tile.height, : tile.width] * self.weights.tile
        with self._lock:
            self.sums[:, rows, columns] += weighted
            self.valid[rows, columns] = valid[: tile.height, : tile.width]


def _total(origins: tuple[int, ...], weights: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Sum of the tiles' weights along one axis of the scene."""
    total = np.zeros(length, np.int64)
    for origin in origins:
        total[origin : origin + weights.size] += weights
    return total
