"""Networks of lines: graphs whose scores can be counted by hand."""

import numpy as np
import pytest

from pipelines.scores.apls import apls, compare, control_points
from pipelines.scores.line_graphs import graph_of_lines, share_near
from pipelines.scores.topo import topo

ROAD = [[0.0, 0.0], [400.0, 0.0], [1000.0, 0.0]]


def graph(*lines):
    return graph_of_lines([np.array(line, float) for line in lines])


def apls_of(label, prediction):
    return float(apls(*compare(label, prediction, 1.0)))


def f1(label, prediction):
    return float(topo(label, prediction).scores()[2])


def test_lines_meet_where_they_share_a_corner_and_else_cross_as_bridges_do():
    side = [[400.0, 0.0], [400.0, 300.0]]
    met = graph(ROAD, side)
    assert len(met.nodes) == 4  # Three ends and a junction.
    assert sorted(met.length) == [300, 400, 600]
    assert met.piece.max() == 0
    crossed = graph(ROAD, [[500.0, -300.0], [500.0, 300.0]])
    assert len(crossed.nodes) == 4  # Four ends.
    assert crossed.piece.max() == 1


def test_a_line_in_two_is_a_line():
    one, two = graph(ROAD), graph(ROAD[:2], ROAD[1:])
    assert len(one.nodes) == len(two.nodes) == 2
    assert apls_of(one, two) == 1
    # The places of holes and marbles need not be the same.
    assert f1(one, two) == pytest.approx(1, abs=0.005)


def test_a_ring_has_one_node_and_can_be_walked():
    ring = graph([[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]])
    assert len(ring.nodes) == 1
    assert control_points(ring, 50).size == 8
    assert apls_of(ring, ring) == 1
    assert f1(ring, ring) == 1


def test_a_gap_costs_apls_and_topo_more_than_the_length_that_is_missing():
    label = graph(ROAD)
    cut = graph([[0, 0], [480, 0]], [[520, 0], [1000, 0]])
    length, near = share_near(label, cut, 3.0)
    assert near / length == pytest.approx(1 - 34 / 1000, abs=2e-3)
    assert apls_of(label, cut) < 0.75
    counts = topo(label, cut)
    precision, recall, both = map(float, counts.scores())
    assert precision > 0.98
    assert recall < 0.85
    assert both == pytest.approx(2 * precision * recall / (precision + recall))


def test_what_is_too_much_costs_precision():
    label = graph(ROAD)
    more = graph(ROAD, [[400.0, 0.0], [400.0, 300.0]])
    precision, recall, _ = map(float, topo(label, more).scores())
    assert recall == 1
    # On the side road, as far as it is reached, every marble misses but those near the road.
    assert precision == pytest.approx(0.855, abs=1e-3)
    length, near = share_near(more, label, 3.0)
    assert near / length == pytest.approx(1003 / 1300, abs=1e-3)


def test_lines_beyond_the_matching_distance_do_not_count():
    label = graph(ROAD)
    beside = [[x, 7.0] for x, _ in ROAD]
    assert f1(label, graph(beside)) == pytest.approx(1, abs=0.01)
    beside = [[x, 9.0] for x, _ in ROAD]
    assert f1(label, graph(beside)) == 0
    assert share_near(label, graph(beside), 3.0) == pytest.approx((1000, 0))


def test_nothing_predicted_or_nothing_labelled():
    label, nothing = graph(ROAD), graph()
    precision, recall, both = topo(label, nothing).scores()
    assert np.isnan(precision)
    assert (recall, both) == (0, 0)
    assert apls_of(label, nothing) == 0
    assert topo(nothing, label).holes == 0
    assert np.isnan(apls_of(nothing, label))


def test_turned_and_moved_networks_have_the_same_scores():
    label = graph(ROAD, [[400.0, 0.0], [400.0, 300.0], [700.0, 350.0]])
    found = graph([[0, 2], [390, 3], [1000, 1]], [[390, 3], [405, 290]])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])

    def turned(*lines):
        return graph(*(np.array(line, float) @ turn.T + 5000 for line in lines))

    again = turned(ROAD, [[400.0, 0.0], [400.0, 300.0], [700.0, 350.0]])
    found_again = turned([[0, 2], [390, 3], [1000, 1]], [[390, 3], [405, 290]])
    assert f1(label, found) == pytest.approx(f1(again, found_again), abs=2e-3)
    assert apls_of(label, found) == pytest.approx(apls_of(again, found_again), abs=2e-3)


def test_apls_of_the_example_that_its_authors_publish():
    """A street with a corner, found with a gap of 4 m there: 0.463, 0.989 and 0.631 by SpaceNet."""
    label = [
        [-115.303517955, 36.1969287299], [-115.301338245, 36.1969111799],
        [-115.301324205, 36.1959283799],
    ]  # fmt: skip
    found = (
        [[-115.303514445, 36.1969076699], [-115.301345265, 36.1968795899]],
        [[-115.301348775, 36.1968444899], [-115.301345265, 36.1959318899]],
    )
    middle = np.array([-115.3024, 36.1964])
    metres = 111_320 * np.array([np.cos(np.radians(36.1964)), 1])

    def placed(*lines):
        return graph(*((np.array(line) - middle) * metres for line in lines))

    both = compare(placed(label), placed(*found), 1.0)
    means = [paths.score / paths.count for paths in both]
    assert means == pytest.approx([0.463, 0.989], abs=0.005)
    assert float(apls(*both)) == pytest.approx(0.6309, abs=0.002)
