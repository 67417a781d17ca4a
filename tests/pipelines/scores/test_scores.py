"""All scores of a scene against scikit-learn and plain loops."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.scores.counts import combined
from pipelines.scores.curve import HALF
from pipelines.scores.scores import scores_of
from tests.pipelines.scores.scored_scenes import (
    NAMES,
    NAN,
    corner,
    counted,
    reported,
    same,
    scenes,
    scored,
)
from tiling.masks.mask import class_mask


def arrays(group):
    """The fields of a group by name; those of its bins one below the other."""
    return {
        name: [astuple(one) for one in value] if isinstance(value, tuple) else value
        for name, value in vars(group).items()
    }


def kept(levels, label):
    there = (levels[0] != 255) & (label != IGNORE_INDEX)
    return levels[:, there], label[there]


def mean(values):
    values = np.asarray(values, float)
    return values[~np.isnan(values)].mean() if (~np.isnan(values)).any() else NAN


@given(scenes(classes=2), st.integers(1, 254))
def test_foreground_is_at_one_half_and_at_threshold_at_the_chosen_one(scene, level):
    found = scored(*scene, level)
    levels, label = kept(*scene)
    assert found.pixels == label.size
    same(found.foreground_share, label.mean() if label.size else NAN)
    same(found.at_threshold.threshold, level / 254)
    if not label.size:
        return
    for scores, threshold in ((found.foreground, HALF), (found.at_threshold, level)):
        predicted = levels[0] >= threshold
        same(scores.f1, f1_score(label, predicted, zero_division=np.nan))
        same(scores.recall, recall_score(label, predicted, zero_division=np.nan))
        same(scores.precision, precision_score(label, predicted, zero_division=np.nan))


@pytest.mark.parametrize("classes", [2, 3, 4])
@given(data=st.data())
def test_class_means_are_those_of_scikit_learn_over_the_classes_that_there_are(classes, data):
    scene = data.draw(scenes(classes=classes))
    found = scored(*scene).class_mean
    levels, label = kept(*scene)
    if not label.size:
        assert all(np.isnan(value) for value in vars(found).values())
        return
    predicted = class_mask(levels[:, None], HALF)[0]
    how = {"labels": range(classes), "average": None}
    for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        same(getattr(found, name), mean(score(label, predicted, zero_division=np.nan, **how)))
    there = np.isin(range(classes), [label, predicted])
    same(found.iou, jaccard_score(label, predicted, zero_division=0, **how)[there].mean())


@pytest.mark.parametrize("classes", [3, 4])
@given(data=st.data())
def test_each_class_has_the_scores_of_scikit_learn_against_all_others(classes, data):
    scene = data.draw(scenes(classes=classes))
    found = scored(*scene).classes
    levels, label = kept(*scene)
    assert list(found) == list(NAMES[: classes - 1])
    for index, scores in enumerate(found.values()):
        true, values = label == index + 1, levels[index]
        defined = bool(true.any())
        same(scores.average_precision, average_precision_score(true, values) if defined else NAN)
        defined = defined and not true.all()
        same(scores.roc_auc, roc_auc_score(true, values) if defined else NAN)
        if true.size:
            predicted = values >= HALF
            same(scores.foreground.f1, f1_score(true, predicted, zero_division=np.nan))
        expected = scored(values[None, None], true[None].astype(np.uint8))
        for group in ("foreground", "best", "break_even"):
            for name, value in vars(getattr(expected, group)).items():
                same(getattr(getattr(scores, group), name), value)


@given(scenes(classes=4))
def test_the_foreground_of_several_classes_is_scored_as_one(scene):
    levels, label = scene
    whole = np.minimum(levels.sum(axis=0, dtype=int), 254)
    whole = np.where(levels[0] == 255, 255, whole).astype(np.uint8)
    drawn = np.where(label == IGNORE_INDEX, IGNORE_INDEX, label > 0).astype(np.uint8)
    several, one = scored(levels, label), scored(whole[None], drawn)
    for group in ("foreground", "at_threshold", "best", "break_even", "relaxed", "calibration"):
        for name, value in arrays(getattr(one, group)).items():
            same(arrays(getattr(several, group))[name], value)
    same(several.roc_auc, one.roc_auc)
    same(several.average_precision, one.average_precision)


def test_two_classes_stand_for_themselves():
    assert scored(*corner("all wrong")).classes == {}


@given(scenes(classes=2))
@settings(max_examples=60)
def test_both_classes_break_even_at_the_same_threshold(scene):
    """The background as the foreground of a scene turned round, whose levels are 254 - levels."""
    levels, label = scene
    turned = np.where(levels == 255, 255, 254 - levels).astype(np.uint8)
    background = np.where(label == IGNORE_INDEX, IGNORE_INDEX, 1 - label).astype(np.uint8)
    found, other = scored(levels, label), scored(turned, background)
    if np.isnan(found.break_even.value) or np.isnan(other.break_even.value):
        return
    both = [found.break_even.value, other.break_even.value]
    same(found.class_mean.break_even, np.mean(both))
    same(other.class_mean.break_even, np.mean(both))


@given(scenes(classes=2), st.integers(1, 254))
def test_where_a_level_breaks_even_exactly_both_classes_do(scene, level):
    levels, label = scene
    there = (levels[0] != 255) & (label != IGNORE_INDEX)
    predicted = levels[0, there] >= level
    drawn = np.random.default_rng(level).permutation(predicted)
    label[there] = drawn
    if not drawn.any() or not (drawn & predicted).any():
        return
    recalls = recall_score(drawn, predicted, labels=[0, 1], average=None, zero_division=np.nan)
    precisions = precision_score(
        drawn, predicted, labels=[0, 1], average=None, zero_division=np.nan
    )
    same(recalls, precisions)
    found = scored(levels, label)
    same(found.break_even.value, recalls[1])
    same(found.class_mean.break_even, mean(recalls))


def test_a_background_that_is_not_there_is_left_out_of_the_mean():
    found = scored(*corner("all labelled"))
    assert found.break_even.value == found.class_mean.break_even == 1
    assert np.isnan(found.foreground.specificity)


@given(scenes(classes=3))
def test_break_even_of_several_classes_is_their_mean_and_that_of_the_background(scene):
    levels, label = scene
    found = scored(levels, label)
    levels, label = kept(levels, label)
    whole = np.minimum(levels.sum(axis=0, dtype=int), 254)
    each = [one.break_even.value for one in found.classes.values()]
    if label.size:
        turned, background = (254 - whole).astype(np.uint8), (label == 0).astype(np.uint8)
        if (label > 0).any():
            each.append(scored(turned[None, None], background[None]).break_even.value)
    same(found.class_mean.break_even, mean(each) if each else NAN)


@given(scenes(classes=2), st.integers(1, 254), st.sampled_from([0, 1, 2]))
def test_relaxed_scores_are_at_the_chosen_threshold(scene, level, rho):
    levels, label = scene
    found = scored(levels, label, level, rho=rho).relaxed
    there = (levels[0] != 255) & (label != IGNORE_INDEX)
    row, column = (axis[there] for axis in np.indices(label.shape))
    near = np.hypot(row[:, None] - row, column[:, None] - column) <= rho
    predicted, true = levels[0, there] >= level, label[there] == 1
    right = near[:, true].any(axis=1)[predicted]
    hit = near[:, predicted].any(axis=1)[true]
    assert found.rho == rho
    same(found.precision, right.mean() if right.size else NAN)
    same(found.recall, hit.mean() if hit.size else NAN)


@given(scenes(classes=2), st.integers(1, 254))
def test_relaxed_scores_at_rho_zero_are_the_strict_ones(scene, level):
    found = scored(*scene, level, rho=0)
    for name in ("precision", "recall", "f1"):
        same(getattr(found.relaxed, name), getattr(found.at_threshold, name))
    np.testing.assert_array_equal(found.relaxed.break_even, found.break_even.value)


def test_a_perfect_prediction_has_the_highest_scores_and_its_opposite_the_lowest():
    label = np.array([[0, 1, 0, 0, 1, 0, 0]], np.uint8)
    best = reported(scored(label[None] * 254, label))
    worst = reported(scored(254 - label[None] * 254, label, rho=0))
    for name in ("precision", "recall", "f1", "iou", "specificity", "accuracy", "mcc"):
        assert best["foreground"][name] == pytest.approx(1)
        assert worst["foreground"][name] == pytest.approx(-1 if name == "mcc" else 0)
    assert best["class_mean"] == dict.fromkeys(best["class_mean"], 1)
    assert best["roc_auc"] == best["average_precision"] == best["break_even"]["value"] == 1
    assert worst["roc_auc"] == worst["break_even"]["value"] == worst["calibration"]["ece"] - 1 == 0
    assert best["relaxed"] == {
        "rho": 1.5, "precision": 1, "recall": 1, "f1": 1, "break_even": 1,
    }  # fmt: skip


@given(st.lists(scenes(classes=3), min_size=1, max_size=4))
def test_scores_of_several_scenes_are_those_of_their_pixels_together(several):
    pooled = scores_of(combined([counted(*scene, rho=0) for scene in several]), 90, NAMES[:2])
    side_by_side = [
        (levels.reshape(len(levels), 1, -1), label.reshape(1, -1)) for levels, label in several
    ]
    together = [np.concatenate(arrays, axis=-1) for arrays in zip(*side_by_side, strict=True)]
    assert reported(pooled) == reported(scored(*together, 90, rho=0))
