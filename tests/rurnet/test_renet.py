"""ReNet layers: sweeps over columns, then over rows."""

import numpy as np
import pytest
import torch

from rurnet.renet import ReNet


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sweep_by_hand(gru, sequence, suffix):
    """Hidden states [length, units] of a GRU over a sequence [length, inputs]."""
    values = {n: p.detach().double().numpy() for n, p in gru.named_parameters()}
    w_i, w_h = values[f"weight_ih_l0{suffix}"], values[f"weight_hh_l0{suffix}"]
    b_i, b_h = values[f"bias_ih_l0{suffix}"], values[f"bias_hh_l0{suffix}"]
    h = np.zeros(w_h.shape[1])
    every = []
    for x in sequence:
        r_i, z_i, n_i = np.split(w_i @ x + b_i, 3)
        r_h, z_h, n_h = np.split(w_h @ h + b_h, 3)
        r, z = sigmoid(r_i + r_h), sigmoid(z_i + z_h)
        h = (1 - z) * np.tanh(n_i + r * n_h) + z * h
        every.append(h)
    return np.array(every)


def both_ways_by_hand(gru, sequence):
    onward = sweep_by_hand(gru, sequence, "")
    back = sweep_by_hand(gru, sequence[::-1], "_reverse")[::-1]
    return np.concatenate([onward, back], axis=1)


def renet_by_hand(layer, image):
    """[C, h, w] to [2 * units, h / patch, w / patch], patch by patch."""
    p = layer.patch
    _, height, width = image.shape
    rows, columns = height // p, width // p
    vertical = {}
    for j in range(columns):
        column = [image[:, i * p : (i + 1) * p, j * p : (j + 1) * p].flatten() for i in range(rows)]
        for i, value in enumerate(both_ways_by_hand(layer.vertical, np.array(column))):
            vertical[i, j] = value
    result = []
    for i in range(rows):
        row = np.array([vertical[i, j] for j in range(columns)])
        result.append(both_ways_by_hand(layer.horizontal, row).T)
    return np.stack(result, axis=1)


@torch.no_grad()
@pytest.mark.parametrize("patch", [1, 2])
def test_down_and_up_the_columns_then_right_and_left_along_the_rows(patch):
    torch.manual_seed(0)
    layer = ReNet(3, units=4, patch=patch).double()
    images = torch.randn(2, 3, 4, 10, dtype=torch.float64)
    swept = layer(images)
    assert swept.shape == (2, 8, 4 // patch, 10 // patch)
    for image, result in zip(images.numpy(), swept.numpy(), strict=True):
        np.testing.assert_allclose(result, renet_by_hand(layer, image), rtol=1e-9, atol=1e-12)


def test_the_recurrent_weights_of_every_gate_are_orthonormal():
    layer = ReNet(5, units=16)
    weights = [p for n, p in layer.named_parameters() if "weight_hh" in n]
    assert len(weights) == 4
    for weight in weights:
        for gate in weight.split(16):
            torch.testing.assert_close(gate @ gate.T, torch.eye(16), rtol=0, atol=1e-5)


def test_the_four_sweeps_have_weights_of_their_own():
    layer = ReNet(4, units=8)
    weights = [p for n, p in layer.named_parameters() if "weight_hh" in n]
    assert not any(torch.equal(a, b) for i, a in enumerate(weights) for b in weights[:i])


@torch.no_grad()
@pytest.mark.parametrize("seen_from", [(0, 0), (0, 5), (3, 0), (3, 5)])
def test_every_position_depends_on_every_pixel(seen_from):
    layer = ReNet(1, units=4).double()
    image = torch.randn(1, 1, 8, 12, dtype=torch.float64)
    usual = layer(image)[0, :, *seen_from]
    for row in range(8):
        for column in range(12):
            other = image.clone()
            other[0, 0, row, column] += 1
            assert not torch.equal(layer(other)[0, :, *seen_from], usual), (row, column)


@torch.no_grad()
def test_items_of_a_batch_are_swept_independently():
    layer = ReNet(2, units=4)
    images = torch.randn(3, 2, 6, 8)
    together = layer(images)
    for image, swept in zip(images, together, strict=True):
        torch.testing.assert_close(layer(image[None])[0], swept)
