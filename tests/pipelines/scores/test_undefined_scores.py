"""Scores that are not defined: which, when, and how they are said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.scores.curve import HALF
from pipelines.scores.scores import by_path
from tests.pipelines.scores.scored_scenes import CORNERS, corner, reported, scenes, scored

BY_THRESHOLD = ("best", "break_even", "roc_auc", "average_precision", "calibration", "certainty")
"""Groups that take all thresholds."""


def numbers(value):
    """All that stands at the ends of nested plain values."""
    if isinstance(value, dict):
        value = list(value.values())
    return [inner for of in value for inner in numbers(of)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("graded", [True, False])
@pytest.mark.parametrize("name", CORNERS)
def test_what_is_undefined_is_none_and_never_nan(name, graded):
    scores = scored(*corner(name), graded=graded)
    assert all(np.isnan(value) or -1 <= value <= 1 for path, value in by_path(scores).items()
               if path != "pixels" and not path.startswith("topology"))  # fmt: skip
    assert all(value is None or type(value) in (int, float) for value in numbers(reported(scores)))


@given(st.sampled_from([2, 3, 4]).flatmap(scenes), st.booleans())
def test_scores_are_valid_json(scene, graded):
    assert reported(scored(*scene, graded=graded))


UNDEFINED = {
    "nothing predicted": {"foreground.precision", "foreground.mcc", "relaxed.precision"},
    "nothing labelled": {
        "foreground.recall", "foreground.mcc", "break_even.value", "break_even.threshold",
        "roc_auc", "average_precision", "best.threshold", "relaxed.recall", "relaxed.break_even",
        "class_mean.break_even",
    },
    "all labelled": {"foreground.specificity", "foreground.mcc", "roc_auc"},
    "all wrong": {"best.threshold"},
    "one pixel missed": {
        "foreground.precision", "foreground.specificity", "foreground.mcc", "roc_auc",
        "best.threshold", "relaxed.precision",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", UNDEFINED)
def test_just_what_has_no_denominator_is_undefined(name):
    found = by_path(scored(*corner(name), level=HALF))
    undefined = {path for path, value in found.items() if np.isnan(value)}
    elsewhere = ("topology", "at_threshold")
    assert {path for path in undefined if not path.startswith(elsewhere)} == UNDEFINED[name]


@pytest.mark.parametrize("name", ["all ignored", "all missing"])
def test_where_no_pixel_counts_nothing_is_defined(name):
    found = by_path(scored(*corner(name)))
    known = {path for path, value in found.items() if not np.isnan(value)}
    assert {path for path in known if not path.startswith("topology")} == {
        "pixels", "at_threshold.threshold",
    }  # fmt: skip
    assert found["pixels"] == 0


@pytest.mark.parametrize("classes", [2, 4])
@given(data=st.data())
def test_a_drawing_has_no_thresholds_and_all_else_as_usual(classes, data):
    levels, label = data.draw(scenes(classes=classes))
    missing = levels == 255
    levels = np.where(missing, 255, (levels == levels.max(axis=0)) * 254).astype(np.uint8)
    drawing, graded = scored(levels, label, graded=False), scored(levels, label)
    for scores in (reported(drawing), *reported(drawing)["classes"].values()):
        for group in BY_THRESHOLD:
            assert set(numbers(scores.get(group))) == {None}
    found, expected = by_path(drawing), by_path(graded)
    assert found.keys() == expected.keys()
    for path, value in found.items():
        if path.startswith(BY_THRESHOLD) or path.endswith("break_even"):
            assert np.isnan(value)
        else:
            np.testing.assert_array_equal(value, expected[path])
    for name, scores in drawing.classes.items():
        expected = vars(graded.classes[name].foreground)
        np.testing.assert_equal(vars(scores.foreground), expected)
