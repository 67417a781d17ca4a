"""Where a prediction is least certain."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.measurements.network import Levels
from pipelines.scores.counts import together
from tiling.blend import NODATA, TOP
from tiling.window import Window, split

MOST = 20
"""Places that are kept of a scene."""


_AT_ONCE = 1024


_SIDES = (128, 64, 32)
"""Sides of a place in pixels: the first that leaves six in the scene's shorter side."""


@dataclass(frozen=True)
class Doubt:
    """How certain a prediction is.

    Attributes:
        places: The squares in which it is least certain, the worst first.
        pixels: How many pixels have each level of the foreground [255].
    """

    places: "Sequence[Place]"
    pixels: NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """A square of a scene.

    Attributes:
        window: Where it is.
        entropy: Of the prediction, in bits: mean over its pixels, 0 (certain) to 1 (a coin).
    """

    window: Window
    entropy: float


def doubt_of(probability: Levels, most: int = MOST, side: int | None = None) -> Doubt:
    """Where a prediction is least certain.

    Squares of one size cover the scene; none that is taken touches another. The entropy of a pixel
    is that of foreground against background (Shannon, 1948).

    Args:
        probability: Levels of the foreground.
        most: How many squares; fewer where there are no more.
        side: Of a square in pixels; by default 128, and less in small scenes.

    Raises:
        SceneError: The raster cannot be read.
    """
    height, width = probability.height, probability.width
    if side is None:
        side = next((one for one in _SIDES if min(height, width) >= 6 * one), _SIDES[-1])
    shape = -(-height // side), -(-width // side)
    total, count = np.zeros(shape), np.zeros(shape)
    pixels = np.zeros(NODATA + 1, np.int64)
    bits = np.append(entropy(np.arange(TOP + 1) / TOP), 0)
    for window in split(height, width, max(1, _AT_ONCE // side) * side):
        levels = together(probability.read(window))
        pixels += np.bincount(levels.ravel(), minlength=NODATA + 1)
        first = window.row // side, window.column // side
        for sums, of_level in ((total, bits), (count, np.arange(NODATA + 1) != NODATA)):
            found = _by_square(of_level[levels], side)
            sums[first[0] :, first[1] :][: found.shape[0], : found.shape[1]] = found
    # Of a square that is mostly missing, the rest says little.
    mean = np.where(count >= side**2 / 2, total / np.maximum(count, 1), -1)
    places = _apart(mean, side, Window(0, 0, height, width), most)
    return Doubt(places, pixels[:NODATA])


def entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of foreground against background, in bits, from the probability of foreground."""
    both = np.stack([p, 1 - p])
    bits: NDArray[np.float64] = -(both * np.log2(np.maximum(both, 1e-300))).sum(axis=0)
    return bits


def _by_square(values: NDArray[np.generic], side: int) -> NDArray[np.float64]:
    """Sums over squares; those at the right and at the bottom may be cut off."""
    rows, columns = (np.arange(0, length, side) for length in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows, 0, np.float64), columns, 1)
    return np.asarray(sums, np.float64)


def _apart(mean: NDArray[np.float64], side: int, scene: Window, most: int) -> list[Place]:
    """The highest values, none beside another."""
    free = mean.copy()
    found: list[Place] = []
    while len(found) < most and free.max(initial=0) > 0:
        row, column = np.unravel_index(int(free.argmax()), free.shape)
        window = Window(int(row) * side, int(column) * side, side, side).intersection(scene)
        found.append(Place(window, float(mean[row, column])))
        free[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = -1
    return found
