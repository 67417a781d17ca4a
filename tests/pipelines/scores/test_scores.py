"""All scores of a scene against scikit-learn and plain loops, and what is said of the undefined."""

import json
from dataclasses import asdict, astuple

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
from pipelines.scores.counts import Counter, combined
from pipelines.scores.curve import HALF
from pipelines.scores.relaxed import Disc
from pipelines.scores.scores import PATHS, by_path, per_scene, plain, scores_of
from pipelines.scores.topology import TopologyCounts
from tiling.mask import class_mask
from tiling.window import Window

NAN = float("nan")
NAMES = ("road", "house", "river")

BY_THRESHOLD = ("best", "break_even", "roc_auc", "average_precision", "calibration")
"""Groups that take all thresholds."""

CORNERS = {
    "nothing predicted": ([[0, 0, 3]], [[0, 1, 1]]),
    "nothing labelled": ([[0, 100, 254]], [[0, 0, 0]]),
    "nothing labelled nor predicted": ([[0, 0, 0]], [[0, 0, 0]]),
    "all labelled": ([[0, 100, 254]], [[1, 1, 1]]),
    "all labelled and predicted": ([[254, 254]], [[1, 1]]),
    "all wrong": ([[0, 254]], [[1, 0]]),
    "all ignored": ([[0, 254]], [[IGNORE_INDEX, IGNORE_INDEX]]),
    "all missing": ([[255, 255]], [[0, 1]]),
    "one pixel of background": ([[0]], [[0]]),
    "one pixel of foreground": ([[254]], [[1]]),
    "one pixel missed": ([[0]], [[1]]),
    "one pixel wrong": ([[254]], [[0]]),
    "one pixel left": ([[200, 255, 9]], [[1, 0, IGNORE_INDEX]]),
}


@st.composite
def scenes(draw, classes):
    """Levels [classes - 1, h, w] and label [h, w]; classes may be missing from both."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    label = random.integers(0, draw(st.integers(1, classes)), shape)
    odds = np.exp(draw(st.sampled_from([0.3, 3, 30])) * random.normal(size=(classes, *shape)))
    odds += np.moveaxis(np.eye(classes)[label], -1, 0) * draw(st.sampled_from([0, 3]))
    levels = np.round(254 * odds / odds.sum(axis=0))[1:].astype(np.uint8)
    levels[:, random.random(shape) < draw(st.sampled_from([0.0, 0.2]))] = 255
    label[random.random(shape) < draw(st.sampled_from([0.0, 0.2]))] = IGNORE_INDEX
    return levels, label.astype(np.uint8)


def counted(levels, label, rho=1.5, graded=True, topology=None):
    counter = Counter(len(levels) + 1, Disc(rho))
    scene = Window(0, 0, *label.shape)
    counter.add(levels, label, scene, scene)
    return counter.counts(topology or TopologyCounts(), graded=graded)


def scored(levels, label, level=HALF, **how):
    names = NAMES[: len(levels)] if len(levels) > 1 else ()
    return scores_of(counted(levels, label, **how), level, names)


def reported(scores):
    """As in `report.json`."""
    return json.loads(json.dumps(asdict(plain(scores)), allow_nan=False))


def arrays(group):
    """The fields of a group by name; those of its bins one below the other."""
    return {
        name: [astuple(one) for one in value] if isinstance(value, tuple) else value
        for name, value in vars(group).items()
    }


def corner(name):
    levels, label = (np.array(values, np.uint8) for values in CORNERS[name])
    return levels[None], label


def kept(levels, label):
    there = (levels[0] != 255) & (label != IGNORE_INDEX)
    return levels[:, there], label[there]


def same(actual, expected):
    assert np.asarray(actual) == pytest.approx(np.asarray(expected), nan_ok=True)


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


@given(st.lists(scenes(classes=3), min_size=1, max_size=4))
def test_scores_of_several_scenes_are_those_of_their_pixels_together(several):
    pooled = scores_of(combined([counted(*scene, rho=0) for scene in several]), 90, NAMES[:2])
    side_by_side = [
        (levels.reshape(len(levels), 1, -1), label.reshape(1, -1)) for levels, label in several
    ]
    together = [np.concatenate(arrays, axis=-1) for arrays in zip(*side_by_side, strict=True)]
    assert reported(pooled) == reported(scored(*together, 90, rho=0))
