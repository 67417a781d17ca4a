"""Scores from counts against brute force on the pixels."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines.errors import LabelError
from pipelines.scores import HALF, LEVELS, Histogram

NAN = float("nan")


@st.composite
def predictions(draw):
    """Levels and label [n]: fine or of few levels, with and without missing pixels."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, 300))
    share = draw(st.sampled_from([0.0, 0.03, 0.3, 0.9, 1.0]))
    label = random.random(count) < share
    skill = draw(st.sampled_from([-60, 0, 60, 200]))
    levels = np.clip(random.normal(100, 70, count) + skill * label, 0, 254)
    if draw(st.booleans()):
        levels = np.round(levels / 50) * 50
    levels = levels.astype(np.uint8)
    if draw(st.booleans()):
        levels[random.random(count) < 0.2] = 255
    return levels, label


def counted(levels, label):
    histogram = Histogram()
    histogram.add(levels, label)
    return histogram


def ratio(part, whole):
    return part / whole if whole else NAN


def brute(levels, label, threshold, wanted=True):
    """Precision, recall, F1 and IoU of one class, pixel by pixel."""
    there = levels != 255
    predicted = (levels[there] >= threshold) == wanted
    true = label[there] == wanted
    both = (predicted & true).sum()
    return (
        ratio(both, predicted.sum()),
        ratio(both, true.sum()),
        ratio(2 * both, predicted.sum() + true.sum()),
        ratio(both, (predicted | true).sum()),
    )


def same(actual, expected):
    assert actual == pytest.approx(expected, nan_ok=True)


@given(predictions())
def test_foreground_scores_at_one_half(case):
    found = counted(*case).scores().foreground
    same((found.precision, found.recall, found.f1, found.iou), brute(*case, 127))


@given(predictions(), st.integers(0, 254))
def test_foreground_scores_at_any_level(case, level):
    found = counted(*case).at(level)
    same((found.precision, found.recall, found.f1, found.iou), brute(*case, level))


@given(predictions())
def test_class_means_are_of_the_classes_that_there_are(case):
    mean = counted(*case).scores().class_mean
    both = np.array([brute(*case, 127), brute(*case, 127, wanted=False)])
    for found, values in zip((mean.precision, mean.recall, mean.f1, mean.iou), both.T, strict=True):
        defined = values[~np.isnan(values)]
        same(found, defined.mean() if defined.size else NAN)


@given(predictions())
def test_the_curve_has_every_threshold(case):
    precision, recall = counted(*case).curve()
    assert precision.shape == recall.shape == (255,)
    for level in (0, 1, 50, 51, 127, 200, 254):
        same((precision[level], recall[level]), brute(*case, level)[:2])


@given(predictions())
def test_the_best_level_has_the_highest_f1_of_all(case):
    histogram = counted(*case)
    every = [brute(*case, level)[2] for level in range(1, 255)]
    level = histogram.best_level()
    if not np.nan_to_num(every).any():
        assert level == HALF
    else:
        same(histogram.at(level).f1, np.nanmax(every))


@given(predictions())
def test_precision_crosses_recall_at_the_break_even_within_a_level(case):
    levels, label = case
    point = counted(levels, label).break_even()
    there = levels != 255
    if not label[there].any():
        assert np.isnan(point.value)
        assert np.isnan(point.threshold)
        return
    position = point.threshold * 254
    below, above = int(np.floor(position + 1e-6)), int(np.ceil(position - 1e-6))
    assert 0 <= below <= above <= 254
    precision_below, recall_below, *_ = brute(levels, label, below)
    precision_above, recall_above, *_ = brute(levels, label, above)
    # Down the threshold finds too much, up it finds too little (or, past the last, nothing).
    assert recall_below >= precision_below - 1e-9
    if above < 254:
        assert recall_above <= precision_above + 1e-9 or np.isnan(precision_above)
        assert recall_above - 1e-9 <= point.value
    assert point.value <= recall_below + 1e-9


