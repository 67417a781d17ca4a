"""Thins a mask to lines that do not depend on how the image is turned, nor on how it is cut.

A line of an even number of pixels has no middle row of pixels, so any rule that leaves one must
prefer a side, and a turned image gives another skeleton. Here a mask is thinned on *cells*: the
pixels, the sides between them and their corners, (2 h + 1) x (2 w + 1) of them. A line of w
pixels is 2 w + 1 cells wide, and has a middle.

Cells go layer by layer, all of a layer at once. A cell goes where that is safe whichever of its
neighbours go at the same time (a P-simple point: Bertrand, "On P-simple points", 1995). That
keeps all components and holes, and prefers no direction. What is still two cells wide in the
end, on some slanted lines, is thinned from four sides in turn: there a turn of the image may
move a line by half a pixel.

The number of layers is fixed, so a cell depends on those within `REACH` pixels only.
"""

from functools import cache
from typing import TypeVar

import numpy as np
import scipy
from numpy.typing import NDArray

WIDEST = 96
"""Pixels across the widest line. Of what is wider only the rim is thinned, to a line around it."""

_LAYERS = 2 * WIDEST  # No cell of what has no square of that width lies deeper.

_TRIES = 4  # Layers in which a cell at the border may go; else it stays.

_ROUNDS = 3  # From each of the four sides.

REACH = _LAYERS + 4 * _ROUNDS + WIDEST // 2 + 4
"""Pixels around one that its cells depend on."""

NEAR = 64
"""The same for a mask on which no more than `FEW` layers go: hardly a road is wider."""

FEW = 40
"""Fewer than a square of `WIDEST` has, of which `NEAR` pixels away at least half is seen."""

_BACKGROUND, _KEPT, _MAY_GO = 0, 1, 2
"""Of a cell: not there, there, and there but at the border of what is left."""

_AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""The neighbours of a cell, down and right of it, row by row."""

_BESIDE = (1, 3, 4, 6)
"""Places of those that share a side with it."""

_THREES = 3 ** np.arange(8)

Cells = NDArray[np.intp]
"""Cells by their number, row by row."""

_Values = TypeVar("_Values", bound=np.generic)


def cells_of(pixels: NDArray[_Values]) -> NDArray[_Values]:
    """The greatest of the pixels [h, w] that each cell touches [2 h + 1, 2 w + 1]."""
    height, width = pixels.shape
    cells = np.zeros((2 * height + 1, 2 * width + 1), pixels.dtype)
    wide = np.zeros((height, 2 * width + 1), pixels.dtype)
    wide[:, 1::2] = pixels
    wide[:, :-1:2] = pixels
    np.maximum(wide[:, 2::2], pixels, out=wide[:, 2::2])
    cells[1::2] = wide
    cells[:-1:2] = wide
    np.maximum(cells[2::2], wide, out=cells[2::2])
    return cells


def thinned(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Thins a mask.

    Args:
        mask: Where the foreground is [h, w]; around it is background.

    Returns:
        The cells that are left [2 h + 1, 2 w + 1], and how many layers went.
    """
    cells = np.pad(cells_of(mask & ~_too_deep(mask)), 1)
    state = cells.astype(np.uint8).ravel()
    left, layers = _peeled(state, np.flatnonzero(state), cells.shape[1])
    _thin_from_sides(state, left, cells.shape[1])
    result: NDArray[np.bool_] = state.reshape(cells.shape)[1:-1, 1:-1] != _BACKGROUND
    return result, layers


def widths_at(mask: NDArray[np.bool_], cells: NDArray[np.intp]) -> NDArray[np.float64]:
    """The width of a mask [h, w] at some of its cells: twice the way to its edge, in pixels.

    Args:
        mask: Where the foreground is.
        cells: Rows and columns of cells [n, 2].
    """
    every = np.pad(cells_of(mask), 1)
    inner = every[1:-1, 1:-1].copy()
    for side in (every[:-2, 1:-1], every[2:, 1:-1], every[1:-1, :-2], every[1:-1, 2:]):
        inner &= side
    edge = np.argwhere(every[1:-1, 1:-1] & ~inner)
    if not len(edge):
        return np.zeros(len(cells))
    tree = scipy.spatial.cKDTree(edge, balanced_tree=False, compact_nodes=False)
    # Cells are half a pixel apart.
    distance: NDArray[np.float64] = tree.query(cells)[0]
    return distance


