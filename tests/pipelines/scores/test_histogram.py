"""Scores from counts against scikit-learn on the pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    jaccard_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from pipelines.errors import LabelError
from pipelines.scores.curve import HALF, LEVELS
from pipelines.scores.histogram import (
    BINS,
    Histogram,
    calibration,
    curve_of,
    foreground_at,
    roc_auc,
)

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
    return histogram.counts


def kept(levels, label):
    """The pixels that are not missing."""
    return levels[levels != 255], label[levels != 255]


def ratio(part, whole):
    return part / whole if whole else NAN


def same(actual, expected):
    assert np.asarray(actual) == pytest.approx(np.asarray(expected), nan_ok=True)


def scores_at(levels, label, level):
    """By scikit-learn, and nan where a denominator is zero, which it calls 0."""
    levels, true = kept(levels, label)
    if not len(levels):
        return dict.fromkeys(
            ("precision", "recall", "f1", "iou", "specificity", "accuracy", "mcc"), NAN
        )
    predicted = levels >= level
    defined = len(set(predicted)) == len(set(true)) == 2
    return {
        "precision": precision_score(true, predicted, zero_division=np.nan),
        "recall": recall_score(true, predicted, zero_division=np.nan),
        "f1": f1_score(true, predicted, zero_division=np.nan),
        "iou": jaccard_score(true, predicted) if (true | predicted).any() else NAN,
        "specificity": recall_score(true, predicted, pos_label=False, zero_division=np.nan),
        "accuracy": accuracy_score(true, predicted),
        "mcc": matthews_corrcoef(true, predicted) if defined else NAN,
    }


@given(predictions(), st.one_of(st.just(HALF), st.integers(0, 254)))
@settings(max_examples=100)
def test_scores_at_a_level_are_those_of_scikit_learn(case, level):
    found = vars(foreground_at(counted(*case), level))
    expected = scores_at(*case, level)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        same(found[name], value)


def test_the_level_of_one_half_is_foreground_and_the_one_below_is_not():
    found = foreground_at(counted(np.array([126, 127], np.uint8), np.array([True, True])), HALF)
    assert found.recall == 0.5


@given(predictions())
@settings(max_examples=60)
def test_the_area_under_the_roc_curve_is_that_of_scikit_learn(case):
    levels, label = kept(*case)
    both = label.any() and not label.all()
    same(roc_auc(counted(*case)), roc_auc_score(label, levels) if both else NAN)


@given(predictions())
def test_the_area_under_the_roc_curve_is_the_share_of_pairs_in_order(case):
    levels, label = kept(*case)
    pairs = np.sign(levels[label].astype(int)[:, None] - levels[~label].astype(int))
    same(roc_auc(counted(*case)), (pairs + 1).mean() / 2 if pairs.size else NAN)


@given(predictions())
@settings(max_examples=60)
def test_calibration_bins_are_those_of_scikit_learn(case):
    levels, label = kept(*case)
    bins = calibration(counted(*case)).bins
    assert sum(one.pixels for one in bins) == len(levels)
    empty = [one for one in bins if not one.pixels]
    assert all(np.isnan(one.share) and np.isnan(one.probability) for one in empty)
    if len(levels):
        share, probability = calibration_curve(label.astype(int), levels / 254, n_bins=BINS)
        full = [one for one in bins if one.pixels]
        same([one.share for one in full], share)
        same([one.probability for one in full], probability)


def test_a_bin_holds_its_upper_end_and_the_first_one_zero_too():
    levels = np.array([0, 1, 25, 26, 127, 128, 254], np.uint8)
    found = calibration(counted(levels, levels > 100))
    assert [one.pixels for one in found.bins] == [3, 1, 0, 0, 1, 1, 0, 0, 0, 1]


@given(predictions())
def test_the_calibration_error_is_the_mean_gap_over_the_pixels(case):
    levels, label = kept(*case)
    probability = levels / 254
    error = 0.0
    for number in range(BINS):
        low = -1 if number == 0 else number / BINS
        inside = (probability > low) & (probability <= (number + 1) / BINS)
        if inside.any():
            error += inside.sum() * abs(label[inside].mean() - probability[inside].mean())
    same(calibration(counted(*case)).ece, ratio(error, len(levels)))


def test_a_bin_of_one_pixel_counts_in_the_calibration_error():
    found = calibration(counted(np.array([0, 127], np.uint8), np.array([True, False])))
    same(found.ece, (1 + 0.5) / 2)


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    label = np.arange(100) < 30
    right = np.where(label, 254, 0).astype(np.uint8)
    assert calibration(counted(right, label)).ece == 0
    assert calibration(counted(254 - right, label)).ece == 1


@given(st.lists(predictions(), min_size=1, max_size=5))
def test_adding_scenes_in_any_order_is_pooling_pixels(cases):
    pooled = counted(*(np.concatenate(arrays) for arrays in zip(*cases, strict=True)))
    for order in (cases, cases[::-1]):
        one_by_one = Histogram()
        for case in order:
            one_by_one.add(*case)
        np.testing.assert_array_equal(one_by_one.counts, pooled)


@given(predictions())
def test_every_pixel_is_counted_once_under_its_label_and_level(case):
    expected = np.zeros((2, LEVELS), int)
    for level, label in zip(*kept(*case), strict=True):
        expected[int(label), level] += 1
    np.testing.assert_array_equal(counted(*case), expected)


@given(predictions(), st.integers(0, 2**32 - 1))
def test_what_is_left_out_does_not_count(case, seed):
    levels, label = case
    inside = np.random.default_rng(seed).random(len(levels)) < 0.6
    histogram = Histogram()
    histogram.add(levels, label, inside)
    np.testing.assert_array_equal(histogram.counts, counted(levels[inside], label[inside]))


def test_pixels_may_lie_in_any_shape_and_are_left_as_they_are():
    random = np.random.default_rng(3)
    levels = random.integers(0, 256, (4, 5, 6)).astype(np.uint8)
    label, inside = random.random((2, 4, 5, 6)) < 0.5
    before = levels.copy(), label.copy()
    histogram = Histogram()
    histogram.add(levels, label, inside)
    flat = Histogram()
    flat.add(levels.ravel(), label.ravel(), inside.ravel())
    np.testing.assert_array_equal(histogram.counts, flat.counts)
    np.testing.assert_array_equal(levels, before[0])
    np.testing.assert_array_equal(label, before[1])


def test_a_label_of_another_shape_is_refused_naming_both():
    with pytest.raises(LabelError) as caught:
        Histogram().add(np.zeros((4, 5), np.uint8), np.zeros((5, 4), bool))
    assert "(4, 5)" in str(caught.value)
    assert "(5, 4)" in str(caught.value)


def test_nothing_at_all_has_no_scores():
    counts = Histogram().counts
    assert all(np.isnan(value) for value in vars(foreground_at(counts, HALF)).values())
    assert np.isnan(roc_auc(counts))
    assert np.isnan(calibration(counts).ece)


def test_scores_hold_where_scenes_are_huge():
    counts = np.zeros((2, LEVELS), np.int64)
    counts[1, 200] = counts[0, 10] = 2 * 60_000**2
    counts[0, 200] = counts[1, 10] = 60_000**2
    found = foreground_at(counts, HALF)
    same((found.f1, found.mcc, found.iou, roc_auc(counts)), (2 / 3, 1 / 3, 1 / 2, 2 / 3))
    same(curve_of(counts).break_even().value, 2 / 3)


@pytest.mark.parametrize("front", [(6,), (2, 3), (1, 6, 1)])
def test_many_counts_at_once_give_what_each_gives(front):
    random = np.random.default_rng(11)
    counts = random.integers(0, 5, (6, 2, LEVELS))
    counts[1] = 0
    counts[2, 1] = 0
    counts[3, 0] = 0
    counts[4, :, 200:] = 0
    many = counts.reshape(*front, 2, LEVELS)
    for scores in (
        lambda of: vars(foreground_at(of, 200)),
        lambda of: {"ece": calibration(of).ece},
        lambda of: vars(calibration(of).bins[3]),
    ):
        found = scores(many)
        for name, values in found.items():
            one_by_one = [scores(one)[name] for one in counts]
            np.testing.assert_array_equal(values, np.reshape(one_by_one, values.shape))
            assert values.shape[: len(front)] == front
    np.testing.assert_array_equal(roc_auc(many).ravel(), [roc_auc(one) for one in counts])
