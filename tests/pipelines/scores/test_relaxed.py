"""Relaxed counts against the distances of all pixels to all others."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.scores.histogram import Histogram, curve_of
from pipelines.scores.relaxed import Disc, RelaxedHistogram, relaxed_curve_of
from tiling.window import Window, split

NAN = float("nan")
DISTANCES = [0, 0.9, 1, 1.5, 2, 2.9, 3]


@st.composite
def images(draw, largest=10):
    """Levels and label [h, w]: sparse or dense, of few levels or many, with pixels left out."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, largest), st.integers(1, largest)))
    label = random.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))
    levels = random.integers(0, 255, shape)
    coarse = draw(st.sampled_from([1, 50, 127, 254]))
    levels = (levels // coarse * coarse).astype(np.uint8)
    levels[random.random(shape) < draw(st.sampled_from([0.0, 0.2, 1.0]))] = 255
    return levels, label


def whole(height, width):
    return [Window(0, 0, height, width)]


def counted(levels, label, rho, windows=None):
    disc = Disc(rho)
    histogram = RelaxedHistogram(disc)
    scene = Window(0, 0, *label.shape)
    for window in windows or [scene]:
        around = window.grown(disc.margin).intersection(scene)
        part = around.slices()
        histogram.add(levels[part], label[part], window, around)
    return histogram.near.counts, histogram.reached


def distances(shape):
    row, column = (axis.ravel() for axis in np.indices(shape))
    return np.hypot(row[:, None] - row, column[:, None] - column)


def brute(levels, label, rho):
    """Predicted, right, labelled and found pixels [256] of every threshold."""
    near = distances(label.shape) <= rho
    levels, label = levels.ravel(), label.ravel()
    there = levels != 255
    true = label & there
    rows = []
    for level in range(256):
        predicted = (levels >= level) & there
        right = predicted & near[:, true].any(axis=1)
        found = true & near[:, predicted].any(axis=1)
        rows.append([predicted.sum(), right.sum(), true.sum(), found.sum()])
    return np.array(rows).T


@given(images(), st.sampled_from(DISTANCES))
@settings(max_examples=80)
def test_counts_of_every_threshold_are_those_of_all_distances(image, rho):
    curve = relaxed_curve_of(*counted(*image, rho))
    predicted, right, labelled, found = brute(*image, rho)
    np.testing.assert_array_equal(curve.predicted, predicted)
    np.testing.assert_array_equal(curve.right, right)
    np.testing.assert_array_equal(curve.labelled, labelled[0])
    np.testing.assert_array_equal(curve.found, found)


@given(images(), st.sampled_from(DISTANCES))
@settings(max_examples=40)
def test_scores_of_every_threshold_are_those_of_all_distances(image, rho):
    curve = relaxed_curve_of(*counted(*image, rho))
    for level, (predicted, right, labelled, found) in enumerate(brute(*image, rho).T):
        precision = right / predicted if predicted else NAN
        recall = found / labelled if labelled else NAN
        both_empty = not predicted and not labelled
        f1 = NAN if both_empty else 0.0
        if right and found:
            f1 = 2 * precision * recall / (precision + recall)
        assert curve.precision()[level] == pytest.approx(precision, nan_ok=True)
        assert curve.recall()[level] == pytest.approx(recall, nan_ok=True)
        assert curve.f1()[level] == pytest.approx(f1, nan_ok=True)


@given(images(largest=20))
def test_at_rho_zero_all_is_as_strict_scores_are(image):
    levels, label = image
    histogram = Histogram()
    histogram.add(levels, label)
    near, reached = counted(levels, label, 0)
    np.testing.assert_array_equal(near, histogram.counts)
    np.testing.assert_array_equal(reached, histogram.counts[1])
    relaxed, strict = relaxed_curve_of(near, reached), curve_of(histogram.counts)
    for name, values in vars(strict).items():
        np.testing.assert_array_equal(getattr(relaxed, name), values)
    for name, value in vars(strict.break_even()).items():
        np.testing.assert_array_equal(getattr(relaxed.break_even(), name), value)
    np.testing.assert_array_equal(relaxed.f1(), strict.f1())


@given(images(largest=24), st.sampled_from(DISTANCES), st.integers(1, 25), st.randoms())
@settings(max_examples=80)
def test_windows_of_any_size_in_any_order_give_the_counts_of_the_whole(image, rho, size, random):
    levels, label = image
    windows = list(split(*label.shape, size))
    random.shuffle(windows)
    for tiled, at_once in zip(
        counted(levels, label, rho, windows), counted(levels, label, rho), strict=True
    ):
        np.testing.assert_array_equal(tiled, at_once)


@given(images(), st.sampled_from(DISTANCES))
def test_what_is_left_out_is_as_if_it_were_unlabelled_and_far_below(image, rho):
    """It neither matches nor counts, whatever the label says there."""
    levels, label = image
    out = levels == 255
    for drawn in (label | out, label & ~out):
        for found, expected in zip(
            counted(levels, drawn, rho), counted(levels, label, rho), strict=True
        ):
            np.testing.assert_array_equal(found, expected)


def test_a_pixel_that_is_left_out_matches_none_beside_it():
    levels = np.array([[255, 200, 255]], np.uint8)
    near, reached = counted(levels, np.array([[True, False, True]]), 1)
    assert near.sum() == near[0, 200] == 1
    assert not reached.any()
    near, reached = counted(levels, np.array([[True, True, True]]), 1)
    assert near[1, 200] == reached[200] == reached.sum() == near.sum() == 1


@pytest.mark.parametrize(
    ("rho", "pixels"), [(0, 1), (0.9, 1), (1, 5), (1.4, 5), (1.5, 9), (2, 13), (3, 29)]
)
def test_what_is_near_is_a_disc(rho, pixels):
    values = np.zeros((9, 9), np.uint8)
    values[4, 4] = 7
    found = Disc(rho).highest(values)
    assert (found == 7).sum() == pixels
    np.testing.assert_array_equal(found == 7, np.hypot(*(np.indices((9, 9)) - 4)) <= rho)


@given(images(), st.sampled_from(DISTANCES))
def test_the_highest_value_near_is_that_of_all_within_the_distance(image, rho):
    levels, _ = image
    near = distances(levels.shape) <= rho
    expected = np.where(near, levels.ravel(), 0).max(axis=1).reshape(levels.shape)
    np.testing.assert_array_equal(Disc(rho).highest(levels), expected)


@given(images())
def test_scores_never_fall_where_rho_grows(image):
    curves = [relaxed_curve_of(*counted(*image, rho)) for rho in sorted(DISTANCES)]
    for smaller, larger in pairwise(curves):
        assert (larger.right >= smaller.right).all()
        assert (larger.found >= smaller.found).all()
        assert (larger.predicted == smaller.predicted).all()


def test_a_road_that_is_one_pixel_off_is_right_from_rho_one_on():
    label, levels = np.zeros((7, 9), bool), np.zeros((7, 9), np.uint8)
    label[3], levels[4] = True, 254
    for rho, expected in [(0, 0), (1, 1)]:
        curve = relaxed_curve_of(*counted(levels, label, rho))
        assert curve.precision()[127] == curve.recall()[127] == curve.f1()[127] == expected


@pytest.mark.parametrize("front", [(6,), (2, 3)])
def test_many_curves_at_once_give_what_each_gives(front):
    random = np.random.default_rng(8)
    near, reached = random.integers(0, 5, (6, 2, 255)), random.integers(0, 5, (6, 255))
    many = relaxed_curve_of(near.reshape(*front, 2, 255), reached.reshape(*front, 255))
    for index in range(6):
        one = relaxed_curve_of(near[index], reached[index])
        for name, value in vars(one).items():
            values = getattr(many, name)
            np.testing.assert_array_equal(values.reshape(6, *value.shape)[index], value)
