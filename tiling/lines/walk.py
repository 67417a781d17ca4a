"""Walks over a mask of any size and finds the network of its lines."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tiling.blend import NODATA
from tiling.lines.network import PIXEL, SIXTEENTHS, Network, network_of
from tiling.lines.thinning import FEW, NEAR, REACH, WIDEST, thinned, widths_at
from tiling.lines.tracing import MARGIN, MISSING, Pieces, trace
from tiling.window import Window, split_near

AT_ONCE = 2048
"""Side of what is thinned at once, in pixels; the result does not depend on it."""

Read = Callable[[Window], tuple[NDArray[np.bool_], NDArray[np.uint8]]]
"""Reads a window: where the mask is [h, w], and values of its pixels [values, h, w]."""


def walked(
    height: int,
    width: int,
    read: Read,
    at_once: int = AT_ONCE,
    progress: Callable[[int], None] = lambda windows: None,
    areas: Sequence[Window] | None = None,
) -> Network:
    """The network of a mask, as it is thinned: with all its spurs.

    The values of its cells are the first that is read, the width, and the others.

    Args:
        height: Rows of the mask.
        width: Columns.
        read: Reads it.
        at_once: Side of the windows.
        progress: Is told of each window that is done.
        areas: There is nothing outside of these; None where there may be anywhere.
    """
    scene = Window(0, 0, height, width)
    pieces = Pieces()
    # The cells of a window's upper and left side touch the pixels of its neighbours.
    for window in split_near(height, width, at_once, areas or [scene], margin=1):
        _trace_window(window, scene, read, pieces)
        progress(1)
    return network_of(pieces)


def _trace_window(window: Window, scene: Window, read: Read, into: Pieces) -> None:
    for reach in (NEAR, REACH):
        around = window.grown(reach + MARGIN).intersection(scene)
        mask, values = read(around)
        cells, layers = thinned(mask)
        if layers <= FEW:
            break
    # Cells near the border of what was read are not those of the whole scene.
    kept = window.grown(MARGIN).intersection(scene)
    rows, columns = (
        slice(PIXEL * part.start, PIXEL * part.stop + 1) for part in kept.slices(around)
    )
    cells = cells[rows, columns]
    if not cells.any():
        return
    points = np.argwhere(cells) + (rows.start, columns.start)
    # Widths are exact where the whole of a widest line is within what is looked at.
    near = window.grown(WIDEST).intersection(around)
    origin = PIXEL * (near.row - around.row), PIXEL * (near.column - around.column)
    widths = widths_at(mask[near.slices(around)], points - origin)
    levels = _at(values, points)
    measured = np.insert(levels, 1, np.rint(widths * SIXTEENTHS), axis=1)
    trace(
        cells,
        measured.astype(np.int16),
        (PIXEL * kept.row, PIXEL * kept.column),
        _own_cells(window, scene),
        into,
    )


def _own_cells(window: Window, scene: Window) -> Window:
    """A window's cells: those of its pixels, and the sides above and to the left of them."""
    return Window(
        PIXEL * window.row,
        PIXEL * window.column,
        PIXEL * window.height + (window.bottom == scene.bottom),
        PIXEL * window.width + (window.right == scene.right),
    )


def _at(values: NDArray[np.uint8], points: NDArray[np.intp]) -> NDArray[np.int16]:
    """The greatest value of the pixels that each cell touches [n, values]; 255 is missing."""
    _, height, width = values.shape
    row, column = points.T
    found = np.full((len(points), len(values)), MISSING, np.int16)
    for down in (1, 0):
        for right in (1, 0):
            one = values[
                :,
                ((row - down) // PIXEL).clip(0, height - 1),
                ((column - right) // PIXEL).clip(0, width - 1),
            ].T.astype(np.int16)
            found = np.maximum(found, np.where(one == NODATA, MISSING, one))
    return found
