"""Whether errors are where a prediction is unsure, against counting pixel by pixel."""

import numpy as np
import pytest

from pipelines.scores.certainty import certainty_of, told_by
from pipelines.scores.histogram import Histogram


def counted(levels, label):
    histogram = Histogram()
    histogram.add(np.asarray(levels, np.uint8), np.asarray(label, bool))
    return histogram.counts


def by_hand(levels, label):
    """Pixel by pixel, the surest first; those that are equally sure stand for their mean."""
    levels, label = np.asarray(levels, int), np.asarray(label, bool)
    doubt, wrong = -np.abs(levels - 127), (levels >= 127) != label
    rate = np.array([wrong[doubt == one].mean() for one in doubt])
    order = np.argsort(doubt, kind="stable")
    # In fine steps, as if each pixel were a hundred.
    rate = np.repeat(rate[order], 100)
    area = (rate.cumsum() / np.arange(1, rate.size + 1)).mean()
    found = rate[-round(0.05 * rate.size) :].sum() / rate.sum()
    return area, found


@pytest.mark.parametrize("seed", range(3))
def test_both_are_those_of_pixels_taken_one_by_one(seed):
    random = np.random.default_rng(seed)
    levels = random.integers(0, 255, 400)
    label = random.random(400) < levels / 254
    found = certainty_of(counted(levels, label))
    area, share = by_hand(levels, label)
    assert found.aurc == pytest.approx(area, rel=1e-3)
    assert found.errors_found == pytest.approx(share, rel=1e-9)


def test_errors_at_one_half_are_found_first_and_those_that_are_sure_never():
    levels, right = np.repeat([0, 127, 254], 20), np.repeat([0, 1, 1], 20)
    unsure, sure = right.copy(), right.copy()
    unsure[20:22] = 0
    sure[:2] = 1
    found = certainty_of(np.stack([counted(levels, one) for one in (unsure, sure)]))
    # Three pixels of sixty are looked at, of the twenty that are equally unsure.
    assert found.errors_found == pytest.approx([3 / 20, 0])
    assert found.aurc[0] < found.aurc[1]


def test_without_errors_there_is_none_to_find():
    found = certainty_of(counted([0, 254], [False, True]))
    assert found.aurc == 0
    assert np.isnan(found.errors_found)
    assert np.isnan(certainty_of(counted([], [])).aurc)


def test_any_measure_of_doubt_can_be_asked():
    found = told_by(np.array([10.0, 0.0, 90.0]), np.array([6.0, 0.0, 4.0]))
    assert found.errors_found == pytest.approx(0.3)
