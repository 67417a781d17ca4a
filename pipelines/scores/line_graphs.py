"""Lines of a GIS as a graph, and how much of one lies near another.

Lines meet where they have a corner in common, as in OpenStreetMap: a bridge over a road does not.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy
from numpy.typing import NDArray

from pipelines.scores.apls import VERTEX, Graph

Points = NDArray[np.float64]
"""Corners of a line [n, 2]."""

_APART = 1.0
"""Points on a line are no further apart, in its unit: a metre or a pixel."""

_FEWEST = 3  # Stretches between points, also of a line that is shorter: a ring needs its inside.


def graph_of_lines(lines: Sequence[Points]) -> Graph:
    """The graph of lines whose corners in common are exactly the same.

    Args:
        lines: In metres, or in pixels where none are known.
    """
    lines = [_without_repeats(line) for line in lines]
    lines = [line for line in lines if len(line) > 1]
    corners = np.concatenate([np.zeros((0, 2)), *lines])
    _, corner, count = np.unique(corners, axis=0, return_inverse=True, return_counts=True)
    corner = corner.ravel()
    pieces, ends, at = [], [], 0
    for line in lines:
        own = corner[at : at + len(line)]
        at += len(line)
        inner = np.flatnonzero(count[own[1:-1]] > 1) + 1
        cuts = [0, *inner.tolist(), len(line) - 1]
        for one, other in pairwise(cuts):
            pieces.append(line[one : other + 1])
            ends.append((own[one], own[other]))
    vertices, number = np.unique(np.array(ends, np.intp).reshape(-1, 2), return_inverse=True)
    start, end = number.reshape(-1, 2).T
    points = np.zeros((vertices.size, 2))
    if pieces:
        points[start] = [piece[0] for piece in pieces]
        points[end] = [piece[-1] for piece in pieces]
    on_lines = [_points_on(piece) for piece in pieces]
    line_of = np.repeat(np.arange(len(pieces)), [len(along) for _, along, _ in on_lines])
    degree = np.bincount(number.ravel(), minlength=vertices.size)
    links = scipy.sparse.coo_array(
        (np.ones(start.size), (start, end)), (vertices.size, vertices.size)
    )
    _, of_vertices = scipy.sparse.csgraph.connected_components(links, directed=False)
    # A ring of lines has no end and no junction: its first vertex stands for it.
    _, first = np.unique(of_vertices, return_index=True)
    rings = first[np.bincount(of_vertices, degree != 2, first.size) == 0]
    return Graph(
        points=np.concatenate([points, *(inside for inside, _, _ in on_lines)]),
        nodes=np.union1d(np.flatnonzero(degree != 2), rings).astype(np.intp),
        start=start,
        end=end,
        length=np.array([length for _, _, length in on_lines], float),
        piece=np.concatenate([of_vertices, of_vertices[start][line_of]]).astype(np.intp),
        line=np.concatenate([np.full(vertices.size, VERTEX), line_of]).astype(np.intp),
        along=np.concatenate([np.zeros(vertices.size), *(along for _, along, _ in on_lines)]),
    )


def share_near(graph: Graph, other: Graph, distance: float) -> tuple[float, float]:
    """How much of a graph lies near another.

    Args:
        graph: Whose lines count.
        other: What is to be near.
        distance: Up to which that is near, in their unit.

    Returns:
        Length of its lines, and length of those within the distance.
    """
    inner = np.flatnonzero(graph.line != VERTEX)
    counts = np.bincount(graph.line[inner], minlength=graph.length.size)
    weight = (graph.length / np.maximum(1, counts))[graph.line[inner]]
    near = np.zeros(inner.size, bool)
    if len(other.points) and inner.size:
        # Points are as far apart as this, so a line may be nearer than its points.
        reach = float(np.hypot(distance, _APART / 2))
        far, _ = scipy.spatial.cKDTree(other.points).query(
            graph.points[inner], distance_upper_bound=reach
        )
        near = np.isfinite(far)
    # Summed alike, so that the share of all of it is 1.
    return float(weight.sum()), float(weight[near].sum())


def _without_repeats(line: Points) -> Points:
    moved = (np.diff(line, axis=0) != 0).any(axis=1)
    kept: Points = line[np.append(True, moved)]
    return kept


def _points_on(line: Points) -> tuple[Points, NDArray[np.float64], float]:
    """Points inside a line, how far along they are, and the line's length."""
    far = np.append(0.0, np.hypot(*np.diff(line, axis=0).T).cumsum())
    stretches = max(_FEWEST, int(np.ceil(far[-1] / _APART)))
    along = far[-1] * np.arange(1, stretches) / stretches
    inside = np.column_stack([np.interp(along, far, axis) for axis in line.T])
    return inside, along, float(far[-1])
