"""Masks to start from: damaged in the sample, probabilities in the network."""

import numpy as np
import pytest
import torch

from pipelines.sampling.initial_masks import RandStartd, starting_mask
from rurnet.loss import IGNORE_INDEX

SIDE = 48


@pytest.fixture
def label():
    """Three classes in blocks; a corner is ignored."""
    coarse = np.random.default_rng(0).integers(0, 3, (1, 6, 6))
    made = np.kron(coarse, np.ones((1, 8, 8), int)).astype(np.uint8)
    made[0, :8, :8] = IGNORE_INDEX
    return made


def starts(label, share, number=200):
    start = RandStartd(share, classes=3).set_random_state(seed=1)
    return [start({"label": label})["start"] for _ in range(number)]


def test_the_share_of_samples_starts_from_a_mask(label):
    uniform = [(mask == IGNORE_INDEX).all() for mask in starts(label, 0.25)]
    assert 0.65 < np.mean(uniform) < 0.85
    assert all((mask == IGNORE_INDEX).all() for mask in starts(label, 0.0, 10))
    assert not any((mask == IGNORE_INDEX).all() for mask in starts(label, 1.0, 10))


def test_a_mask_is_the_label_more_or_less_and_the_label_stays(label):
    kept = label.copy()
    made = starts(label, 1.0)
    np.testing.assert_array_equal(label, kept)
    alike = [float((mask == label).mean()) for mask in made]
    # Whole, damaged, and of another place altogether.
    assert max(alike) == 1
    assert min(alike) < 0.5
    assert len({mask.tobytes() for mask in made}) > 150
    assert {int(value) for mask in made for value in np.unique(mask)} == {0, 1, 2, IGNORE_INDEX}
    assert all(mask.dtype == np.uint8 and mask.shape == (1, SIDE, SIDE) for mask in made)


def test_lines_that_are_not_there_are_drawn_into_it():
    """What is wrongly there is often thin: a network has to doubt that too."""
    empty = np.zeros((1, SIDE, SIDE), np.uint8)
    drawn = [(mask[0] != 0) for mask in starts(empty, 1.0)]
    thin = [mask for mask in drawn if mask.any() and min(mask.any(0).sum(), mask.any(1).sum()) <= 3]
    assert len(thin) > 10


def test_the_random_state_decides(label):
    one, again = starts(label, 0.5, 20), starts(label, 0.5, 20)
    for first, second in zip(one, again, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_mask_becomes_probabilities():
    start = torch.tensor([[[[0, 2, IGNORE_INDEX]]]], dtype=torch.uint8)
    mask = starting_mask(start, 3)
    assert mask.shape == (1, 3, 1, 3)
    torch.testing.assert_close(mask.sum(dim=1), torch.ones(1, 1, 3))
    torch.testing.assert_close(mask[0, :, 0, 0], torch.tensor([0.95, 0.025, 0.025]))
    torch.testing.assert_close(mask[0, :, 0, 1], torch.tensor([0.025, 0.025, 0.95]))
    torch.testing.assert_close(mask[0, :, 0, 2], torch.full((3,), 1 / 3))
