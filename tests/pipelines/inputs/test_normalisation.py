"""Pixels as networks take them, in training and in prediction."""

import numpy as np
import pytest
import torch

from pipelines.inputs.normalisation import bytes_on_8_bits, normalised, on_8_bits
from pipelines.sampling.transforms import Normalised

MEAN, STD = (101.3, 97.1, 88.8), (51.7, 43.1, 39.9)


@pytest.mark.parametrize(
    ("dtype", "pixels", "expected"),
    [
        ("uint8", [0, 7, 255], [0, 7, 255]),
        ("uint16", [0, 257, 65535], [0, 1, 255]),
        ("int16", [-9999, 0, 32767], [0, 0, 255]),
        ("float32", [-0.1, 0, 0.5, 1, 1.1, 3e38], [0, 0, 127.5, 255, 255, 255]),
    ],
)
def test_the_range_of_a_type_becomes_that_of_8_bits(dtype, pixels, expected):
    found = on_8_bits(np.array(pixels, dtype))
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_range_of_ones_own_becomes_that_of_8_bits():
    pixels = np.array([0, 100, 300, 600], np.uint16)
    assert on_8_bits(pixels, (100, 500)).tolist() == [0, 0, 127.5, 255]


def test_bytes_stay_and_others_are_rounded_and_cut_off():
    same = np.array([0, 200], np.uint8)
    assert bytes_on_8_bits(same) is same
    assert bytes_on_8_bits(np.array([0, 0.51, 1.1, -1], np.float32)).tolist() == [0, 130, 255, 0]


def test_training_and_prediction_give_a_network_the_same_bits():
    random = np.random.default_rng(0)
    image = on_8_bits(random.integers(0, 65536, (3, 40, 50)).astype(np.uint16))
    valid = random.random((1, 40, 50)) < 0.8
    trained_on = Normalised(MEAN, STD)({"image": image, "valid": valid.astype(np.uint8)})["image"]
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    predicted = normalised(torch.from_numpy(image), torch.from_numpy(valid), mean, std)
    assert trained_on.dtype == np.float32
    assert predicted.numpy().tobytes() == trained_on.tobytes()
    assert not trained_on[:, ~valid[0]].any()
