"""The fractal dimension of lines, by box counting."""

import numpy as np
from numpy.typing import NDArray

LARGEST, SMALLEST = 8, 128
"""Sides of boxes, as shares of the diameter: from 1/8 to 1/128, each half the one before."""


_SHIFTS = 4
"""Places of the grid along each axis; the one with the fewest boxes counts."""


def box_dimension(lines: NDArray[np.bool_], diameter: float) -> float:
    """The box-counting dimension of the pixels that are True [h, w].

    It is the slope of log(boxes with a pixel) over log(1 / side of a box). Sides are shares of the
    diameter, so that the same lines have the same dimension at any size of the image (Liebovitch
    and Toth, "A fast algorithm to determine fractal dimensions by box counting", 1989).

    Args:
        lines: Pixels of centre lines.
        diameter: What the sides are shares of, in pixels.

    Returns:
        1 of a line, 2 of a filled area; nan where there is no pixel, or the smallest box would be
        smaller than one.
    """
    places = np.argwhere(lines)
    shares = 2 ** np.arange(np.log2(LARGEST), np.log2(SMALLEST) + 1)
    if not len(places) or diameter < SMALLEST:
        return float("nan")
    boxes = [_fewest_boxes(places, diameter / share) for share in shares]
    return float(np.polyfit(np.log(shares), np.log(boxes), 1)[0])


def _fewest_boxes(places: NDArray[np.intp], side: float) -> int:
    """How many boxes of a grid hold a pixel, at the grid's best place."""
    shifts = np.arange(_SHIFTS) * side / _SHIFTS
    counts = []
    for down in shifts:
        for across in shifts:
            rows, columns = np.floor((places + (down, across)) / side).astype(np.intp).T
            counts.append(np.unique(rows * (int(columns.max()) + 1) + columns).size)
    return min(counts)
