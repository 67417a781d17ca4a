"""A network of lines: nodes where lines end or meet, and an edge for each line between two."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiling.lines.tracing import Cell, Path, Pieces, Values, whole_lines

PIXEL = 2
"""Cells from a pixel to the next."""

LEVEL, WIDTH, FIRST_STEP = 0, 1, 2
"""Places of the values of cells: level of probability, width in sixteenths of a pixel, steps."""

SIXTEENTHS = 16


@dataclass(frozen=True)
class Edge:
    """A line.

    Attributes:
        start: The node that it begins at.
        end: The node that it ends at, maybe the same.
        path: Its cells.
        values: Of these: `LEVEL`, `WIDTH` and from `FIRST_STEP` on those of steps. No width is
            known where there is no mask.
    """

    start: Cell
    end: Cell
    path: Path
    values: Values

    @property
    def length(self) -> float:
        """From cell to cell, in pixels."""
        return path_length(self.path)

    @property
    def is_loop(self) -> bool:
        """Whether it ends where it begins."""
        return self.start == self.end

    def other(self, node: Cell) -> Cell:
        """The other end."""
        return self.end if node == self.start else self.start

    def reversed(self) -> "Edge":
        """The same from its end to its start."""
        return Edge(self.end, self.start, self.path[::-1], self.values[::-1])

    def directed(self) -> "Edge":
        """The same, in the one of both directions that only its cells decide."""
        ends = [(row, column) for row, column in self.path[[0, -1, 1, -2]].tolist()]
        if ends[0] != ends[1]:
            return self if ends[0] < ends[1] else self.reversed()
        return self if ends[2] <= ends[3] else self.reversed()

    @property
    def order(self) -> tuple[object, ...]:
        """Sorts edges, by their cells alone."""
        return (*self.path[[0, -1]].ravel().tolist(), len(self.path), self.path.tobytes())


@dataclass(frozen=True)
class Node:
    """Where lines end or meet.

    Attributes:
        row: From the scene's upper edge, in pixels.
        column: From its left edge.
        radius: Half the width of the mask there, in pixels.
    """

    row: float
    column: float
    radius: float


class Network:
    """Nodes and edges; a node is called by the first of its cells.

    Args:
        nodes: All of them.
        edges: Between these.

    Attributes:
        nodes: By their first cell.
        edges: By number, in an order that only their cells decide.
        at: The edges that begin or end at each node; a loop is there twice.
    """

    def __init__(self, nodes: dict[Cell, Node], edges: Iterable[Edge]) -> None:
        self.nodes = nodes
        directed = sorted((edge.directed() for edge in edges), key=lambda edge: edge.order)
        self.edges = dict(enumerate(directed))
        self.at: dict[Cell, list[int]] = {node: [] for node in nodes}
        for number, edge in self.edges.items():
            self.at[edge.start].append(number)
            self.at[edge.end].append(number)

    def degree(self, node: Cell) -> int:
        """How many ends of edges meet at a node."""
        return len(self.at[node])

    def without(self, numbers: Iterable[int]) -> "Network":
        """The network without some edges, and without the nodes that none is left at."""
        gone = set(numbers)
        edges = [edge for number, edge in self.edges.items() if number not in gone]
        left = {node for edge in edges for node in (edge.start, edge.end)}
        return Network({node: at for node, at in self.nodes.items() if node in left}, edges)

    def joined(self) -> "Network":
        """The network whose nodes with two edges are no nodes any more; rings keep theirs."""
        passed = {
            node
            for node, numbers in self.at.items()
            if len(numbers) == 2 and numbers[0] != numbers[1]
        }
        edges: list[Edge] = []
        done: set[int] = set()
        starts = [
            (number, node)
            for number, edge in self.edges.items()
            for node in (edge.start, edge.end)
            if node not in passed
        ]
        for number, node in starts:
            if number not in done:
                edges.append(self._joined_from(number, node, passed, done))
        for number in self.edges:
            if number not in done:  # A ring of several edges: its first node stays.
                ring = self._ring_from(number)
                node = min(ring)
                edges.append(self._joined_from(self.at[node][0], node, passed - {node}, done))
        left = {node for edge in edges for node in (edge.start, edge.end)}
        return Network({node: self.nodes[node] for node in self.nodes if node in left}, edges)

    def pieces(self) -> Iterator[tuple[set[Cell], list[int]]]:
        """The connected pieces: their nodes and edges."""
        seen: set[Cell] = set()
        for first in self.nodes:
            if first in seen:
                continue
            nodes, numbers, todo = {first}, set(), [first]
            while todo:
                node = todo.pop()
                for number in self.at[node]:
                    numbers.add(number)
                    other = self.edges[number].other(node)
                    if other not in nodes:
                        nodes.add(other)
                        todo.append(other)
            seen |= nodes
            yield nodes, sorted(numbers)

    def _joined_from(self, number: int, node: Cell, passed: set[Cell], done: set[int]) -> Edge:
        """The edge that begins at a node with one of its edges, and goes on over passed nodes."""
        edge = self.edges[number]
        whole = edge if edge.start == node else edge.reversed()
        done.add(number)
        while whole.end in passed:
            one, other = self.at[whole.end]
            number = other if one == number else one
            done.add(number)
            following = self.edges[number]
            if following.start != whole.end:
                following = following.reversed()
            whole = _after(whole, following)
        return whole

    def _ring_from(self, number: int) -> list[Cell]:
        """The nodes of a ring that no other edge meets."""
        first = node = self.edges[number].start
        found = []
        while True:
            found.append(node)
            node = self.edges[number].other(node)
            if node == first:
                return found
            one, other = self.at[node]
            number = other if one == number else one


def network_of(pieces: Pieces) -> Network:
    """The network of what was traced: vertices that touch are one node, in their middle."""
    group = {cell: cell for cell in pieces.vertices}

    def first_of(cell: Cell) -> Cell:
        while group[cell] != cell:
            group[cell] = group[group[cell]]
            cell = group[cell]
        return cell

    for one, other in pieces.links:
        low, high = sorted((first_of(one), first_of(other)))
        group[high] = low
    members: dict[Cell, list[Cell]] = {}
    for cell in sorted(group):
        members.setdefault(first_of(cell), []).append(cell)
    edges = []
    nodes = {
        node: _middle(cells, [pieces.vertices[cell] for cell in cells])
        for node, cells in members.items()
    }
    for path, values in whole_lines(pieces.pieces):
        start, end = ((int(row), int(column)) for row, column in path[[0, -1]])
        if start not in group:  # A ring through several windows.
            group[start] = start
            nodes[start] = _middle([start], [values[0]])
        edges.append(Edge(first_of(start), first_of(end), path, values))
    return Network(nodes, edges).without([])


def path_length(path: NDArray[np.int32]) -> float:
    """Length of a path of cells, in pixels."""
    down, right = np.abs(np.diff(path, axis=0)).T
    return float(np.hypot(down, right).sum()) / PIXEL


def _after(one: Edge, other: Edge) -> Edge:
    """Two edges as one; the second begins where the first ends."""
    again = 1 if (one.path[-1] == other.path[0]).all() else 0
    return Edge(
        one.start,
        other.end,
        np.concatenate([one.path, other.path[again:]]),
        np.concatenate([one.values, other.values[again:]]),
    )


def _middle(cells: Sequence[Cell], values: Sequence[Values]) -> Node:
    row, column = np.mean(np.array(cells), axis=0) / PIXEL
    width = max(int(of_cell[WIDTH]) for of_cell in values)
    return Node(float(row), float(column), width / SIXTEENTHS / 2)
