"""The centre lines of a mask, as smooth curves between nodes.

The skeleton's graph is that of `pipelines.scores.apls`. Its lines are steps from pixel to pixel,
which are up to 8 % too long and turn at every pixel: each becomes the smoothest cubic spline that
stays as close to them as the pixels allow (Dierckx, "Curve and Surface Fitting with Splines",
1993, chapter 5).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from pipelines.scores.apls import Graph, graph_of

Points = NDArray[np.float64]
"""Rows and columns [n, 2], in pixels; the centre of the first pixel is at 0, 0."""


Values = NDArray[np.float64]


_SPUR = 1.5
"""Radii of a vessel, from its centre, within which a side line is only a bump of its edge."""


_FEWEST = 6
"""Pixels of a line that can be smoothed."""


_PINNED = 10.0
"""How much more the ends of a line weigh than its other pixels."""


@dataclass(frozen=True)
class CentreLine:
    """A line between two nodes.

    Attributes:
        start: Number of the node that it begins at.
        end: Of the node that it ends at, maybe the same.
        points: About a pixel apart [n, 2].
        tangents: Its direction at each, of length 1 [n, 2].
        along: Length from its start to each point [n].
        turned: By how many radians it has turned up to each point, to either side [n]; nan of
            lines that are too short to be smoothed.
        clear: Which points are neither within the radius of a junction nor within that of a loose
            end, where skeletons lean to a side [n].
    """

    start: int
    end: int
    points: Points
    tangents: Points
    along: Values
    turned: Values
    clear: NDArray[np.bool_]

    @property
    def length(self) -> float:
        """Along the line, in pixels."""
        return float(self.along[-1])

    @property
    def chord(self) -> float:
        """From its first to its last point, in pixels."""
        return float(np.hypot(*(self.points[-1] - self.points[0])))

    @property
    def turning(self) -> float:
        """Radians per pixel that it turns where it is clear, to either side; nan of short ones."""
        clear = np.flatnonzero(self.clear)
        if clear.size < _FEWEST:
            return float("nan")
        first, last = clear[[0, -1]]
        turned = self.turned[last] - self.turned[first]
        return float(turned / (self.along[last] - self.along[first]))


@dataclass(frozen=True)
class CentreLines:
    """The centre lines of a mask.

    Attributes:
        lines: Between nodes.
        nodes: Where lines end or meet [nodes, 2].
        degrees: How many ends of lines each node has [nodes].
        radius: Distance of each pixel from the background [h, w]; half a pixel within its edge.
    """

    lines: Sequence[CentreLine]
    nodes: Points
    degrees: NDArray[np.intp]
    radius: Values


def centre_lines(mask: NDArray[np.bool_], tolerance: float = 0.5) -> CentreLines:
    """The centre lines of a mask.

    Side lines that end within 1.5 radii of their vessel's centre are left out: they lead to bumps
    of its edge.

    Args:
        mask: True on the foreground [h, w].
        tolerance: How far, in pixels, the smooth lines may lie from the skeleton's (root mean
            square).
    """
    from skimage.morphology import skeletonize

    radius = scipy.ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    graph = graph_of(_without_spurs(skeletonize(mask), radius))
    bare = np.ones(graph.start.size, bool)
    on_line = np.flatnonzero(graph.line >= 0)
    bare[graph.line[on_line]] = False
    node = _nodes(graph, bare)
    order = on_line[np.lexsort((graph.along[on_line], graph.line[on_line]))]
    runs = list(_runs(graph.line[order], order))
    pixels = [
        graph.points[[graph.start[line], *inner, graph.end[line]]].astype(np.float64)
        for line, inner in runs
    ]
    ends = [(node[graph.start[line]], node[graph.end[line]]) for line, _ in runs]
    # Lone pixels, and groups of two or three, are no lines.
    used, numbers = np.unique(np.array(ends, np.intp).reshape(-1, 2), return_inverse=True)
    pairs = numbers.reshape(-1, 2)
    degrees = np.bincount(pairs.ravel(), minlength=used.size)
    vertices = node >= 0
    sizes = np.bincount(node[vertices])
    places = [np.bincount(node[vertices], axis[vertices]) / sizes for axis in graph.points.T]
    nodes = np.stack(places, axis=-1)[used]
    return CentreLines(
        [
            _line((start, end), _smooth(one, tolerance), nodes, degrees, radius)
            for (start, end), one in zip(pairs.tolist(), pixels, strict=True)
        ],
        nodes,
        degrees,
        radius,
    )


def _line(
    pair: tuple[int, int],
    curve: "_Curve",
    nodes: Points,
    degrees: NDArray[np.intp],
    radius: Values,
) -> CentreLine:
    """A line between two nodes."""
    own = radius_at(radius, curve.points)
    clear = np.ones(own.size, bool)
    for node, away in zip(pair, (curve.along, curve.along[-1] - curve.along), strict=True):
        loose = degrees[node] == 1
        clear &= away > (np.median(own) if loose else radius_at(radius, nodes[[node]])[0])
    return CentreLine(*pair, curve.points, curve.tangents, curve.along, curve.turned, clear)


def radius_at(radius: Values, points: Points) -> Values:
    """The radius of the pixels that points lie in [n]."""
    last = np.array(radius.shape) - 1
    values: Values = radius[tuple(np.rint(points).astype(np.intp).clip(0, last).T)]
    return values


def _runs(
    lines: NDArray[np.intp], pixels: NDArray[np.intp]
) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """The pixels of each line, from its start on; both arrays are in the order of lines."""
    if lines.size:
        ends = np.flatnonzero(np.diff(lines)) + 1
        for line, inner in zip(
            lines[np.concatenate([[0], ends])], np.split(pixels, ends), strict=True
        ):
            yield int(line), inner


def _nodes(graph: Graph, bare: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The node of each vertex, -1 of other pixels [pixels]: vertices that touch are one node."""
    size = len(graph.points)
    links = scipy.sparse.csr_array(
        (np.ones(int(bare.sum())), (graph.start[bare], graph.end[bare])), (size, size)
    )
    _, group = scipy.sparse.csgraph.connected_components(links, directed=False)
    vertices = np.flatnonzero(graph.line < 0)
    node = np.full(size, -1)
    node[vertices] = np.unique(group[vertices], return_inverse=True)[1]
    return node


