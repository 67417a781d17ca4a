from math import hypot, inf, isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation
from skimage.morphology import skeletonize

import pipelines.scores.apls
from pipelines.datasets.synthetic import draw_road_scene
from pipelines.scores.apls import SPACING, PathGraph, Paths, apls, compare, control_points, graph_of


def drawn(*corners, height=120, width=260):
    """Lines from corner to corner, straight or diagonal."""
    image = np.zeros((height, width), bool)
    for (row, column), (to_row, to_column) in corners:
        steps = max(abs(to_row - row), abs(to_column - column)) + 1
        rows = np.linspace(row, to_row, steps).astype(int)
        columns = np.linspace(column, to_column, steps).astype(int)
        image[rows, columns] = True
    return image


def score(label, prediction, metres=None):
    return apls(*compare(graph_of(label), graph_of(prediction), metres))


def places(graph, pixels):
    return {tuple(point) for point in graph.points[pixels].tolist()}


def rng_masks(shape, density, seed):
    return np.random.default_rng(seed).random(shape) < density


@st.composite
def skeletons(draw):
    """Thin ones, and noise: blocks, crossings and lone pixels."""
    shape = draw(st.integers(1, 18)), draw(st.integers(1, 18))
    density = draw(st.sampled_from([0.1, 0.3, 0.5, 0.7]))
    mask = rng_masks(shape, density, draw(st.integers(0, 2**32)))
    return skeletonize(mask) if draw(st.booleans()) else mask


STRAIGHT = drawn(((5, 20), (5, 120)))
CROSS = drawn(((30, 30), (30, 70)), ((10, 50), (50, 50)))
RING = drawn(((10, 10), (10, 60)), ((60, 10), (60, 60)), ((10, 10), (60, 10)), ((10, 60), (60, 60)))


def test_a_straight_line_has_two_nodes_and_is_cut_in_its_middle():
    graph = graph_of(STRAIGHT)
    assert places(graph, graph.nodes) == {(5, 20), (5, 120)}
    assert graph.length.tolist() == [100]
    assert places(graph, control_points(graph, 50)) == {(5, 20), (5, 70), (5, 120)}
    # Three paths: 50, 50, 100.
    assert compare(graph, graph) == (Paths(3, 3), Paths(3, 3))


def test_a_cross_has_its_middle_and_four_ends():
    graph = graph_of(CROSS)
    assert places(graph, graph.nodes) == {(30, 50), (30, 30), (30, 70), (10, 50), (50, 50)}
    assert sorted(graph.length) == [20, 20, 20, 20]
    # Five points, all connected.
    assert compare(graph, graph)[0].count == 10


def test_a_diagonal_is_longer_by_the_root_of_two():
    graph = graph_of(drawn(((0, 0), (30, 30))))
    assert graph.length == pytest.approx([30 * 2**0.5])


def test_a_corner_is_no_junction():
    graph = graph_of(drawn(((10, 10), (10, 30)), ((10, 30), (40, 30))))
    assert places(graph, graph.nodes) == {(10, 10), (40, 30)}
    assert graph.length.tolist() == [50]


def test_a_staircase_is_one_line():
    stairs = np.zeros((30, 30), bool)
    steps = np.arange(29)
    stairs[steps, steps] = stairs[steps, steps + 1] = True
    graph = graph_of(stairs)
    assert graph.nodes.size == 2
    assert graph.length.tolist() == [57]


def test_junction_pixels_that_touch_are_one_node():
    # A block of four pixels with a tail at each corner: 4 ends and the block.
    block = drawn(
        ((0, 0), (10, 10)), ((21, 0), (11, 10)), ((0, 21), (10, 11)), ((21, 21), (11, 11))
    )
    assert block[10:12, 10:12].all()
    graph = graph_of(block)
    assert graph.nodes.size == 5
    # Through the block from tail to tail: 2 * 10 diagonal links and 2 straight ones.
    ends = np.array([pixel for pixel in graph.nodes if tuple(graph.points[pixel]) in
                     {(0, 0), (21, 21)}])  # fmt: skip
    lengths = PathGraph(graph, ends).lengths(np.array([0]))
    assert lengths[0, 1] == pytest.approx(20 * 2**0.5 + 2)


def test_a_ring_without_a_junction_has_control_points_all_around():
    graph = graph_of(RING)
    assert graph.nodes.size == 1
    assert graph.length.tolist() == [200]
    assert places(graph, control_points(graph, 50)) == {(10, 10), (10, 60), (60, 60), (60, 10)}
    # Four neighbours 50 apart and two pairs across, 100.
    assert compare(graph, graph)[0] == Paths(6, 6)


def test_a_small_ring_has_a_path_too():
    ring = np.zeros((20, 20), bool)
    ring[4:15, 4:15] = True
    ring[5:14, 5:14] = False
    assert compare(graph_of(ring), graph_of(ring))[0] == Paths(1, 1)


def test_a_lone_pixel_has_no_path():
    pixel = np.zeros((9, 9), bool)
    pixel[4, 4] = True
    assert graph_of(pixel).nodes.size == 1
    assert isnan(score(pixel, pixel))


