"""The threshold at which probabilities expect the highest F1."""

import numpy as np
import pytest

from pipelines.scores.curve import HALF, LEVELS
from pipelines.scores.expected import best_expected, expected_f1
from pipelines.scores.histogram import Histogram, curve_of
from tiling.blend import TOP


def histogram(levels, label):
    counted = Histogram()
    counted.add(levels, label)
    return counted.counts


@pytest.fixture(params=[0.02, 0.1, 0.4])
def calibrated(request):
    """Levels of which each says truly how many of its pixels are foreground."""
    random = np.random.default_rng(5)
    share = request.param
    probability = random.beta(0.3, 0.3 * (1 - share) / share, 400_000)
    levels = np.round(probability * TOP).astype(np.uint8)
    return levels, random.random(levels.size) < levels / TOP


def test_of_calibrated_probabilities_the_threshold_is_the_best_one(calibrated):
    counts = histogram(*calibrated)
    level = best_expected(counts.sum(axis=0))
    f1 = curve_of(counts).f1()
    assert f1[level] >= f1[1:LEVELS].max() - 1e-3
    # Half of the F1 that is reached there (Lipton et al., 2014).
    assert level / TOP == pytest.approx(f1[level] / 2, abs=0.02)


@pytest.mark.parametrize("level", [40, HALF, 200])
def test_of_calibrated_probabilities_the_expected_f1_comes_true(calibrated, level):
    counts = histogram(*calibrated)
    assert expected_f1(counts.sum(axis=0), level) == pytest.approx(
        curve_of(counts).f1()[level], rel=0.05, abs=2e-3
    )


def test_nothing_is_expected_where_nothing_is():
    assert expected_f1(np.zeros(LEVELS, np.int64), HALF) is None


@pytest.mark.parametrize("weight", [0.5, 2.0, 4.0])
def test_the_weight_of_foreground_in_the_loss_is_taken_out(calibrated, weight):
    levels, label = calibrated
    odds = weight * levels / np.maximum(1e-9, TOP - levels.astype(float))
    weighted = np.round(TOP * odds / (1 + odds)).astype(np.uint8)
    counts = histogram(weighted, label)
    f1 = curve_of(counts).f1()
    level = best_expected(counts.sum(axis=0), weight)
    assert f1[level] >= f1[1:LEVELS].max() - 2e-3


def test_where_nothing_is_expected_it_is_one_half():
    nothing = np.zeros(LEVELS, np.int64)
    assert best_expected(nothing) == HALF
    nothing[0] = 900
    assert best_expected(nothing) == HALF


def test_pixels_that_are_sure_are_all_that_counts():
    pixels = np.zeros(LEVELS, np.int64)
    pixels[[0, TOP]] = 900, 100
    assert best_expected(pixels) == 1
    pixels[20] = 500
    assert best_expected(pixels) == 21
