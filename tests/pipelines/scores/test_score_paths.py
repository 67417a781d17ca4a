"""Scores by their path in the report, of one scene and of several."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.scores.counts import Counter, combined
from pipelines.scores.curve import HALF
from pipelines.scores.relaxed import Disc
from pipelines.scores.scores import PATHS, by_path, per_scene, scores_of
from pipelines.scores.topology import TopologyCounts
from tests.pipelines.scores.scored_scenes import (
    CORNERS,
    NAMES,
    corner,
    counted,
    reported,
    scenes,
    scored,
)


def test_paths_are_the_same_whatever_the_data_and_lead_to_numbers_of_the_report():
    paths = list(PATHS)
    for name in CORNERS:
        scores = scored(*corner(name))
        assert list(by_path(scores)) == paths
        assert list(by_path(scored(*corner(name), graded=False))) == paths
        assert list(per_scene([counted(*corner(name))], HALF)) == paths
        told = reported(scores)
        for path, value in by_path(scores).items():
            there = told
            for key in path.split("."):
                there = there[key]
            assert there is None if np.isnan(value) else there == value
    assert {"pixels", "foreground.f1", "break_even.value", "class_mean.iou"} <= set(paths)
    assert {"calibration.ece", "relaxed.f1", "topology.cldice", "topology.parts"} <= set(paths)
    assert not {"relaxed.rho", "calibration.share"} & set(paths)


def test_paths_do_not_depend_on_how_many_sets_of_counts_there_are():
    counts = [counted(*corner("all wrong"))] * 10
    alone = list(by_path(scores_of(combined(counts), HALF)))
    for shape in [(), (1,), (10,), (2, 10), (0,)]:
        found = by_path(scores_of(combined(counts, np.ones((*shape, 10))), HALF))
        assert list(found) == alone
        assert {values.shape for values in found.values()} == {shape}


def test_without_topology_there_is_none():
    counter = Counter(2, Disc(1))
    scores = scores_of(counter.counts(None, graded=True), HALF)
    assert scores.topology is None
    assert reported(scores)["topology"] is None
    assert not any(path.startswith("topology") for path in by_path(scores))


def test_whole_numbers_are_shown_as_such():
    topology = TopologyCounts(components=3, label_components=4, loops=1, label_loops=2, parts=5)
    told = reported(scored(*corner("all wrong"), topology=topology))
    whole = [told["pixels"], *(told["topology"][name] for name in
             ("components", "label_components", "loops", "label_loops", "parts"))]  # fmt: skip
    assert whole == [2, 3, 4, 1, 2, 5]
    assert all(type(number) is int for number in [*whole, told["calibration"]["bins"][0]["pixels"]])


@pytest.mark.parametrize("classes", [2, 3])
@given(data=st.data())
@settings(max_examples=15)
def test_many_scenes_at_once_give_what_each_gives(classes, data):
    several = [data.draw(scenes(classes=classes)) for _ in range(4)]
    names = NAMES[: classes - 1] if classes > 2 else ()
    counts = [counted(*scene) for scene in several]
    each = [by_path(scores_of(one, 100, names)) for one in counts]
    at_once = per_scene(counts, 100, names)
    square = by_path(scores_of(combined(counts, np.eye(4).reshape(2, 2, 4)), 100, names))
    for path in each[0]:
        expected = [one[path] for one in each]
        np.testing.assert_array_equal(at_once[path], expected)
        np.testing.assert_array_equal(square[path], np.reshape(expected, (2, 2)))