def _too_deep(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The middles of squares of `WIDEST` pixels that hold foreground only."""
    side = 2 * (WIDEST // 2) + 1  # Odd, so that it has a middle.
    if min(mask.shape) < side:
        return np.zeros_like(mask)
    deep: NDArray[np.bool_] = scipy.ndimage.minimum_filter(mask, side, mode="constant")
    return deep


def _peeled(state: NDArray[np.uint8], there: Cells, stride: int) -> tuple[Cells, int]:
    """Takes cells away layer by layer; returns those that are left, and how many layers went."""
    around = np.array([down * stride + right for down, right in _AROUND])
    beside = around[list(_BESIDE)]
    may_go = _p_simple()
    stamp = np.zeros(state.size, np.int32)
    fresh = there[(state[there[:, None] + beside] == _BACKGROUND).any(axis=1)]
    tried: list[Cells] = []
    layers = 0
    while layers < _LAYERS:
        state[fresh] = _MAY_GO
        tried = [fresh, *tried[: _TRIES - 1]]
        active = np.concatenate(tried)
        if not active.size:
            break
        layers += 1
        goes = may_go[state[active[:, None] + around] @ _THREES]
        gone = active[goes]
        state[gone] = _BACKGROUND
        tried = [cells[state[cells] != _BACKGROUND] for cells in tried]
        fresh = (gone[:, None] + beside).ravel()
        fresh = fresh[state[fresh] == _KEPT]
        number = np.arange(fresh.size, dtype=np.int32)
        stamp[fresh] = number
        fresh = fresh[stamp[fresh] == number]  # Each once.
    return there[state[there] != _BACKGROUND], layers


def _thin_from_sides(state: NDArray[np.uint8], left: Cells, stride: int) -> None:
    """Takes away what is two cells wide."""
    around = np.array([down * stride + right for down, right in _AROUND])
    may_go = _p_simple()
    state[left] = _KEPT
    for _ in range(_ROUNDS):
        for side in _BESIDE:
            outer = left[state[left + around[side]] == _BACKGROUND]
            outer = outer[state[outer - around[side]] != _BACKGROUND]
            state[outer] = _MAY_GO
            goes = may_go[state[outer[:, None] + around] @ _THREES]
            state[outer] = _KEPT
            state[outer[goes]] = _BACKGROUND
            left = left[state[left] != _BACKGROUND]


@cache
def _p_simple() -> NDArray[np.bool_]:
    """Whether a cell may go, by the states of its neighbours as digits of base 3 [6561].

    It may where it is simple whichever of the neighbours that may go are gone. The end of a line
    stays.
    """
    found = np.zeros(3**8, bool)
    for code in range(3**8):
        states = code // _THREES % 3
        loose = np.flatnonzero(states == _MAY_GO)
        if loose.size:
            # Whether the first of them is gone or stays; both have lower codes.
            stays = code - _THREES[loose[0]]
            found[code] = found[stays] and found[stays - _THREES[loose[0]]]
        else:
            found[code] = _is_simple(states)
    digits = np.arange(3**8)[:, None] // _THREES % 3
    result: NDArray[np.bool_] = found & ((digits != _BACKGROUND).sum(axis=1) > 1)
    return result


def _is_simple(there: NDArray[np.int_]) -> bool:
    """Whether neighbours [8] hang together without the cell, and so does the background."""
    ring = there[[0, 1, 2, 4, 7, 6, 5, 3]]  # Clockwise, corners at even places.
    runs = 0
    for side in (1, 3, 5, 7):
        # A side that is background, unless the next side is reached from it through background.
        beyond = ring[side + 1 - 8] or ring[(side + 2) % 8]
        runs += bool(not ring[side] and beyond)
    return runs == 1
