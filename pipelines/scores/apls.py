"""Average Path Length Similarity: whether one gets as far on the predicted lines as on the true.

Van Etten, Lindenbaum, Bacastow, "SpaceNet: A Remote Sensing Dataset and Challenge Series",
2018, arXiv:1807.01232. A pixel score hardly sees a road that is cut; here every route over the
cut is lost. Control points lie on the lines of one skeleton, each finds its counterpart on the
other, and the lengths of the shortest paths between them are compared. This is done from the
label's points and from the prediction's: the first sees what is missing, the second what is too
much.
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from pipelines.scores.curve import Values, ratio

Pixels = NDArray[np.intp]
"""Skeleton pixels by their number, row by row."""


Number = float | NDArray[np.float64]
"""One, or one for each set of counts."""


Lengths = NDArray[np.float64]
"""In pixels."""


SPACING = 50.0
"""Control points on a line are no further apart; in metres where these are known, else pixels."""


SNAP = 4.0
"""How far away a counterpart may lie, in the same unit."""


SHORTEST = 10.0
"""Shorter paths do not count, in the same unit: a pixel would make too much of a difference."""


_LEAST_SPACING = 15.0  # Pixels. On coarse scenes every pixel would be a control point.


_LEAST_SNAP = 1.5  # Pixels. Skeletons of one road differ by a pixel, also across a corner.


_AT_ONCE = 4_000_000  # Path lengths in memory.


AT_MOST = 25_000_000
"""Paths that are found, in seconds; there are more from 4096 x 4096 pixels of roads on."""


_FEWEST = 16  # Points that stand for all where these are too many.


VERTEX = -1
"""Stands for the line of a vertex."""


# Down, right. The other four neighbours see these links from their side.
_STRAIGHT, _DIAGONAL = ((0, 1), (1, 0)), ((1, 1), (1, -1))


@dataclass(frozen=True)
class Graph:
    """A skeleton as lines between vertices.

    Junctions, ends and lone pixels are vertices. Where junction pixels touch, each is a vertex,
    so that lengths are kept, but one of them is the node.

    Attributes:
        points: Row and column of every pixel [pixels, 2]; of lines of a GIS, x and y of points on
            them.
        nodes: One pixel of every junction, end, lone pixel, and ring without a junction.
        start: Vertex that each line begins at [lines].
        end: Vertex that it ends at, maybe the same [lines].
        length: Of each line [lines].
        piece: Which connected piece each pixel is in [pixels].
        line: Which line each pixel is on [pixels]; -1 is a vertex.
        along: How far it is from the line's start [pixels].
    """

    points: NDArray[np.intp] | NDArray[np.float64]
    nodes: Pixels
    start: Pixels
    end: Pixels
    length: Lengths
    piece: NDArray[np.intp]
    line: NDArray[np.intp]
    along: Lengths


@dataclass(frozen=True)
class Paths:
    """Paths of one skeleton that were looked up in another.

    Attributes:
        count: How many.
        score: Sum of their scores, each 0 to 1.
    """

    count: Number
    score: Number


def apls(label: Paths, prediction: Paths) -> Values:
    """The harmonic mean of both directions' mean scores.

    Args:
        label: The label's paths, looked up in the prediction.
        prediction: The prediction's, looked up in the label.

    Returns:
        0 to 1; nan where the label has no path.
    """
    inverse = ratio(label.count, label.score) + ratio(prediction.count, prediction.score)
    some = np.isfinite(inverse)  # Else one of the means is 0, or the prediction has no path.
    return np.where(np.asarray(label.count) > 0, np.where(some, ratio(2.0, inverse), 0.0), np.nan)


def compare(
    label: Graph, prediction: Graph, metres: float | None = None, at_most: int = AT_MOST
) -> tuple[Paths, Paths]:
    """Looks up the paths of each graph in the other.

    Args:
        label: Of the label's skeleton.
        prediction: Of the prediction's.
        metres: Per pixel; None takes `SPACING`, `SNAP` and `SHORTEST` for pixels.
        at_most: Of more paths than this, those from evenly spread control points stand for all.

    Returns:
        The label's paths in the prediction, and the prediction's in the label.
    """
    pixels = 1 / (metres or 1.0)
    return (
        _looked_up(label, prediction, pixels, at_most),
        _looked_up(prediction, label, pixels, at_most),
    )


def graph_of(skeleton: NDArray[np.bool_]) -> Graph:
    """The graph of a skeleton [h, w] whose lines are a pixel wide.

    Pixels are linked to their 8 neighbours, at length 1 or the root of 2. Two that a third joins
    around a corner are not linked: the corner would be a junction.
    """
    links, points = _linked(skeleton)
    degree = np.diff(links.indptr)
    is_vertex = degree != 2
    # A ring has none: its first pixel is made one, and the rest is a line like any other.
    _, piece = scipy.sparse.csgraph.connected_components(links, directed=False)
    _, first = np.unique(piece, return_index=True)
    rings = first[np.bincount(piece, is_vertex, first.size) == 0]
    is_vertex[rings] = True
    nodes = np.concatenate([np.flatnonzero(degree < 2), rings, _junctions(links, points)])

    inner = np.flatnonzero(~is_vertex)
    steps = links[inner][:, inner]
    _, line_of_inner = scipy.sparse.csgraph.connected_components(steps, directed=False)
    line, along = np.full(len(points), VERTEX), np.zeros(len(points))
    line[inner] = line_of_inner

    every = links.tocoo()
    from_vertex, to_vertex = is_vertex[every.row], is_vertex[every.col]
    # Two for each line: of its first pixel and of its last, which may be the same.
    outward = np.flatnonzero(~from_vertex & to_vertex)
    outward = outward[np.argsort(line[every.row[outward]], kind="stable")]
    (first_pixel, last_pixel), (start, end), (first_step, last_step) = (
        (values[outward[::2]], values[outward[1::2]])
        for values in (every.row, every.col, every.data)
    )
    if inner.size:
        # A line's other pixels are reached from its first only: this is their distance from it.
        sources = np.searchsorted(inner, first_pixel)
        along[inner] = (
            scipy.sparse.csgraph.dijkstra(steps, indices=sources, min_only=True)
            + first_step[line_of_inner]
        )
    bare = from_vertex & to_vertex & (every.row < every.col)
    return Graph(
        points=points,
        nodes=np.sort(nodes),
        start=np.concatenate([start, every.row[bare]]),
        end=np.concatenate([end, every.col[bare]]),
        length=np.concatenate([along[last_pixel] + last_step, every.data[bare]]),
        piece=piece,
        line=line,
        along=along,
    )


def control_points(graph: Graph, spacing: float) -> Pixels:
    """Nodes, and the pixels nearest to where lines are cut into even pieces of at most `spacing`.

    A line that ends where it begins is cut once at least, for it can be walked both ways.
    """
    pieces = np.ceil(graph.length / spacing).astype(np.intp)
    pieces = np.maximum(pieces, np.where(graph.start == graph.end, 2, 1))
    line = np.repeat(np.arange(pieces.size), pieces - 1)
    cut = np.arange(line.size) - np.repeat(np.cumsum(pieces - 1) - pieces, pieces - 1)

    pixels = np.flatnonzero(graph.line != VERTEX)
    pixels = pixels[np.lexsort((graph.along[pixels], graph.line[pixels]))]
    # All lines in a row, so far apart that the nearest pixel is on the same line.
    apart = 2 * graph.length.max(initial=0.0)
    place = graph.line[pixels] * apart + graph.along[pixels]
    wanted = line * apart + graph.length[line] * cut / pieces[line]
    after = np.clip(np.searchsorted(place, wanted), 1, max(1, pixels.size - 1))
    nearer = after - (wanted - place[after - 1] <= place[after] - wanted)
    return np.unique(np.concatenate([graph.nodes, pixels[nearer]]))


class PathGraph:
    """A graph with stops on its lines, for the shortest paths between these.

    What no stop is connected with is left out.

    Args:
        graph: Whose lines are walked.
        stops: Pixels [n], vertices or not, also one several times.

    Attributes:
        size: Number of vertices and stops.
    """

    def __init__(self, graph: Graph, stops: Pixels) -> None:
        reached = np.isin(graph.piece, graph.piece[stops])
        halts = reached & (graph.line == VERTEX)
        halts[stops] = True
        number = np.cumsum(halts) - 1
        self.size = int(halts.sum())
        self._stops = number[stops]

        between = np.flatnonzero(halts & (graph.line != VERTEX))
        lines = np.flatnonzero(reached[graph.start])
        line = np.concatenate([lines, graph.line[between], lines])
        along = np.concatenate([np.zeros(lines.size), graph.along[between], graph.length[lines]])
        halt = number[np.concatenate([graph.start[lines], between, graph.end[lines]])]
        order = np.lexsort((along, line))
        line, along, halt = line[order], along[order], halt[order]
        joined = line[:-1] == line[1:]
        pair = np.sort(np.stack([halt[:-1], halt[1:]])[:, joined], axis=0)
        length = np.diff(along)[joined]
        # Of several ways between two halts the shortest: a sparse array would add them up.
        order = np.lexsort((length, pair[1], pair[0]))
        pair, length = pair[:, order], length[order]
        shortest = np.append(True, (np.diff(pair) != 0).any(axis=0))[: length.size]
        pair, length = pair[:, shortest], length[shortest]
        there_and_back = np.concatenate([pair, pair[::-1]], axis=1)
        self._steps = scipy.sparse.csr_array(
            (np.tile(length, 2), tuple(there_and_back)), (self.size, self.size)
        )

    def lengths(self, sources: Pixels, limit: float = np.inf) -> Lengths:
        """Lengths of the shortest paths from some stops to all.

        Args:
            sources: Of the stops, by their place among them [sources].
            limit: Longer ones are not looked for.

        Returns:
            [sources, n], inf where there is no path.
        """
        found: Lengths = scipy.sparse.csgraph.dijkstra(
            self._steps, indices=self._stops[sources], limit=limit
        )[:, self._stops]
        return found


def _looked_up(graph: Graph, other: Graph, pixels: float, at_most: int) -> Paths:
    """The paths between a graph's control points, in another; `pixels` are in the unit."""
    stops = control_points(graph, max(SPACING * pixels, _LEAST_SPACING))
    # A speck has no path that counts, and there may be very many.
    extent = np.bincount(graph.piece[graph.start], graph.length, len(graph.points))
    stops = stops[extent[graph.piece[stops]] >= SHORTEST * pixels]
    distance, nearest = scipy.spatial.cKDTree(other.points).query(graph.points[stops])
    found = distance <= max(SNAP * pixels, _LEAST_SNAP)
    place = np.cumsum(found) - 1
    own, others = PathGraph(graph, stops), PathGraph(other, nearest[found])
    size = own.size + others.size
    # Evenly spread over the scene, row by row.
    sources = min(stops.size, max(_FEWEST, at_most // max(1, size)))
    spread = np.arange(sources) * stops.size // max(1, sources)
    chunk = max(1, _AT_ONCE // max(1, size))
    count, score = 0, 0.0
    for begin in range(0, sources, chunk):
        some = spread[begin : begin + chunk]
        lengths = own.lengths(some)
        matched = np.full(lengths.shape, np.inf)
        if found[some].any():
            matched[np.ix_(found[some], found)] = others.lengths(place[some[found[some]]])
        counted = np.isfinite(lengths) & (lengths >= SHORTEST * pixels)
        off = np.abs(matched[counted] - lengths[counted]) / lengths[counted]
        count += off.size
        score += float((1 - np.minimum(1, off)).sum())
    # Each path was found from both of its ends.
    weight = stops.size / max(1, sources) / 2
    return Paths(count * weight, score * weight)


def _linked(skeleton: NDArray[np.bool_]) -> "tuple[scipy.sparse.csr_array, NDArray[np.intp]]":
    """Lengths of the links between pixels [pixels, pixels], and rows and columns [pixels, 2]."""
    padded = np.pad(skeleton, 1)
    width = padded.shape[1]
    there = padded.ravel()
    pixels = np.flatnonzero(there)
    ones, others, lengths = [], [], []
    for down, right in (*_STRAIGHT, *_DIAGONAL):
        linked = there[pixels + down * width + right]
        if down and right:
            linked &= ~(there[pixels + down * width] | there[pixels + right])
        one = np.flatnonzero(linked)
        ones.append(one)
        others.append(np.searchsorted(pixels, pixels[one] + down * width + right))
        lengths.append(np.full(one.size, np.hypot(down, right)))
    one, another, length = (np.concatenate(parts) for parts in (ones, others, lengths))
    links = scipy.sparse.csr_array((length, (one, another)), (pixels.size, pixels.size))
    return links + links.T, np.column_stack(np.divmod(pixels, width)) - 1


def _junctions(links: "scipy.sparse.csr_array", points: NDArray[np.intp]) -> Pixels:
    """The middlemost of every group of touching pixels that have three links or more."""
    pixels = np.flatnonzero(np.diff(links.indptr) > 2)
    groups, group = scipy.sparse.csgraph.connected_components(
        links[pixels][:, pixels], directed=False
    )
    sizes = np.bincount(group, minlength=groups)
    centres = [np.bincount(group, axis, groups) / sizes for axis in points[pixels].T]
    off = ((points[pixels] - np.stack(centres, axis=-1)[group]) ** 2).sum(axis=1)
    order = np.lexsort((off, group))
    _, first = np.unique(group[order], return_index=True)
    middle: Pixels = pixels[order[first]]
    return middle
