"""Overviews of classes: rasters of half the size in which thin lines neither vanish nor widen."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tiling.blend import NODATA
from tiling.window import Window

Classes = NDArray[np.uint8]
"""[h, w]: 0 background, 1 and on foreground, `tiling.blend.NODATA` not there."""

_ROUNDS = 4
"""How often thinning goes over its pixels. Lines of a class are thin after two."""

_MARGIN = 4 * _ROUNDS
"""How far, in pixels of the overview, thinning looks: one pixel for each of its passes."""

_RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""The neighbours of a pixel, clockwise."""


def halved(read: Callable[[Window], Classes], height: int, width: int, window: Window) -> Classes:
    """A window of the raster of half the size, [window.height, window.width].

    A pixel stands for a block of 2 x 2. It is foreground where most of those that are there are
    foreground, or where the right column or the bottom row is: so a road keeps its width on
    average, wherever it starts. Other blocks with foreground are kept only where a line would
    break or end without them. A pixel takes the most frequent foreground class of its block, the
    lowest where two tie. It is not there only where all of its block is not.

    The result is the same, to the bit, in any window.

    Args:
        read: Gives a window of the raster to be halved, of which no pixel lies outside.
        height: Rows of that raster.
        width: Columns of it.
        window: Of the raster of half the size; its last row and column may stand for half a block.
    """
    whole = Window(0, 0, -(-height // 2), -(-width // 2))
    wider = window.grown(_MARGIN).intersection(whole)
    blocks = Window(2 * wider.row, 2 * wider.column, 2 * wider.height, 2 * wider.width)
    inside = blocks.intersection(Window(0, 0, height, width))
    classes = np.full((blocks.height, blocks.width), NODATA, np.uint8)
    classes[inside.slices(blocks)] = read(inside)
    # Above left, above right, below left, below right: four rasters side by side are many times
    # faster than one with axes of two.
    corners = [classes[down::2, right::2] for down in (0, 1) for right in (0, 1)]
    there = [corner != NODATA for corner in corners]
    foreground = [_is_foreground(corner) for corner in corners]
    result = np.where(there[0] | there[1] | there[2] | there[3], np.uint8(0), np.uint8(NODATA))
    any_foreground = foreground[0] | foreground[1] | foreground[2] | foreground[3]
    if any_foreground.any():
        tie = foreground[3] & (foreground[1] | foreground[2])
        sure = (2 * _count(foreground) > _count(there)) | tie
        kept = _thinned(any_foreground, sure, wider)
        highest = max(int((c * f).max()) for c, f in zip(corners, foreground, strict=True))
        result[kept] = (
            _most_frequent(np.stack([corner[kept] for corner in corners])) if highest > 1 else 1
        )
    return np.ascontiguousarray(result[window.slices(wider)])


def _is_foreground(classes: Classes) -> NDArray[np.bool_]:
    """Which pixels are of a class other than the background [h, w]."""
    # One comparison for two: 0 wraps to the highest number, above NODATA - 1.
    return (classes - np.uint8(1)) < np.uint8(NODATA - 1)


def _count(corners: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """How many corners of each block are set [h, w]."""
    numbers = [corner.view(np.uint8) for corner in corners]
    count: NDArray[np.uint8] = numbers[0] + numbers[1] + numbers[2] + numbers[3]
    return count


def _most_frequent(corners: Classes) -> Classes:
    """The foreground class that most of the four pixels of a block [4, n] have [n]."""
    votes = (corners[:, None] == corners[None]).sum(axis=1)
    votes = np.where((corners == 0) | (corners == NODATA), 0, votes)
    # The more votes the better, then the lower the class.
    best = (votes * 256 - corners.astype(np.int64)).argmax(axis=0)
    chosen: Classes = corners[best, np.arange(corners.shape[1])]
    return chosen


def _thinned(
    any_foreground: NDArray[np.bool_], sure: NDArray[np.bool_], window: Window
) -> NDArray[np.bool_]:
    """Takes pixels away until lines are thin, but none that is sure, or that holds others together.

    Pixels of one field, every other row and column, are no neighbours. So all of a field can be
    taken away at once. A pixel goes if its neighbours hold together without it, and if it is not
    the end of a line (Kong and Rosenfeld, Digital topology, CVGIP 48, 1989).

    Args:
        any_foreground: Pixels to choose from [h, w].
        sure: Those that stay, all among them [h, w].
        window: Where they lie, so that fields are the same in every window.
    """
    kept = np.pad(any_foreground, 1)
    rows, columns = np.nonzero(any_foreground & ~sure)
    field = (rows + window.row) % 2 * 2 + (columns + window.column) % 2
    fields = [(rows[field == of] + 1, columns[field == of] + 1) for of in range(4)]
    for _ in range(_ROUNDS):
        gone = 0
        for of, (row, column) in enumerate(fields):
            ring = np.zeros(len(row), np.uint8)
            for bit, (down, right) in enumerate(_RING):
                ring |= kept[row + down, column + right].astype(np.uint8) << np.uint8(bit)
            removable = _REMOVABLE[ring]
            kept[row[removable], column[removable]] = False
            fields[of] = row[~removable], column[~removable]
            gone += int(removable.sum())
        if not gone:
            break
    return kept[1:-1, 1:-1]


def _is_removable(ring: int) -> bool:
    """Whether a pixel may go, by its neighbours (one bit each, clockwise from above)."""
    there = [bool(ring >> bit & 1) for bit in range(8)]
    if sum(there) < 2:
        return False
    # Pieces of background that touch the pixel by a side: with one, foreground holds together.
    pieces = 0
    for side in range(0, 8, 2):
        after, next_side = there[(side + 1) % 8], there[(side + 2) % 8]
        pieces += (not there[side]) and (after or next_side)
    return pieces == 1


_REMOVABLE = np.array([_is_removable(ring) for ring in range(256)])
"""Whether a pixel may go, for each of the 256 states of its neighbours."""