@given(predictions(), st.integers(1, 254))
def test_where_a_level_breaks_even_exactly_its_value_is_found_for_both_means(case, level):
    levels, label = case
    found = (levels >= level) & (levels != 255)
    assume(found.any())
    # As many labelled pixels as the level finds, elsewhere.
    random = np.random.default_rng(0)
    label = np.zeros(levels.shape, bool)
    label[random.permutation(np.flatnonzero(levels != 255))[: found.sum()]] = True
    precision, recall, *_ = brute(levels, label, level)
    assert precision == recall
    scores = counted(levels, label).scores()
    same(scores.break_even.value, recall)
    background_precision, background_recall, *_ = brute(levels, label, level, wanted=False)
    same(background_precision, background_recall)
    same(scores.class_mean.break_even, np.nanmean([recall, background_recall]))


def test_a_perfect_prediction_breaks_even_at_one():
    label = np.arange(100) < 30
    scores = counted(np.where(label, 254, 0).astype(np.uint8), label).scores()
    assert scores.break_even.value == 1
    assert scores.class_mean.break_even == 1
    assert scores.foreground.f1 == scores.class_mean.iou == 1


def test_where_all_pixels_have_one_level_the_break_even_is_chance():
    label = np.arange(100) < 30
    scores = counted(np.full(100, 90, np.uint8), label).scores()
    same(scores.break_even.value, 0.3)
    assert 90 / 254 <= scores.break_even.threshold <= 91 / 254


@given(st.lists(predictions(), min_size=1, max_size=5))
@settings(max_examples=30)
def test_adding_histograms_is_pooling_pixels(cases):
    total = sum((counted(*case) for case in cases), Histogram())
    pooled = counted(*(np.concatenate(arrays) for arrays in zip(*cases, strict=True)))
    np.testing.assert_array_equal(total.counts, pooled.counts)
    at_once = Histogram()
    for case in cases:
        at_once.add(*case)
    np.testing.assert_array_equal(at_once.counts, pooled.counts)


@given(predictions())
def test_pixels_without_prediction_never_count(case):
    levels, label = case
    there = levels != 255
    np.testing.assert_array_equal(
        counted(levels, label).counts, counted(levels[there], label[there]).counts
    )
    scores = counted(levels, label).scores()
    assert scores.pixels == there.sum()
    same(scores.foreground_share, ratio(label[there].sum(), there.sum()))


def test_what_is_left_out_does_not_count():
    levels = np.array([[10, 200], [255, 200]], np.uint8)
    histogram = Histogram()
    histogram.add(levels, levels > 100, np.array([[True, False], [True, True]]))
    assert histogram.counts.sum() == 2
    assert histogram.counts[0, 10] == histogram.counts[1, 200] == 1


def test_the_level_of_one_half_is_foreground_and_the_one_below_is_not():
    foreground = counted(np.array([126, 127], np.uint8), np.array([True, True])).scores().foreground
    assert foreground.recall == 0.5


def test_a_scene_without_foreground_has_no_recall_and_no_break_even():
    scores = counted(np.array([0, 50, 200], np.uint8), np.zeros(3, bool)).scores()
    assert scores.foreground.precision == 0
    assert np.isnan(scores.foreground.recall)
    assert np.isnan(scores.break_even.value)
    assert np.isnan(scores.class_mean.break_even)
    assert scores.as_dict()["break_even"] == {"value": None, "threshold": None}


def test_nothing_at_all_has_no_scores():
    plain = Histogram().scores().as_dict()
    assert plain["pixels"] == 0
    assert plain["foreground_share"] is None
    assert set(plain["foreground"].values()) == {None}
    assert set(plain["class_mean"].values()) == {None}


@given(predictions())
def test_scores_are_valid_json(case):
    text = json.dumps(counted(*case).scores().as_dict(), allow_nan=False)
    assert set(json.loads(text)) == {
        "foreground", "break_even", "class_mean", "pixels", "foreground_share",
    }  # fmt: skip


def test_a_label_of_another_shape_is_refused_naming_both():
    with pytest.raises(LabelError) as caught:
        Histogram().add(np.zeros((4, 5), np.uint8), np.zeros((5, 4), bool))
    assert "(4, 5)" in str(caught.value)
    assert "(5, 4)" in str(caught.value)


def test_counts_do_not_overflow_where_scenes_are_huge():
    counts = np.zeros((2, LEVELS), np.int64)
    counts[1, 200] = counts[0, 10] = 60_000**2
    scores = (Histogram(counts) + Histogram(counts)).scores()
    assert scores.pixels == 4 * 60_000**2
    assert scores.foreground.f1 == 1
