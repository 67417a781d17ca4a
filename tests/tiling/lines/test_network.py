"""Networks of drawings that are known, the same from windows of any size."""

import numpy as np
import pytest

from tests.tiling.lines.drawings import (
    blank,
    content,
    cross,
    degrees,
    forked,
    network,
    parallel,
    ring,
    tidy,
    turned,
    wild,
)  # fmt: skip
from tiling.lines.network import LEVEL, WIDTH

DRAWINGS = {"cross": cross(), "forked": forked(), "ring": ring(), "parallel": parallel()}


def places(found):
    return sorted((node.row, node.column) for node in found.nodes.values())


def test_two_roads_that_cross_are_four_lines_from_one_node():
    found = tidy(cross())
    assert degrees(found) == [1, 1, 1, 1, 4]
    assert (60.5, 70.5) in places(found)
    # From 10 + 3.5 to 130 - 3.5, and from 10 + 3.5 to 110 - 3.5.
    assert sum(edge.length for edge in found.edges.values()) == 113 + 93
    # The cell that is the node is half a pixel off the middle.
    assert sorted(edge.length for edge in found.edges.values()) == [46, 47, 56, 57]


def test_a_road_that_leaves_another_makes_a_junction_of_three():
    found = tidy(forked())
    assert degrees(found) == [1, 1, 1, 3]
    [junction] = [found.nodes[node] for node in found.nodes if found.degree(node) == 3]
    # Within the road; its middle is at row 52.5.
    assert (junction.row, junction.column) == (54.5, 70.5)


def test_a_ring_is_one_line_from_its_node_to_the_same():
    found = tidy(ring())
    [edge] = found.edges.values()
    assert edge.is_loop
    assert degrees(found) == [2]
    assert (edge.path[0] == edge.path[-1]).all()
    # Along the middle, with corners that are cut short.
    assert edge.length == pytest.approx(2 * (74 + 94), rel=0.03)


def test_parallel_roads_stay_two():
    found = tidy(parallel())
    assert degrees(found) == [1, 1, 1, 1]
    assert {row for row, _ in places(found)} == {53.0, 62.0}


def test_values_along_a_line_are_those_of_its_pixels():
    levels = np.zeros((2, 60, 90), np.uint8)
    levels[0, 20:25, 10:80] = 200
    levels[1, 20:25, 10:80] = 30
    [edge] = network(levels[0] > 0, values=levels).edges.values()
    assert set(edge.values[:, LEVEL]) == {200}
    assert set(edge.values[:, WIDTH]) == {5 * 16}
    assert set(edge.values[:, 2]) == {30}


def square_with_roads():
    """Wider than any road, so that windows beside it must be read with more around them."""
    mask = np.zeros((260, 330), bool)
    mask[70:190, 120:250] = True
    mask[100:107, 10:320] = True
    mask[20:240, 200:206] = True
    return mask


@pytest.mark.parametrize("at_once", [70, 101])
def test_nor_beside_what_is_wider_than_roads(at_once):
    mask = square_with_roads()
    assert content(network(mask, at_once)) == content(network(mask))


@pytest.mark.parametrize("mask", [*DRAWINGS.values(), wild()], ids=[*DRAWINGS, "wild"])
@pytest.mark.parametrize("at_once", [37, 64])
def test_the_windows_cannot_be_seen_in_the_network(mask, at_once):
    assert content(network(mask, at_once)) == content(network(mask))


@pytest.mark.parametrize("mask", [*DRAWINGS.values(), wild()], ids=[*DRAWINGS, "wild"])
def test_a_turned_image_has_the_same_nodes_and_lines(mask):
    networks = [tidy(one) for one in turned(mask)]
    assert len({tuple(degrees(found)) for found in networks}) == 1
    assert len({len(found.edges) for found in networks}) == 1
    lengths = [sum(edge.length for edge in found.edges.values()) for found in networks]
    assert max(lengths) <= 1.005 * min(lengths)


def test_a_mask_without_roads_has_no_network():
    found = network(blank())
    assert not found.nodes
    assert not found.edges