def test_paths_to_what_is_not_there_are_lost():
    without_an_arm = CROSS.copy()
    without_an_arm[:30] = False
    # Of 10 paths between 5 points the 4 to the lost end; of the others all are right.
    paths, back = compare(graph_of(CROSS), graph_of(without_an_arm))
    assert paths == Paths(10, 6)
    # The prediction has the same 4 points.
    assert back == Paths(6, 6)


def test_a_broken_line():
    # The label has points at 0, 50, 100, 150, 200: of 10 paths the 6 over the gap are lost.
    # The prediction has points at 0, 40, 79, 119 and 131, 166, 200: 6 + 3 paths, all right.
    label = drawn(((5, 0), (5, 200)))
    prediction = label.copy()
    prediction[5, 120:131] = False
    found = compare(graph_of(label), graph_of(prediction))
    assert found == (Paths(10, 4), Paths(9, 9))
    assert apls(*found) == pytest.approx(2 * 0.4 * 1 / (0.4 + 1))


def test_the_detour_where_a_bridge_is_cut():
    # a -10- b -20- c -10- d, and from b to c another way of 5 + 20 + 5 = 30.
    label = drawn(((10, 0), (10, 40)), ((10, 10), (5, 10)), ((5, 10), (5, 30)), ((5, 30), (10, 30)))
    prediction = label.copy()
    prediction[10, 11:30] = False
    # ab and cd stay; bc is 30, not 20; ac and bd 40, not 30; ad 50, not 40.
    expected = 1 + 1 + (1 - 10 / 20) + 2 * (1 - 10 / 30) + (1 - 10 / 40)
    paths, _ = compare(graph_of(label), graph_of(prediction))
    assert paths.count == 6
    assert paths.score == pytest.approx(expected)


def test_a_shortcut_that_is_not_there_counts_as_much_as_a_detour():
    # The same the other way round: ab, cd; bc 20, not 30; ac, bd 30, not 40; ad 40, not 50.
    prediction = drawn(
        ((10, 0), (10, 40)), ((10, 10), (5, 10)), ((5, 10), (5, 30)), ((5, 30), (10, 30))
    )
    label = prediction.copy()
    label[10, 11:30] = False
    # The label is one line of 50: its ends are its control points.
    paths, _ = compare(graph_of(label), graph_of(prediction))
    assert (paths.count, paths.score) == (1, pytest.approx(1 - 10 / 50))


def test_a_detour_of_twice_the_length_or_more_is_no_better_than_no_way():
    # a -10- b -10- c -10- d, and from b to c another way of 25 + 10 + 25 with m in its middle.
    label = drawn(
        ((60, 20), (25, 20)), ((25, 20), (25, 30)), ((25, 30), (60, 30)), ((50, 20), (50, 30))
    )
    prediction = label.copy()
    prediction[50, 21:30] = False
    # bc, ac, bd, ad are 50 longer, which is more than 10, 20, 20, 30; ab, cd and all to m stay.
    assert compare(graph_of(label), graph_of(prediction))[0] == Paths(10, 6)


@settings(max_examples=100, deadline=None)
@given(skeletons(), st.data())
def test_paths_are_as_long_as_from_pixel_to_pixel(skeleton, data):
    graph = graph_of(skeleton)
    if not len(graph.points):
        return
    stops = np.array(
        data.draw(st.lists(st.integers(0, len(graph.points) - 1), min_size=1, max_size=8))
    )
    lengths = PathGraph(graph, stops).lengths(np.arange(stops.size))
    for source, row in zip(stops, lengths, strict=True):
        every = pixel_by_pixel(skeleton, tuple(graph.points[source].tolist()))
        expected = [every.get(tuple(graph.points[stop].tolist()), inf) for stop in stops]
        assert row == pytest.approx(expected)


def pixel_by_pixel(skeleton, source):
    """Lengths of the shortest paths to every pixel that can be reached (Bellman, Ford)."""
    there = {tuple(point) for point in np.argwhere(skeleton).tolist()}
    links = [
        ((row, column), (row + down, column + right), hypot(down, right))
        for row, column in there
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
        if (down or right)
        and (row + down, column + right) in there
        and not (
            down and right and ({(row + down, column), (row, column + right)} & there)
        )
    ]  # fmt: skip
    lengths, changed = {source: 0.0}, True
    while changed:
        changed = False
        for one, other, length in links:
            if one in lengths and lengths[one] + length < lengths.get(other, inf) - 1e-9:
                lengths[other] = lengths[one] + length
                changed = True
    return lengths


@settings(max_examples=100, deadline=None)
@given(skeletons(), st.sampled_from([3, 5, 50]))
def test_lines_are_cut_into_even_pieces_no_longer_than_the_spacing(skeleton, spacing):
    graph = graph_of(skeleton)
    points = control_points(graph, spacing)
    for line, length in enumerate(graph.length):
        along = graph.along[points[graph.line[points] == line]]
        pieces = np.diff([0, *sorted(along), length])
        # A cut falls on a pixel, and these are up to the root of two apart.
        assert pieces.max() <= spacing + 2**0.5
        assert np.ptp(pieces) <= 2 * 2**0.5


