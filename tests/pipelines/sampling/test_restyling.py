"""Restyled crops: another look of the same place, which its label still fits."""

import numpy as np
import pytest

from pipelines.sampling.restyling import RandRestyled
from pipelines.sampling.transforms import augmentation


def crop(dtype=np.uint8, size=48):
    """Bright stripes, which the label tells, on dark ground; a corner is missing."""
    label = np.zeros((1, size, size), np.uint8)
    label[:, ::6] = label[:, 1::6] = 1
    valid = np.ones((1, size, size), np.uint8)
    valid[:, :9, :9] = 0
    ground = np.random.default_rng(0).normal(80, 6, (3, size, size))
    image = (ground + 70 * label).clip(0, 255).astype(dtype)
    return {"image": image, "label": label, "valid": valid}


def restyled(seed, sample, prob=1.0):
    return RandRestyled(prob).set_random_state(seed=seed)(sample)


def test_looks_range_from_dark_and_flat_to_bright_and_harsh():
    images = [restyled(seed, crop())["image"].astype(float) for seed in range(80)]
    means, deviations = [one.mean() for one in images], [one.std() for one in images]
    assert np.percentile(means, 5) < 70 < 140 < np.percentile(means, 95)
    assert np.percentile(deviations, 5) < 15 < 40 < np.percentile(deviations, 95)


@pytest.mark.parametrize("seed", range(25))
def test_the_label_still_fits_what_is_shown(seed):
    sample = restyled(seed, crop())
    shown, road = sample["image"].mean(axis=0)[10:, 10:], sample["label"][0, 10:, 10:] == 1
    assert shown[road].mean() > shown[~road].mean()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pixels_keep_their_type_and_scale_and_the_sample_is_left_as_it_was(dtype):
    sample = crop(dtype)
    kept = {key: value.copy() for key, value in sample.items()}
    for seed in range(10):
        image = restyled(seed, sample)["image"]
        assert image.dtype == dtype
        assert image.min() >= 0
        assert image.max() <= 255
    for key, value in kept.items():
        np.testing.assert_array_equal(sample[key], value)


def test_the_seed_decides_and_the_share_says_how_many():
    first = [restyled(seed, crop(), 0.3)["image"] for seed in range(60)]
    again = [restyled(seed, crop(), 0.3)["image"] for seed in range(60)]
    np.testing.assert_array_equal(first, again)
    changed = [not np.array_equal(image, crop()["image"]) for image in first]
    assert 8 <= sum(changed) <= 30


def test_a_crop_without_pixels_stays():
    sample = {**crop(), "valid": np.zeros((1, 48, 48), np.uint8)}
    np.testing.assert_array_equal(restyled(1, sample)["image"], sample["image"])


def test_crops_that_are_not_restyled_are_augmented_as_before():
    mean, std = (100.0,) * 3, (50.0,) * 3
    plain = augmentation(mean, std).set_random_state(seed=4)(crop())["image"]
    none = augmentation(mean, std, restyled=0.0).set_random_state(seed=4)(crop())["image"]
    every = augmentation(mean, std, restyled=1.0).set_random_state(seed=4)(crop())["image"]
    assert (plain == none).all()
    assert (plain != every).any()
