"""Spurs, crossings that came apart, and short pieces."""

import pytest

from tests.tiling.lines.drawings import blank, degrees, network
from tiling.lines.cleaning import merged, pruned, without_short_pieces


def road_with_a_bump(out):
    """A road of 7 pixels with a bump of `out` pixels on its side."""
    mask = blank()
    mask[57:64, 10:130] = True
    mask[57 - out : 57, 69:72] = True
    return mask


@pytest.mark.parametrize(("out", "junctions"), [(4, 0), (8, 0), (20, 1)])
def test_a_dead_end_counts_from_where_it_leaves_its_road(out, junctions):
    found = pruned(network(road_with_a_bump(out)), 10)
    assert degrees(found).count(3) == junctions


def test_a_spur_of_zero_leaves_all():
    mask = road_with_a_bump(8)
    assert degrees(pruned(network(mask), 0)).count(3) == 1


def test_a_road_keeps_its_end_where_it_forks_there():
    mask = blank()
    mask[57:64, 10:100] = True
    mask[50:57, 96:100] = True
    mask[64:71, 96:100] = True
    found = pruned(network(mask), 12)
    assert degrees(found) == [1, 1]
    [edge] = found.edges.values()
    assert edge.length > 80


def test_two_junctions_within_the_width_of_a_road_are_one():
    mask = blank()
    mask[56:64, 10:130] = True
    mask[10:56, 60:68] = True  # From above, and a little to the right from below.
    mask[64:110, 63:71] = True
    found = pruned(network(mask), 8)
    together = merged(found, 16)
    assert degrees(together) == [1, 1, 1, 1, 4]


def test_two_junctions_further_apart_stay_two():
    mask = blank()
    mask[56:64, 10:130] = True
    mask[10:56, 40:48] = True
    mask[64:110, 80:88] = True
    assert degrees(merged(pruned(network(mask), 8), 16)) == [1, 1, 1, 1, 3, 3]


def test_short_pieces_go_and_long_ones_stay():
    mask = blank()
    mask[20:25, 10:130] = True
    mask[80:85, 10:35] = True
    found = network(mask)
    assert len(found.edges) == 2
    assert len(without_short_pieces(found, 30).edges) == 1
    assert len(without_short_pieces(found, 15).edges) == 2


def test_a_chain_of_nodes_becomes_one_line():
    mask = road_with_a_bump(5)
    found = pruned(network(mask), 10)
    [edge] = found.edges.values()
    assert edge.length == pytest.approx(113, abs=2)