def _without_spurs(skeleton: NDArray[np.bool_], radius: Values) -> NDArray[np.bool_]:
    """The skeleton without side lines that hardly leave the vessel that they start in."""
    from skimage.morphology import skeletonize

    while True:
        graph = graph_of(skeleton)
        ends = np.bincount(np.concatenate([graph.start, graph.end]), minlength=len(graph.points))
        pairs = np.stack([graph.start, graph.end])
        loose = ends[pairs] == 1
        of_one = loose[0] != loose[1]
        stem = np.where(loose[0], graph.end, graph.start)
        spurs = of_one & (graph.length <= _SPUR * radius[tuple(graph.points[stem].T)])
        if not spurs.any():
            return skeleton
        on_spur = (graph.line >= 0) & np.isin(graph.line, np.flatnonzero(spurs))
        on_spur[pairs[:, spurs][loose[:, spurs]]] = True
        skeleton = skeleton.copy()
        skeleton[tuple(graph.points[on_spur].T)] = False
        # What was a junction may be a corner now.
        skeleton = skeletonize(skeleton)


@dataclass(frozen=True)
class _Curve:
    """See `CentreLine`."""

    points: Points
    tangents: Points
    along: Values
    turned: Values


def _smooth(pixels: Points, tolerance: float) -> _Curve:
    """The curve through pixels [n, 2]."""
    from scipy.interpolate import splev, splprep

    steps = np.hypot(*np.diff(pixels, axis=0).T)
    place = np.concatenate([[0], np.cumsum(steps)])
    if len(pixels) < _FEWEST:
        across = pixels[-1] - pixels[0]
        tangent = across / max(float(np.hypot(*across)), 1e-9)
        tangents = np.tile(tangent, (len(pixels), 1))
        return _Curve(pixels, tangents, place, np.full(len(pixels), np.nan))
    weights = np.ones(len(pixels))
    weights[[0, -1]] = _PINNED
    spline, _ = splprep(pixels.T, u=place, w=weights, s=len(pixels) * tolerance**2, quiet=1)
    at = np.linspace(0, place[-1], int(np.ceil(place[-1])) + 1)
    points, first, second = (np.stack(splev(at, spline, der), axis=-1) for der in range(3))
    speed = np.hypot(*first.T)
    turn = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / speed**2
    return _Curve(points, first / speed[:, None], _summed(speed, at), _summed(turn, at))


def _summed(values: Values, at: Values) -> Values:
    """The integral up to each point."""
    middles = (values[1:] + values[:-1]) / 2
    return np.concatenate([[0], np.cumsum(middles * np.diff(at))])
