"""From thinned cells to pieces of lines, window by window, and from pieces to whole lines.

Each cell belongs to one window. A window's pieces are its runs of cells with two neighbours;
where a run leaves the window, the piece says which cell follows, and the neighbour's piece is
joined to it there. So lines are the same wherever the windows' borders are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy
from numpy.typing import NDArray

from tiling.window import Window

MARGIN = 2
"""Pixels around a window whose cells tell how its own go on."""

_STRAIGHT, _DIAGONAL = ((0, 1), (1, 0)), ((1, 1), (1, -1))

_VERTEX, _INNER = 1, 2

Cell = tuple[int, int]
"""Row and column of a cell of a scene."""

Path = NDArray[np.int32]
"""Rows and columns of cells one after the other [n, 2]."""

Values = NDArray[np.int16]
"""What is known of the cells of a path [n, values]: see `tiling.lines.network`."""

MISSING = -1
"""Stands for a value that is not known."""


@dataclass(frozen=True)
class Piece:
    """A run of cells, with the cell before and the cell after it.

    Attributes:
        path: All of them.
        values: Of all of them.
        open_start: Whether the first cell is another window's, whose piece goes on from here.
        open_end: Whether the last is.
    """

    path: Path
    values: Values
    open_start: bool
    open_end: bool


@dataclass
class Pieces:
    """What was traced so far.

    Attributes:
        pieces: Of lines.
        vertices: Cells that have more or fewer than two neighbours, and their values.
        links: Pairs of vertices that touch.
    """

    pieces: list[Piece] = field(default_factory=list)
    vertices: dict[Cell, Values] = field(default_factory=dict)
    links: list[tuple[Cell, Cell]] = field(default_factory=list)


def trace(
    cells: NDArray[np.bool_], values: Values, place: Cell, window: Window, into: Pieces
) -> None:
    """Traces the cells of a window.

    Args:
        cells: Those of the window and some `MARGIN` around it, as far as the scene goes.
        values: Of each of the cells that are there, row by row.
        place: Row and column of the first of `cells` in the scene.
        window: The cells that are the window's own.
        into: Takes what is found.
    """
    links, points = linked(cells)
    points = points + place
    degree = np.diff(links.indptr)
    own = (
        (points[:, 0] >= window.row) & (points[:, 0] < window.bottom)
        & (points[:, 1] >= window.column) & (points[:, 1] < window.right)
    )  # fmt: skip
    is_vertex = degree != 2
    inner = np.flatnonzero(own & ~is_vertex)
    steps = links[inner][:, inner]
    count, run = scipy.sparse.csgraph.connected_components(steps, directed=False)
    ends = np.flatnonzero(np.diff(steps.indptr) < 2)  # Of the runs, among the inner cells.
    is_ring = np.ones(count, bool)
    is_ring[run[ends]] = False
    if is_ring.any():
        # The first cell of a ring is made its vertex.
        _, first = np.unique(run, return_index=True)
        own_vertices = inner[first[is_ring]]
        is_vertex[own_vertices] = True
        inner = np.flatnonzero(own & ~is_vertex)
        steps = links[inner][:, inner]
        count, run = scipy.sparse.csgraph.connected_components(steps, directed=False)
        ends = np.flatnonzero(np.diff(steps.indptr) < 2)

    for at in np.flatnonzero(own & is_vertex):
        into.vertices[tuple(points[at].tolist())] = values[at]
        # A link belongs to the window of its first cell.
        for other in links.indices[links.indptr[at] : links.indptr[at + 1]]:
            if other > at and is_vertex[other]:
                into.links.append((tuple(points[at].tolist()), tuple(points[other].tolist())))
    if not inner.size:
        return
    _, starts = np.unique(run[ends], return_index=True)
    along = scipy.sparse.csgraph.dijkstra(
        steps, indices=ends[starts], min_only=True, unweighted=True
    )
    order = np.lexsort((along, run))
    cuts = np.flatnonzero(np.diff(run[order])) + 1
    for members in np.split(inner[order], cuts):
        before = _beyond(links, members[0], members[1] if members.size > 1 else None)
        after = _beyond(links, members[-1], members[-2] if members.size > 1 else before)
        every = [before, *members, after]
        into.pieces.append(
            Piece(
                points[every].astype(np.int32),
                values[every],
                not is_vertex[before],
                not is_vertex[after],
            )
        )


def whole_lines(pieces: Sequence[Piece]) -> Iterator[tuple[Path, Values]]:
    """Joins pieces to lines from vertex to vertex; a ring begins and ends at its first cell."""
    at: dict[tuple[Cell, Cell], tuple[int, bool]] = {}
    for number, piece in enumerate(pieces):
        if piece.open_start:
            at[_pair(piece.path[1], piece.path[0])] = number, True
        if piece.open_end:
            at[_pair(piece.path[-2], piece.path[-1])] = number, False
    done = np.zeros(len(pieces), bool)

    def follow(number: int, backward: bool) -> list[tuple[Path, Values]]:
        """The pieces from one on, in the order of the walk."""
        found = []
        while not done[number]:
            done[number] = True
            piece = pieces[number]
            step = -1 if backward else 1
            path = piece.path[::step]
            found.append((path, piece.values[::step]))
            if not (piece.open_start if backward else piece.open_end):
                break
            number, begins = at[_pair(path[-1], path[-2])]
            backward = not begins
        return found

    for number, piece in enumerate(pieces):
        if not done[number] and not (piece.open_start and piece.open_end):
            yield _one(follow(number, piece.open_start))
    for number in range(len(pieces)):
        if not done[number]:
            yield _closed(*_one(follow(number, False)))


def _one(found: list[tuple[Path, Values]]) -> tuple[Path, Values]:
    """A line of its pieces, each of which has a cell of its neighbours' at both ends."""
    path, values = (
        np.concatenate([rows[0][:1], *(row[1:-1] for row in rows), rows[-1][-1:]])
        for rows in zip(*found, strict=True)
    )
    return path, values


