"""Bridges gaps between lines where the probability supports a way across.

From each end of a line the likeliest way to another line is looked for: the path of the least
sum of -log(probability), in a square around the end. So a bridge follows what the network saw,
and a gap is not closed where it saw nothing, however short it is.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import cos, radians

import numpy as np
from numpy.typing import NDArray

from tiling.blend import NODATA, TOP
from tiling.lines.network import FIRST_STEP, LEVEL, PIXEL, Edge, Network, Node
from tiling.lines.tracing import MISSING, Cell, Path, Values
from tiling.window import Window

Read = Callable[[Window], NDArray[np.uint8]]
"""Reads the levels of a window [values, h, w]: of the probability, then of the steps."""

_LEAST = 0.5 / TOP  # A probability of 0 would cost endlessly much.

_PER_PIXEL = 0.05  # Of two equally likely paths the shorter one.

_DETOUR = 4.0
"""Where there is a way round of less than so many times the bridge's length, none is needed."""

_DIRECTION = 12  # Cells from its end back that tell where a line was going.


@dataclass(frozen=True)
class Bridging:
    """Which bridges are built.

    Attributes:
        longest: Length of the longest gap in the mask, in pixels; 0 builds none.
        mean: The lowest mean probability in a gap, 0 to 1.
        lowest: The lowest probability in it, 0 to 1.
        threshold: The lowest level that is in the mask.
        turn: How far a bridge may turn away from the line that it begins at, in degrees.
    """

    longest: float
    mean: float
    lowest: float
    threshold: int
    turn: float = 75.0


@dataclass(frozen=True)
class _Bridge:
    """A way from a node to a cell of an edge.

    Attributes:
        cost: Of the way.
        node: Where it begins.
        edge: The number of the edge that it leads to.
        at: The place of the cell on the edge's path.
        path: Cells from the node's to the edge's.
        values: Of these.
    """

    cost: float
    node: Cell
    edge: int
    at: int
    path: Path
    values: Values


def bridged(
    network: Network, scene: Window, read: Read, wanted: Bridging,
    progress: Callable[[int], None] = lambda ends: None,
) -> Network:  # fmt: skip
    """The network with bridges; a line is cut where one leads to its side.

    Args:
        network: Without spurs.
        scene: All of its pixels.
        read: Reads the probabilities.
        wanted: Which bridges.
        progress: Is told of each end that was looked at.
    """
    if wanted.longest <= 0:
        return network
    search = _Search(network, scene, read, wanted)
    found = []
    for node in sorted(node for node in network.nodes if network.degree(node) == 1):
        bridge = search.from_end(node)
        if bridge is not None:
            found.append(bridge)
        progress(1)
    return _built(network, found)


