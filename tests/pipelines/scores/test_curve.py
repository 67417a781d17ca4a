"""What is read off the curves, against scikit-learn and against one threshold after another."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from pipelines.scores.curve import Curve, mean_of_defined, ratio
from pipelines.scores.histogram import Histogram, curve_of
from pipelines.scores.relaxed import Disc, RelaxedHistogram, relaxed_curve_of
from tiling.window import Window

NAN = float("nan")


@st.composite
def pixels(draw, smallest=0):
    """Levels and label [n] with many ties or few; often nothing is labelled, or everything."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(smallest, 200))
    label = random.random(count) < draw(st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]))
    skill = draw(st.sampled_from([-150, -60, 0, 60, 200]))
    levels = np.clip(random.normal(100, 70, count) + skill * label, 0, 254)
    coarse = draw(st.sampled_from([1, 50, 127, 254]))
    return (np.round(levels / coarse) * coarse).astype(np.uint8), label


@st.composite
def images(draw):
    """Levels and label [h, w], and rho."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    label = random.random(shape) < draw(st.sampled_from([0.02, 0.1, 0.4]))
    levels = np.clip(random.normal(100, 70, shape) + 80 * label, 0, 254)
    coarse = draw(st.sampled_from([1, 50, 127]))
    levels = (np.round(levels / coarse) * coarse).astype(np.uint8)
    return levels, label, draw(st.sampled_from([1, 1.5, 3]))


def strict(levels, label):
    histogram = Histogram()
    histogram.add(levels, label)
    return curve_of(histogram.counts)


def relaxed(levels, label, rho):
    histogram = RelaxedHistogram(Disc(rho))
    scene = Window(0, 0, *label.shape)
    histogram.add(levels, label, scene, scene)
    return relaxed_curve_of(histogram.near.counts, histogram.reached)


def same(actual, expected):
    assert np.asarray(actual) == pytest.approx(np.asarray(expected), nan_ok=True)


@given(pixels(smallest=1))
def test_the_curve_has_precision_recall_and_f1_of_every_threshold(case):
    levels, label = case
    curve = strict(*case)
    found = np.stack([curve.precision(), curve.recall(), curve.f1()])
    assert found.shape == (3, 256)
    predicted = levels[:, None] >= np.arange(256)
    true = np.broadcast_to(label[:, None], predicted.shape)
    for values, score in zip(found, (precision_score, recall_score, f1_score), strict=True):
        same(values, score(true, predicted, average=None, zero_division=np.nan))


@given(pixels())
@settings(max_examples=60)
def test_average_precision_is_that_of_scikit_learn(case):
    levels, label = case
    expected = average_precision_score(label, levels) if label.any() else NAN
    same(strict(*case).average_precision(), expected)


@given(pixels(smallest=1))
def test_the_best_f1_is_the_highest_of_all_thresholds_and_its_threshold_the_lowest(case):
    levels, label = case
    predicted = levels[:, None] >= np.arange(1, 255)
    true = np.broadcast_to(label[:, None], predicted.shape)
    every = f1_score(true, predicted, average=None, zero_division=np.nan)
    best = strict(*case).best()
    if np.isnan(every).all():
        assert np.isnan(best.f1)
        assert np.isnan(best.threshold)
        return
    same(best.f1, np.nanmax(every))
    if best.f1 == 0:
        assert np.isnan(best.threshold)
    else:
        lowest = 1 + np.flatnonzero(every >= np.nanmax(every) - 1e-12)[0]
        same(best.threshold, lowest / 254)


def test_predicting_everything_is_no_threshold_that_could_be_best():
    label = np.array([True, True, True, False])
    best = strict(np.array([0, 0, 9, 9], np.uint8), label).best()
    same((best.f1, best.threshold), (0.4, 1 / 254))


@given(pixels())
@settings(max_examples=100)
def test_the_break_even_is_precision_of_as_many_pixels_as_are_labelled(case):
    """Of the pixels with the highest levels; what ties there is right in shares."""
    levels, label = case
    point = strict(*case).break_even()
    wanted = int(label.sum())
    if not wanted:
        assert np.isnan(point.value)
        assert np.isnan(point.threshold)
        return
    last = np.sort(levels)[::-1][wanted - 1]
    above, tied = levels > last, levels == last
    right = label[above].sum() + label[tied].mean() * (wanted - above.sum())
    same(point.value, right / wanted)
    below = levels[levels < last]
    too_many = tied.sum() + above.sum() - wanted
    if not right:
        # Both are zero from the first threshold on where nothing is right.
        assert point.threshold <= (last + 1) / 254 + 1e-9
    elif too_many:
        same(point.threshold, min(1, (last + too_many / tied.sum()) / 254))
    else:
        # The lowest of the thresholds that predict just these pixels.
        same(point.threshold, (int(below.max()) + 1 if below.size else 0) / 254)


@given(pixels(smallest=1), st.integers(1, 254))
def test_where_a_level_breaks_even_exactly_it_is_found(case, level):
    levels, _ = case
    found = int((levels >= level).sum())
    assume(found)
    label = np.zeros(levels.shape, bool)
    label[np.random.default_rng(level).permutation(len(levels))[:found]] = True
    precision, recall = (score(label, levels >= level) for score in (precision_score, recall_score))
    assert precision == recall
    point = strict(levels, label).break_even()
    same(point.value, recall)
    assert point.threshold <= level / 254


def test_a_perfect_prediction_breaks_even_at_one():
    label = np.arange(100) < 30
    curve = strict(np.where(label, 254, 0).astype(np.uint8), label)
    assert curve.break_even().value == 1
    assert curve.best().f1 == 1
    assert curve.average_precision() == 1


def test_where_all_pixels_have_one_level_the_break_even_is_chance():
    label = np.arange(100) < 30
    point = strict(np.full(100, 90, np.uint8), label).break_even()
    same((point.value, point.threshold), (0.3, 90.7 / 254))


def test_where_everything_is_labelled_everything_breaks_even():
    point = strict(np.array([7, 200], np.uint8), np.array([True, True])).break_even()
    assert (point.value, point.threshold) == (1, 0)


@given(images())
@settings(max_examples=150)
def test_relaxed_precision_crosses_relaxed_recall_at_the_break_even(case):
    levels, label, rho = case
    assume(label.any())
    row, column = (axis.ravel() for axis in np.indices(label.shape))
    near = np.hypot(row[:, None] - row, column[:, None] - column) <= rho
    flat, true = levels.ravel(), label.ravel()

    def counts(level):
        predicted = flat >= level
        return np.array([
            (predicted & near[:, true].any(axis=1)).sum(),
            predicted.sum(),
            (true & near[:, predicted].any(axis=1)).sum(),
        ], float)  # fmt: skip

    def balance(counts):
        right, predicted, found = counts
        return right * true.sum() - found * predicted

    after = next(level for level in range(256) if balance(counts(level)) >= 0)
    before = max(after - 1, 0)
    start, step = counts(before), counts(after) - counts(before)
    if balance(start) >= 0:
        part = 0.0
    else:
        steps = np.linspace(0, 1, 1001)
        end = next(s for s in steps[1:] if balance(start + s * step) >= -1e-9)
        low, high = (balance(start + s * step) for s in (end - 1e-3, end))
        part = end if low * high >= 0 else brentq(
            lambda s: balance(start + s * step), end - 1e-3, end, xtol=1e-13
        )  # fmt: skip
    point = relaxed(*case).break_even()
    assert point.value == pytest.approx((start + part * step)[2] / true.sum(), abs=1e-6)
    assert point.threshold == pytest.approx(min(1.0, (before + part) / 254), abs=1e-6)


@given(images())
@settings(max_examples=60)
def test_relaxed_break_even_lies_between_the_scores_of_its_two_levels(case):
    assume(case[1].any())
    curve = relaxed(*case)
    point = curve.break_even()
    position = point.threshold * 254
    low = int(np.floor(position + 1e-6))
    high = int(np.ceil(position - 1e-6)) if position < 254 - 1e-6 else 255
    precision, recall = curve.precision(), curve.recall()
    assert precision[low] <= recall[low] + 1e-9
    assert recall[high] - 1e-9 <= point.value <= recall[low] + 1e-9
    assert not precision[high] < recall[high] - 1e-9


def test_scores_of_what_is_empty():
    empty, some = np.zeros(3, bool), np.array([True, False, False])
    levels = np.array([0, 50, 200], np.uint8)
    no_label = strict(levels, empty)
    assert no_label.precision()[100] == 0
    assert np.isnan(no_label.recall()).all()
    assert no_label.f1()[100] == 0
    assert np.isnan(no_label.f1()[201])
    assert np.isnan(no_label.average_precision())
    nothing_predicted = strict(np.zeros(3, np.uint8), some)
    assert np.isnan(nothing_predicted.precision()[1:]).all()
    assert not nothing_predicted.recall()[1:].any()
    assert not nothing_predicted.f1()[1:].any()
    best = nothing_predicted.best()
    assert best.f1 == 0
    assert np.isnan(best.threshold)


@pytest.mark.parametrize("front", [(6,), (2, 3), (1, 6, 1)])
def test_many_curves_at_once_give_what_each_gives(front):
    random = np.random.default_rng(5)
    counts = random.integers(0, 4, (6, 2, 255))
    counts[0] = 0
    counts[1, 1] = 0
    counts[2, :, 1:] = 0
    counts[3, :, 1:254] = 0
    many = curve_of(counts.reshape(*front, 2, 255))
    each = [curve_of(one) for one in counts]
    for score in (
        Curve.precision,
        Curve.recall,
        Curve.f1,
        Curve.average_precision,
        lambda curve: curve.best().f1,
        lambda curve: curve.best().threshold,
        lambda curve: curve.break_even().value,
        lambda curve: curve.break_even().threshold,
    ):
        values = score(many)
        assert values.shape[: len(front)] == front
        one_by_one = np.reshape([score(one) for one in each], values.shape)
        np.testing.assert_array_equal(values, one_by_one)


def test_the_break_even_of_huge_scenes_is_exact_enough():
    counts = np.zeros((2, 255), np.int64)
    counts[1, [10, 100]] = 10**9, 3 * 10**9
    counts[0, [0, 100]] = 10**11, 10**9
    point = curve_of(counts).break_even()
    same((point.value, point.threshold), (0.75, 11 / 254))


def test_a_quotient_by_zero_is_undefined():
    np.testing.assert_array_equal(
        ratio(np.array([1.0, 0.0, 3.0]), np.array([0.0, 0.0, 2.0])), [NAN, NAN, 1.5]
    )


def test_a_mean_is_of_what_is_defined():
    values = np.array([[1.0, NAN, 3.0], [NAN, NAN, NAN], [0.0, 0.0, 3.0]])
    np.testing.assert_array_equal(mean_of_defined(values), [2, NAN, 1])