def _closed(path: Path, values: Values) -> tuple[Path, Values]:
    """A ring that was walked around once and a cell more at both ends, from its first cell on."""
    first = np.lexsort(path[1:-1].T[::-1])[0]
    from_first = np.roll(np.arange(1, len(path) - 1), -first)
    around = np.append(from_first, from_first[0])
    return path[around], values[around]


def _pair(one: NDArray[np.int32], other: NDArray[np.int32]) -> tuple[Cell, Cell]:
    """Two cells that follow on each other, the first in a window of its own."""
    return (int(one[0]), int(one[1])), (int(other[0]), int(other[1]))


def _beyond(links: "scipy.sparse.csr_array", at: int, back: int | None) -> int:
    """The neighbour of a cell with two, that is not `back`; the first of them without it."""
    one, other = links.indices[links.indptr[at] : links.indptr[at] + 2]
    return int(other if one == back else one)


def linked(cells: NDArray[np.bool_]) -> "tuple[scipy.sparse.csr_array, NDArray[np.intp]]":
    """Which cells touch.

    Two that a third joins around a corner do not: the corner would be a junction.

    Returns:
        Links [n, n], and rows and columns of the cells [n, 2].
    """
    padded = np.pad(cells, 1)
    width = padded.shape[1]
    there = padded.ravel()
    numbers = np.flatnonzero(there)
    ones, others = [], []
    for down, right in (*_STRAIGHT, *_DIAGONAL):
        touch = there[numbers + down * width + right]
        if down and right:
            touch &= ~(there[numbers + down * width] | there[numbers + right])
        one = np.flatnonzero(touch)
        ones.append(one)
        others.append(np.searchsorted(numbers, numbers[one] + down * width + right))
    one, other = np.concatenate(ones), np.concatenate(others)
    links = scipy.sparse.csr_array(
        (np.ones(one.size, np.int8), (one, other)), (numbers.size, numbers.size)
    )
    both = scipy.sparse.csr_array(links + links.T)
    both.sort_indices()
    return both, np.column_stack(np.divmod(numbers, width)) - 1