class _Search:
    def __init__(self, network: Network, scene: Window, read: Read, wanted: Bridging) -> None:
        import shapely

        self._network, self._scene, self._read, self._wanted = network, scene, read, wanted
        corners = [
            (*edge.path.min(axis=0), *edge.path.max(axis=0)) for edge in network.edges.values()
        ]
        boxes = np.array(corners, float).reshape(-1, 4) / PIXEL
        self._tree = shapely.STRtree(shapely.box(*boxes.T))

    def from_end(self, node: Cell) -> _Bridge | None:
        """The bridge that begins at the end of a line, if there is one."""
        wanted, place = self._wanted, self._network.nodes[node]
        row, column = int(place.row), int(place.column)
        reach = int(wanted.longest + 2 * place.radius) + 2
        around = Window(row, column, 1, 1).grown(reach).intersection(self._scene)
        (number,) = self._network.at[node]
        edge = self._network.edges[number]
        own = edge.path if edge.start == node else edge.path[::-1]
        targets = self._targets(number, own, around)
        if not targets:
            return None
        levels = self._read(around)
        start = (min(row, self._scene.bottom - 1) - around.row,
                 min(column, self._scene.right - 1) - around.column)  # fmt: skip
        found = _likeliest(levels[0], start, np.array(list(targets)))
        if found is None:
            return None
        cost, way = found
        on_way = levels[:, way[:, 0], way[:, 1]].T
        gap = on_way[:, 0] < wanted.threshold
        across = on_way[gap, 0] / TOP
        if (
            not gap.any()
            or _steps(way)[gap].sum() > wanted.longest
            or across.mean() < wanted.mean
            or across.min() < wanted.lowest
        ):
            return None
        target, at = targets[(int(way[-1, 0]), int(way[-1, 1]))]
        length = float(_steps(way).sum())
        if self._way_round(node, target, at, _DETOUR * length) < _DETOUR * length:
            return None
        middle = PIXEL * (way + (around.row, around.column)) + 1
        of_edge = self._network.edges[target]
        path = np.concatenate([own[:1], middle, of_edge.path[at : at + 1]]).astype(np.int32)
        values = np.full((len(path), of_edge.values.shape[1]), MISSING, np.int16)
        values[0] = edge.values[0] if edge.start == node else edge.values[-1]
        values[1:-1, LEVEL] = on_way[:, 0]
        values[1:-1, FIRST_STEP:] = on_way[:, 1:]
        values[-1] = of_edge.values[at]
        return _Bridge(cost, node, target, at, path, values)

    def _targets(
        self, number: int, own: Path, around: Window
    ) -> Mapping[tuple[int, int], tuple[int, int]]:
        """Pixels of lines in a window, each with the edge and the place on its path."""
        import shapely

        box = shapely.box(around.row, around.column, around.bottom, around.right)
        end = own[0]
        back = own[min(len(own) - 1, _DIRECTION)]
        ahead = (end - back) / max(1e-9, float(np.hypot(*(end - back))))
        found: dict[tuple[int, int], tuple[int, int]] = {}
        for other in sorted(self._tree.query(box).tolist()):
            path = self._network.edges[other].path
            inside = (
                (path[:, 0] >= PIXEL * around.row) & (path[:, 0] < PIXEL * around.bottom)
                & (path[:, 1] >= PIXEL * around.column) & (path[:, 1] < PIXEL * around.right)
            )  # fmt: skip
            off = path - end
            far = np.hypot(*off.T)
            inside &= (off @ ahead) >= far * cos(radians(self._wanted.turn))
            if other == number:
                # What is near along the line itself is no other line.
                along = np.arange(len(path))
                if (path[0] != end).any():
                    along = along[::-1]
                inside &= along > PIXEL * _DETOUR * max(around.height, around.width) / 2
            inside &= far > 0
            at = np.flatnonzero(inside)
            pixels = (path[at] // PIXEL - (around.row, around.column)).tolist()
            for (row, column), place in zip(pixels, at.tolist(), strict=True):
                found.setdefault((row, column), (other, place))
        return found

    def _way_round(self, node: Cell, target: int, at: int, most: float) -> float:
        """Length of the way along lines from a node to a place on an edge; `most` if longer."""
        edge = self._network.edges[target]
        whole = edge.length
        to_place = whole * at / max(1, len(edge.path) - 1)
        distances = {node: 0.0}
        todo = [(0.0, node)]
        best = most
        while todo:
            far, here = heapq.heappop(todo)
            if far > distances[here] or far >= best:
                continue
            if here == edge.start:
                best = min(best, far + to_place)
            if here == edge.end:
                best = min(best, far + whole - to_place)
            for number in self._network.at[here]:
                along = self._network.edges[number]
                other, there = along.other(here), far + along.length
                if there < distances.get(other, most):
                    distances[other] = there
                    heapq.heappush(todo, (there, other))
        return best


def _likeliest(
    levels: NDArray[np.uint8], start: tuple[int, int], targets: NDArray[np.intp]
) -> tuple[float, NDArray[np.intp]] | None:
    """The likeliest way from a pixel to the nearest target, and its cost; None without one."""
    from skimage.graph import MCP_Geometric

    probability = np.maximum(levels.astype(float) / TOP, _LEAST)
    cost = np.where(levels == NODATA, np.inf, _PER_PIXEL - np.log(np.minimum(probability, 1)))
    search = MCP_Geometric(cost)
    costs, _ = search.find_costs([start], ends=targets.tolist(), find_all_ends=False)
    reached = costs[*targets.T]
    best = int(np.lexsort((targets[:, 1], targets[:, 0], reached))[0])
    if not np.isfinite(reached[best]):
        return None
    return float(reached[best]), np.array(search.traceback(tuple(targets[best])), np.intp)


def _steps(way: NDArray[np.intp]) -> NDArray[np.float64]:
    """Length of the way that each pixel stands for [n]: half of both steps from it."""
    steps = np.hypot(*np.diff(way, axis=0).T)
    halves: NDArray[np.float64] = (np.append(steps, 0) + np.append(0, steps)) / 2
    return halves


def _built(network: Network, found: list[_Bridge]) -> Network:
    """The network with bridges; of two between the same ends the likelier one."""
    found = sorted(found, key=lambda bridge: (bridge.cost, bridge.node))
    built: list[_Bridge] = []
    joined: set[frozenset[Cell]] = set()
    for bridge in found:
        end = _end_near(network, bridge)
        if end is not None:
            if frozenset((bridge.node, end)) in joined:
                continue
            joined.add(frozenset((bridge.node, end)))
        built.append(bridge)
    cuts: dict[int, set[int]] = {}
    for bridge in built:
        cuts.setdefault(bridge.edge, set()).add(bridge.at)
    nodes, edges = dict(network.nodes), []
    for number, edge in network.edges.items():
        last = len(edge.path) - 1
        places = sorted({0, *cuts.get(number, ()), last})
        for one, other in pairwise(places):
            start, end = (_node_at(edge, place, nodes) for place in (one, other))
            edges.append(Edge(start, end, edge.path[one : other + 1], edge.values[one : other + 1]))
    for bridge in built:
        end = _node_at(network.edges[bridge.edge], bridge.at, nodes)
        edges.append(Edge(bridge.node, end, bridge.path, bridge.values))
    return Network(nodes, edges)


def _end_near(network: Network, bridge: _Bridge) -> Cell | None:
    """The end of a line that a bridge leads to, give or take the width of the line."""
    edge = network.edges[bridge.edge]
    for node, cells in ((edge.start, bridge.at), (edge.end, len(edge.path) - 1 - bridge.at)):
        near = cells <= PIXEL * 2 * max(1.0, network.nodes[node].radius)
        if near and network.degree(node) == 1 and node != bridge.node:
            return node
    return None


def _node_at(edge: Edge, place: int, nodes: dict[Cell, Node]) -> Cell:
    """The node at a place of an edge's path; made where there is none."""
    if place == 0:
        return edge.start
    if place == len(edge.path) - 1:
        return edge.end
    row, column = edge.path[place].tolist()
    nodes.setdefault((row, column), Node(row / PIXEL, column / PIXEL, 0.0))
    return row, column
