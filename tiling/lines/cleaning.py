"""Takes from a network what thinning adds: spurs, and crossings that came apart."""

from tiling.lines.network import Edge, Network, Node
from tiling.lines.tracing import Cell

_APART = 1.25
"""Junctions that are closer than so many widths are one: so far a slanted crossing comes apart."""


def pruned(network: Network, least: float) -> Network:
    """Without spurs: dead ends that reach less than `least` pixels out of the line they leave.

    Where all but one of the lines at a node are spurs, the longest of them is kept: there a line
    forks at its end, and goes on to one of its corners.
    """
    network = network.joined()
    while spurs := _spurs(network, least):
        network = network.without(spurs).joined()
    return network


def merged(network: Network, least: float) -> Network:
    """With junctions that are one: each lies within the widths of the lines at the other.

    Loops shorter than `least` pixels go, which are around holes of the crossing.
    """
    group = {node: node for node in network.nodes}

    def first_of(node: Cell) -> Cell:
        while group[node] != node:
            group[node] = group[group[node]]
            node = group[node]
        return node

    within = {
        number for number, edge in network.edges.items() if _is_within_a_junction(network, edge)
    }
    for number in within:
        edge = network.edges[number]
        low, high = sorted((first_of(edge.start), first_of(edge.end)))
        group[high] = low
    members: dict[Cell, list[Node]] = {}
    for node in network.nodes:
        members.setdefault(first_of(node), []).append(network.nodes[node])
    edges = []
    for number, edge in network.edges.items():
        start, end = first_of(edge.start), first_of(edge.end)
        small = start == end and edge.length < least and edge.start != edge.end
        if number not in within and not small:
            edges.append(Edge(start, end, edge.path, edge.values))
    nodes = {node: _middle(of) for node, of in members.items()}
    return Network(nodes, edges).without([]).joined()


def without_short_pieces(network: Network, least: float) -> Network:
    """Without connected pieces that are shorter than `least` pixels in all."""
    return network.without(
        number
        for _, numbers in network.pieces()
        if sum(network.edges[number].length for number in numbers) < least
        for number in numbers
    )


def _spurs(network: Network, least: float) -> set[int]:
    spurs: set[int] = set()
    for node, numbers in network.at.items():
        if len(numbers) < 3:
            continue
        short = [
            number
            for number in numbers
            if network.degree(network.edges[number].other(node)) == 1
            and network.edges[number].length - network.nodes[node].radius < least
        ]
        kept = max(0, 2 - (len(numbers) - len(short)))
        longest = sorted(short, key=lambda number: (-network.edges[number].length, number))
        spurs.update(longest[kept:])
    return spurs


def _is_within_a_junction(network: Network, edge: Edge) -> bool:
    if edge.is_loop or min(network.degree(edge.start), network.degree(edge.end)) < 3:
        return False
    widths = network.nodes[edge.start].radius + network.nodes[edge.end].radius
    return edge.length <= _APART * widths


def _middle(nodes: list[Node]) -> Node:
    return Node(
        sum(node.row for node in nodes) / len(nodes),
        sum(node.column for node in nodes) / len(nodes),
        max(node.radius for node in nodes),
    )
