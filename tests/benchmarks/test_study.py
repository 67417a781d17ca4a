"""The confidence interval of the difference between two networks."""

import numpy as np
import pytest

from benchmarks.study import paired

SUBJECTS = ["1", "1", "2", "2", "3", "3"]


def test_a_network_does_not_differ_from_itself():
    scores = np.random.default_rng(1).random((3, 6))
    assert paired(scores, scores, SUBJECTS) == (0, 0, 0)


def test_a_difference_that_all_images_share_is_certain():
    scores = np.random.default_rng(1).random((3, 6))
    assert paired(scores, scores + 0.25, SUBJECTS) == pytest.approx((0.25, 0.25, 0.25))


def test_both_eyes_of_a_subject_are_drawn_together():
    # The differences of a subject's eyes cancel, so every draw of subjects has mean 0.
    first = np.zeros((1, 6))
    second = np.array([[0.1, -0.1, 0.3, -0.3, 0.2, -0.2]])
    assert paired(first, second, SUBJECTS) == pytest.approx((0, 0, 0))
    _, low, high = paired(first, second, list("abcdef"))
    assert low < -0.05 < 0.05 < high


def test_seeds_that_disagree_widen_the_interval():
    first = np.zeros((2, 6))
    second = np.repeat([[0.1], [-0.1]], 6, axis=1)
    assert paired(first, second, SUBJECTS) == pytest.approx((0, -0.1, 0.1))
