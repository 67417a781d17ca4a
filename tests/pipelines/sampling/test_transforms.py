"""Transforms: image, label and valid go together, and missing pixels stay missing."""

import numpy as np
import pytest
import torch

from pipelines.datasets.fundus import fundus_samples
from pipelines.datasets.synthetic import draw_fundus, write_drive_folder
from pipelines.inputs.fundus import FundusSample
from pipelines.sampling.fundi import load_fundus
from pipelines.sampling.samples import KEYS, resized
from pipelines.sampling.transforms import (
    Normalised,
    RandMissingd,
    RandScaledCropd,
    augmentation,
)
from rurnet.loss import IGNORE_INDEX

MEAN, STD = (100.0, 90.0, 80.0), (50.0, 40.0, 30.0)


def blocks(random, size, block):
    """A random pattern [size, size] of 0 and 1 in blocks."""
    coarse = random.integers(0, 2, (-(-size // block),) * 2)
    return np.kron(coarse, np.ones((block, block), int))[:size, :size].astype(np.uint8)


def telling_sample(seed, size=64):
    """An image that shows its label, three times; a part is missing."""
    random = np.random.default_rng(seed)
    label = blocks(random, size, 8)
    valid = 1 - blocks(random, size, 16)
    image = np.stack([40 + 130 * label] * 3).astype(np.uint8)
    label = np.where(valid, label, IGNORE_INDEX).astype(np.uint8)
    return {"image": image, "label": label[None], "valid": valid[None]}


def correlation(image, label, where):
    return np.corrcoef(image[where], label[where])[0, 1]


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_drive_folder(tmp_path_factory.mktemp("transforms"), train=1, test=0)


def test_a_fundus_is_read_whole_and_labelled_inside_its_field_only(drive):
    image, vessels, field = draw_fundus(21)
    arrays = load_fundus(fundus_samples(drive, "train")[0])
    assert {arrays[key].dtype for key in KEYS} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(arrays["image"], image)
    np.testing.assert_array_equal(arrays["valid"][0] == 1, field)
    np.testing.assert_array_equal(arrays["label"][0] == IGNORE_INDEX, ~field)
    np.testing.assert_array_equal(arrays["label"][0] == 1, vessels == 1)


def test_a_fundus_without_label_teaches_nothing_and_its_field_is_derived(drive):
    sample = fundus_samples(drive, "train")[0]
    arrays = load_fundus(FundusSample(sample.name, sample.image))
    assert (arrays["label"] == IGNORE_INDEX).all()
    field = draw_fundus(21)[2]
    assert ((arrays["valid"][0] == 1) == field).mean() > 0.99


@pytest.mark.parametrize("seed", range(12))
def test_augmentation_turns_image_label_and_valid_alike(seed):
    sample = telling_sample(seed)
    out = augmentation(MEAN, STD).set_random_state(seed=seed)(sample)
    image, label, valid = (out[key].numpy() for key in KEYS)
    np.testing.assert_array_equal(label == IGNORE_INDEX, valid == 0)
    assert (valid == 1).sum() == (sample["valid"] == 1).sum()
    assert (label == 1).sum() == (sample["label"] == 1).sum()
    for band in image:
        assert correlation(band, label[0], valid[0] == 1) > 0.9


@pytest.mark.parametrize("seed", range(12))
def test_missing_pixels_are_the_training_mean_after_augmentation(seed):
    out = augmentation(MEAN, STD).set_random_state(seed=seed)(telling_sample(seed))
    missing = out["valid"][0] == 0
    assert missing.any()
    assert (out["image"][:, missing] == 0).all()
    assert (out["image"][:, ~missing] != 0).float().mean() > 0.99


def test_augmentation_gives_tensors_of_the_stated_types():
    out = augmentation(MEAN, STD).set_random_state(seed=0)(telling_sample(0))
    assert [type(out[key]) for key in KEYS] == [torch.Tensor] * 3
    assert [out[key].dtype for key in KEYS] == [torch.float32, torch.uint8, torch.uint8]


def test_augmentation_shows_all_eight_symmetries_of_the_square():
    augment = augmentation(MEAN, STD)
    sample = telling_sample(3)
    original = sample["label"][0]
    turned = [np.rot90(o, k) for o in (original, original.T) for k in range(4)]
    seen = set()
    for seed in range(80):
        label = augment.set_random_state(seed=seed)(sample)["label"][0].numpy()
        (which,) = (i for i, known in enumerate(turned) if np.array_equal(known, label))
        seen.add(which)
    assert seen == set(range(8))


def test_augmentation_changes_the_light_but_not_the_sample_it_was_given():
    sample = telling_sample(4)
    kept = {key: sample[key].copy() for key in KEYS}
    augment = augmentation(MEAN, STD)
    means = {
        round(float(augment.set_random_state(seed=seed)(sample)["image"].mean()), 4)
        for seed in range(20)
    }
    assert len(means) > 15
    for key in KEYS:
        np.testing.assert_array_equal(sample[key], kept[key])


def test_normalised_images_have_mean_0_and_deviation_1_where_there_are_pixels():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (3, 64, 64)).astype(np.uint8)
    valid = np.ones((1, 64, 64), np.uint8)
    valid[:, :20] = 0
    image[:, :20] = 255
    there = image[:, valid[0] == 1].astype(float)
    normalise = Normalised(tuple(there.mean(axis=1)), tuple(there.std(axis=1)))
    out = normalise({"image": image, "valid": valid})["image"]
    assert out.dtype == np.float32
    assert (out[:, :20] == 0).all()
    np.testing.assert_allclose(out[:, 20:].mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(out[:, 20:].std(axis=(1, 2)), 1, atol=1e-5)


def cropped(sample, size, scales, seed):
    return RandScaledCropd(size, scales).set_random_state(seed=seed)(sample)


@pytest.mark.parametrize(("scales", "block"), [((0.3, 0.5), 16), ((1.0, 1.0), 8), ((1.6, 4.0), 4)])
@pytest.mark.parametrize("seed", range(5))
def test_scaled_crops_keep_image_and_label_together(scales, block, seed):
    random = np.random.default_rng(seed)
    label = blocks(random, 128, block)
    image = np.stack([40 + 130 * label] * 3).astype(np.uint8)
    sample = {"image": image, "label": label[None], "valid": np.ones_like(label)[None]}
    out = cropped(sample, 32, scales, seed)
    assert [out[key].shape for key in KEYS] == [(3, 32, 32), (1, 32, 32), (1, 32, 32)]
    assert {out[key].dtype for key in KEYS} == {np.dtype(np.uint8)}
    assert set(np.unique(out["label"])) <= {0, 1}
    assert correlation(out["image"][0], out["label"][0], np.ones((32, 32), bool)) > 0.85


def test_a_crop_at_the_images_own_scale_is_a_piece_of_it():
    pixels = np.arange(50 * 60).reshape(50, 60)
    image = np.stack([pixels % 251, pixels // 251, pixels % 7]).astype(np.uint8)
    ones = np.ones((1, 50, 60), np.uint8)
    out = cropped({"image": image, "label": ones, "valid": ones}, 16, (1.0, 1.0), 1)
    first = int(out["image"][0, 0, 0]) + 251 * int(out["image"][1, 0, 0])
    row, column = divmod(first, 60)
    np.testing.assert_array_equal(out["image"], image[:, row : row + 16, column : column + 16])


def test_one_subject_at_two_resolutions_is_seen_at_one_scale():
    """A bar a quarter of the image wide covers as many pixels of a crop, whatever the camera."""
    widths = []
    for side, scale in ((128, 0.5), (512, 0.125)):
        label = np.zeros((1, side, side), np.uint8)
        label[:, :, 3 * side // 8 : 5 * side // 8] = 1
        image = np.repeat(label * 200, 3, axis=0)
        out = cropped({"image": image, "label": label, "valid": label | 1}, 64, (scale, scale), 0)
        widths.append(int(out["label"][0, 5].sum()))
    assert widths == [16, 16]


@pytest.mark.parametrize("side", [30, 300])
def test_resizing_keeps_the_brightness(side):
    image = np.random.default_rng(0).integers(0, 256, (3, 90, 90)).astype(np.uint8)
    ones = np.ones((1, 90, 90), np.uint8)
    sample = {"image": image, "label": ones, "valid": ones}
    wide = resized(sample, side, side)
    assert wide["image"].mean() == pytest.approx(image.mean(), abs=0.25)


def test_a_crop_larger_than_the_image_is_the_whole_image_and_missing_pixels():
    label = blocks(np.random.default_rng(0), 24, 8)[None, :, :20]
    sample = {"image": np.repeat(label * 9, 3, axis=0), "label": label, "valid": label | 1}
    out = cropped(sample, 48, (1.0, 1.0), 0)
    np.testing.assert_array_equal(out["label"][0, :24, :20], label[0])
    np.testing.assert_array_equal(out["image"][:, :24, :20], sample["image"])
    assert (out["label"] == IGNORE_INDEX).sum() == (out["valid"] == 0).sum() == 48 * 48 - 24 * 20


def test_pixels_that_are_taken_out_of_a_crop_are_a_rectangle_without_label():
    label = np.ones((1, 40, 60), np.uint8)
    sample = {"image": np.full((3, 40, 60), 9, np.uint8), "label": label, "valid": label}
    take = RandMissingd(0.5).set_random_state(seed=2)
    shares, borders = [], 0
    for _ in range(200):
        out = take(sample)
        missing = out["valid"][0] == 0
        assert ((out["label"][0] == IGNORE_INDEX) == missing).all()
        assert (out["image"] == sample["image"]).all()
        if missing.any():
            rows, columns = missing.any(axis=1), missing.any(axis=0)
            assert missing.sum() == rows.sum() * columns.sum()
            shares.append(missing.mean())
            borders += bool(rows[0] or rows[-1] or columns[0] or columns[-1])
    assert 70 < len(shares) < 130
    assert max(shares) < 0.5
    assert 20 < borders < len(shares)
    assert label.all()


SIZES = [(31, 40), (51, 63), (64, 90), (107, 121)]
"""Of what is 64 by 90 pixels: smaller, a little smaller, the same, larger."""


@pytest.mark.parametrize("size", SIZES)
def test_what_is_left_out_is_no_class_at_any_size(size):
    """Beside it every pixel is of the class that was there, up to the last one."""
    label = np.full((1, 64, 90), IGNORE_INDEX, np.uint8)
    label[:, :30, 40:] = 1
    label[:, 30:, 40:] = 0
    valid = (label != IGNORE_INDEX).astype(np.uint8)
    out = resized(
        {"image": np.repeat(valid * 90, 3, axis=0), "label": label, "valid": valid}, *size
    )
    assert [out[key].shape for key in KEYS] == [(3, *size), (1, *size), (1, *size)]
    assert {out[key].dtype for key in KEYS} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(out["label"] == IGNORE_INDEX, out["valid"] == 0)
    assert (out["image"][:, out["valid"][0] == 1] == 90).all()
    height, width = size
    across = out["valid"][0].sum(axis=1)
    assert (across == across[0]).all()
    assert abs(across[0] - width * 50 / 90) <= 1
    for rows, value in ((slice(0, int(height * 30 / 64)), 1), (slice(-(height // 2), None), 0)):
        inside = out["label"][0, rows]
        assert (inside[inside != IGNORE_INDEX] == value).all()


@pytest.mark.parametrize("value", [0, 1])
def test_a_pixel_among_those_left_out_keeps_its_class(value):
    label = np.full((1, 60, 60), IGNORE_INDEX, np.uint8)
    label[:, ::3, ::5] = value
    valid = (label != IGNORE_INDEX).astype(np.uint8)
    sample = {"image": np.repeat(valid, 3, axis=0), "label": label, "valid": valid}
    assert set(np.unique(resized(sample, 30, 30)["label"])) == {value, IGNORE_INDEX}


@pytest.mark.parametrize("size", SIZES)
def test_without_a_label_there_is_none_at_any_size(size):
    ones = np.ones((1, 64, 90), np.uint8)
    sample = {"image": np.repeat(ones, 3, axis=0), "label": ones * IGNORE_INDEX, "valid": ones}
    assert (resized(sample, *size)["label"] == IGNORE_INDEX).all()


@pytest.mark.parametrize("place", range(2))
def test_a_vessel_of_one_pixel_is_still_there_at_half_the_size(place):
    label = np.zeros((1, 60, 60), np.uint8)
    label[0, 20 + place] = 1
    ones = np.ones_like(label)
    out = resized({"image": np.repeat(ones, 3, axis=0), "label": label, "valid": ones}, 30, 30)
    assert out["label"].sum(axis=1).tolist() == [[1] * 30]


def test_a_tile_of_another_size_can_be_written_to():
    """torch warns of one that cannot."""
    out = resized(telling_sample(0), 40, 40)
    assert all(out[key].flags.writeable for key in KEYS)
