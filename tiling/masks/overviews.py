"""Overviews of classes: rasters of half the size in which thin lines neither vanish nor widen."""

from collections.abc import Callable

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

_ROWS_AT_ONCE = 128
"""Rows that are looked at together, so that what is held in between stays in the cache; even."""

_FOREGROUND = 0b1111
"""The bits of `_blocks` that tell of foreground."""

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
    classes = np.ascontiguousarray(read(inside))
    if inside != blocks:
        filled = np.full((blocks.height, blocks.width), NODATA, np.uint8)
        filled[inside.slices(blocks)] = classes
        classes = filled
    of_blocks = _blocks(classes)
    result = (of_blocks == 0).view(np.uint8) * np.uint8(NODATA)
    any_foreground = (of_blocks & np.uint8(_FOREGROUND)) != 0
    if any_foreground.any():
        kept = _thinned(any_foreground, of_blocks, wider)
        if _has_several(classes):
            corners = [classes[down::2, right::2][kept] for down in (0, 1) for right in (0, 1)]
            result[kept] = _most_frequent(np.stack(corners))
        else:
            result += kept
    return np.ascontiguousarray(result[window.slices(wider)])


def _blocks(classes: Classes) -> NDArray[np.uint8]:
    """What each block of 2 x 2 pixels holds, as eight bits [h / 2, w / 2].

    The lower four bits tell which pixels are foreground, the upper four which are there: above
    left, above right, below left, below right, from the lowest bit on.
    """
    height, width = classes.shape
    result = np.empty((height // 2, width // 2), np.uint8)
    for first in range(0, height, _ROWS_AT_ONCE):
        rows = classes[first : first + _ROWS_AT_ONCE]
        # To multiply bytes is faster than to shift them.
        bits = (rows != NODATA).view(np.uint8) * np.uint8(16)
        # One comparison for two: 0 wraps to the highest number, above NODATA - 1.
        bits |= ((rows - np.uint8(1)) < np.uint8(NODATA - 1)).view(np.uint8)
        columns = bits[1::2] * np.uint8(4)
        columns |= bits[::2]
        # Two bytes as one number are many times faster than every other byte.
        pairs = columns.view("<u2")
        result[first // 2 : (first + _ROWS_AT_ONCE) // 2] = pairs | pairs >> np.uint16(7)
    return result


def _has_several(classes: Classes) -> bool:
    """Whether there are foreground classes other than the first."""
    return any(
        ((classes[first : first + _ROWS_AT_ONCE] - np.uint8(2)) < np.uint8(NODATA - 2)).any()
        for first in range(0, len(classes), _ROWS_AT_ONCE)
    )


def _most_frequent(corners: Classes) -> Classes:
    """The foreground class that most of the four pixels of a block [4, n] have [n]."""
    votes = (corners[:, None] == corners[None]).sum(axis=1)
    votes = np.where((corners == 0) | (corners == NODATA), 0, votes)
    # The more votes the better, then the lower the class.
    best = (votes * 256 - corners.astype(np.int64)).argmax(axis=0)
    chosen: Classes = corners[best, np.arange(corners.shape[1])]
    return chosen


def _thinned(
    any_foreground: NDArray[np.bool_], of_blocks: NDArray[np.uint8], window: Window
) -> NDArray[np.bool_]:
    """Takes pixels away until lines are thin, but none that is sure, or that holds others together.

    Pixels of one field, every other row and column, are no neighbours. So all of a field can be
    taken away at once. A pixel goes if its neighbours hold together without it, and if it is not
    the end of a line (Kong and Rosenfeld, Digital topology, CVGIP 48, 1989).

    Args:
        any_foreground: Pixels to choose from [h, w].
        of_blocks: What each stands for, see `_blocks` [h, w].
        window: Where they lie, so that fields are the same in every window.
    """
    height, width = any_foreground.shape
    kept = np.zeros((height + 2, width + 2), bool)
    kept[1:-1, 1:-1] = any_foreground
    places = np.flatnonzero(any_foreground)
    places = places[~_SURE[of_blocks.ravel()[places]]]
    rows, columns = np.divmod(places, width)
    places += 2 * rows + width + 3  # In `kept`, which has a margin.
    field = (rows + window.row) % 2 * 2 + (columns + window.column) % 2
    fields = [places[field == of] for of in range(4)]
    flat = kept.reshape(-1)
    around = [down * (width + 2) + right for down, right in _RING]
    for _ in range(_ROUNDS):
        gone = 0
        for of, place in enumerate(fields):
            ring = np.zeros(len(place), np.uint8)
            for bit, neighbour in enumerate(around):
                ring |= flat[place + neighbour].view(np.uint8) << np.uint8(bit)
            removable = _REMOVABLE[ring]
            flat[place[removable]] = False
            fields[of] = place[~removable]
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


def _is_sure(block: int) -> bool:
    """Whether a block of 2 x 2 pixels is foreground in any case, see `_blocks` and `halved`."""
    foreground, there = block & _FOREGROUND, block >> 4
    _, above_right, below_left, below_right = (bool(foreground >> bit & 1) for bit in range(4))
    most = 2 * foreground.bit_count() > there.bit_count()
    return most or (below_right and (above_right or below_left))


_SURE = np.array([_is_sure(block) for block in range(256)])
"""Whether a block is foreground in any case, for each of its 256 states."""
