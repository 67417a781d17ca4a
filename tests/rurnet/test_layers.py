"""Normalised convolution and resizing."""

import pytest
import torch

from rurnet.layers import conv_norm_relu, resized


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 2), (3, 18), (5, 3)])
def test_a_convolution_keeps_the_size(kernel, dilation):
    features = torch.randn(2, 3, 7, 10)
    assert conv_norm_relu(3, 5, kernel, dilation=dilation)(features).shape == (2, 5, 7, 10)


def test_a_stride_of_two_rounds_up():
    assert conv_norm_relu(3, 5, stride=2)(torch.randn(2, 3, 7, 10)).shape == (2, 5, 4, 5)


@torch.inference_mode()
def test_the_output_is_normalised_and_not_negative():
    torch.manual_seed(0)
    layers = conv_norm_relu(3, 2)
    convolved = layers[0](torch.randn(4, 3, 9, 9) * 10 + 5)
    before = layers[1](convolved)
    torch.testing.assert_close(before.mean(dim=(0, 2, 3)), torch.zeros(2), rtol=0, atol=1e-5)
    assert (before < 0).any()
    assert torch.equal(layers[2](before.clone()), before.clamp(min=0))


def test_dilation_is_the_distance_between_weights():
    layers = conv_norm_relu(1, 1, dilation=4).eval()
    impulse = torch.zeros(1, 1, 11, 11)
    impulse[..., 5, 5] = 1
    seen = layers[0](impulse)[0, 0].nonzero()
    assert seen.tolist() == [[row, column] for row in (1, 5, 9) for column in (1, 5, 9)]


def test_resizing_takes_only_the_height_and_width_of_the_other_tensor():
    assert resized(torch.zeros(2, 3, 4, 5), torch.zeros(2, 8, 9, 7)).shape == (2, 3, 9, 7)


def test_pixels_are_areas_whose_centres_are_interpolated():
    line = resized(torch.tensor([[[[0.0, 1.0]]]]), torch.zeros(1, 1, 1, 4))
    assert line.flatten().tolist() == [0, 0.25, 0.75, 1]


def test_resizing_to_the_same_size_changes_nothing():
    features = torch.randn(1, 2, 5, 6)
    assert torch.equal(resized(features, features), features)
