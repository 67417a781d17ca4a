"""Smoothing and simplifying within a tolerance."""

import numpy as np
import pytest
import shapely

from tests.tiling.lines.drawings import network, tidy, wild
from tiling.lines.smoothing import line_of, smoothed


@pytest.mark.parametrize("tolerance", [0.25, 1.0, 3.0])
def test_a_line_stays_within_the_tolerance_of_its_path_and_keeps_its_ends(tolerance):
    found = network(wild())
    for edge in found.edges.values():
        path = edge.path / 2
        line = smoothed(path, tolerance)
        assert (line[[0, -1]] == path[[0, -1]]).all()
        raw, smooth = shapely.LineString(path), shapely.LineString(line)
        assert shapely.hausdorff_distance(raw, smooth, densify=0.05) <= tolerance + 1e-9


def test_a_straight_line_has_two_points():
    path = np.column_stack([np.full(50, 3.0), np.arange(50.0)])
    assert smoothed(path, 1.0).tolist() == [[3, 0], [3, 49]]


def test_a_slanted_line_is_as_long_as_it_is_and_not_as_its_steps_are():
    rows = np.round(np.arange(200) * 0.4)
    path = np.column_stack([rows, np.arange(200.0)])
    line = smoothed(path, 1.0)
    length = np.hypot(*np.diff(line, axis=0).T).sum()
    assert length == pytest.approx(np.hypot(rows[-1], 199), rel=0.002)
    assert len(line) < 8


def test_a_tolerance_counts_on_the_ground_where_pixels_are_no_squares():
    found = tidy(wild())
    for edge in found.edges.values():
        raw = line_of(found, edge, (1, 1), 0.0) * (3.0, 1.0)
        line = line_of(found, edge, (3.0, 1.0), 2.0) * (3.0, 1.0)
        between = shapely.hausdorff_distance(
            shapely.LineString(raw), shapely.LineString(line), densify=0.05
        )
        assert between <= 2.0 + 1e-9


def test_lines_meet_in_their_nodes():
    found = tidy(wild())
    for edge in found.edges.values():
        line = line_of(found, edge, (1, 1), 1.0)
        for end, node in ((line[0], edge.start), (line[-1], edge.end)):
            assert end.tolist() == [found.nodes[node].row, found.nodes[node].column]