def test_every_connected_piece_has_a_control_point():
    graph = graph_of(rng_masks((60, 60), 0.3, seed=4))
    points = control_points(graph, SPACING)
    stops = np.concatenate([points, np.arange(len(graph.points))])
    assert np.isfinite(PathGraph(graph, stops).lengths(np.arange(points.size)).min(axis=0)).all()


@pytest.fixture(scope="module")
def road_map():
    return skeletonize(draw_road_scene(500, 500, seed=3)[1] > 0)


def test_a_road_map_is_like_itself(road_map):
    found = compare(graph_of(road_map), graph_of(road_map))
    assert found[0].count > 1000
    assert score(road_map, road_map) == 1


def test_the_more_is_cut_the_lower_the_score(road_map):
    scores = [1.0]
    cut = road_map.copy()
    for column in (250, 120, 380):
        cut[:, column : column + 12] = False
        scores.append(score(road_map, cut))
    assert scores == sorted(scores, reverse=True)
    assert scores[1] < 0.9
    assert scores[-1] < 0.6


@pytest.mark.parametrize(
    ("metres", "near", "far"),
    # SNAP is 4 pixels; 4 m; never less than 1.5 pixels.
    [(None, 4, 5), (1.0, 4, 5), (0.5, 8, 9), (2.0, 2, 3), (10.0, 1, 2)],
)
def test_a_shifted_line_is_found_up_to_the_snapping_distance(metres, near, far):
    label = drawn(((20, 10), (20, 210)))
    assert score(label, np.roll(label, near, axis=0), metres) == 1
    assert score(label, np.roll(label, far, axis=0), metres) == 0


@pytest.mark.parametrize(
    ("metres", "points"),
    # 200 pixels in pieces of at most 50, 100, 25 pixels; 15 at least.
    [(None, 5), (1.0, 5), (0.5, 3), (2.0, 9), (20.0, 15)],
)
def test_control_points_are_so_many_metres_apart(metres, points):
    graph = graph_of(drawn(((20, 10), (20, 210))))
    assert compare(graph, graph, metres)[0].count == points * (points - 1) / 2


@pytest.mark.parametrize(("metres", "length"), [(None, 10), (1.0, 10), (0.5, 20), (2.0, 5)])
def test_paths_of_less_than_ten_metres_do_not_count(metres, length):
    just, less = (graph_of(drawn(((5, 5), (5, 5 + pixels)))) for pixels in (length, length - 1))
    assert compare(just, just, metres)[0].count == 1
    assert compare(less, less, metres)[0].count == 0


def test_the_score_is_the_same_with_label_and_prediction_exchanged(road_map):
    cut = road_map.copy()
    cut[:, 250:262] = False
    assert score(cut, road_map) == pytest.approx(score(road_map, cut))


def test_harmonic_mean():
    assert apls(Paths(10, 5), Paths(4, 4)) == pytest.approx(2 * 0.5 * 1 / (0.5 + 1))
    assert apls(Paths(10, 5), Paths(0, 0)) == 0
    assert apls(Paths(10, 0), Paths(4, 4)) == 0
    assert isnan(apls(Paths(0, 0), Paths(4, 4)))


def test_empty_skeletons():
    empty = np.zeros_like(STRAIGHT)
    assert score(STRAIGHT, empty) == 0
    assert isnan(score(empty, STRAIGHT))
    assert isnan(score(empty, empty))


def test_how_much_is_held_at_once_changes_nothing(road_map, monkeypatch):
    cut = road_map.copy()
    cut[:, 250:262] = False
    graphs = graph_of(road_map), graph_of(cut)
    at_once = compare(*graphs)
    monkeypatch.setattr(pipelines.scores.apls, "_AT_ONCE", 1000)
    for whole, chunked in zip(at_once, compare(*graphs), strict=True):
        assert chunked.count == whole.count
        assert chunked.score == pytest.approx(whole.score)


def test_specks_change_nothing(road_map):
    specks = np.zeros_like(road_map)
    specks[::20, ::20] = specks[::20, 1::20] = True
    specks[::40, 2::40] = True
    specks &= ~binary_dilation(road_map, iterations=6)
    assert specks.sum() > 100
    found = compare(graph_of(road_map), graph_of(road_map | specks))
    assert found == compare(graph_of(road_map), graph_of(road_map))


def test_where_there_are_too_many_paths_a_share_stands_for_all(road_map, monkeypatch):
    cut = road_map.copy()
    cut[:, 250:262] = False
    graphs = graph_of(road_map), graph_of(cut)
    every = compare(*graphs)
    monkeypatch.setattr(pipelines.scores.apls, "_FEWEST", 2)
    some = compare(*graphs, at_most=15_000)
    assert some != every
    assert some[0].count == pytest.approx(every[0].count, rel=0.1)
    assert apls(*some) == pytest.approx(apls(*every), abs=0.05)
