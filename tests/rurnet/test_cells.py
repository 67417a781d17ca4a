"""The cells compared with their equations, pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from rurnet.cells import ConvGRU, ConvLSTM

INPUTS, HIDDEN = 3, 2
LARGE = 60.0
"""A bias that saturates any gate: sigmoid(60) is 1 and sigmoid(-60) is 0."""


def tensors(size=(4, 5), hidden=2):
    generator = torch.Generator().manual_seed(8)
    shapes = [(2, INPUTS, *size)] + [(2, HIDDEN, *size)] * hidden
    return [torch.randn(shape, generator=generator) for shape in shapes]


def cell(kind, kernel):
    torch.manual_seed(4)
    made = kind(INPUTS, HIDDEN, kernel)
    # Larger than default weights, so that gates are not all near one half.
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.7)
    return made


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def at(convolution, item, row, column, output):
    """One output value at one pixel of [C, h, w]; zero beyond the border."""
    weight, bias = convolution.weight.detach().numpy(), convolution.bias.detach().numpy()
    reach = weight.shape[-1] // 2
    total = float(bias[output])
    for channel in range(item.shape[0]):
        for down in range(-reach, reach + 1):
            for across in range(-reach, reach + 1):
                y, x = row + down, column + across
                if 0 <= y < item.shape[1] and 0 <= x < item.shape[2]:
                    total += float(weight[output, channel, down + reach, across + reach]) * float(
                        item[channel, y, x]
                    )
    return total


def pixels(item):
    return np.ndindex(item.shape[1:])


def plain_gru(gru, x, h):
    gates = np.concatenate([x, h])
    z, r, after = np.zeros_like(h), np.zeros_like(h), np.zeros_like(h)
    for row, column in pixels(h):
        for k in range(HIDDEN):
            z[k, row, column] = sigmoid(at(gru.gates, gates, row, column, k))
            r[k, row, column] = sigmoid(at(gru.gates, gates, row, column, HIDDEN + k))
    reset = np.concatenate([x, r * h])
    for row, column in pixels(h):
        for k in range(HIDDEN):
            candidate = math.tanh(at(gru.candidate, reset, row, column, k))
            keep = z[k, row, column]
            after[k, row, column] = keep * h[k, row, column] + (1 - keep) * candidate
    return after


def plain_lstm(lstm, x, h, c):
    both = np.concatenate([x, h])
    h_after, c_after = np.zeros_like(h), np.zeros_like(c)
    for row, column in pixels(h):
        for k in range(HIDDEN):
            i, f, g, o = (at(lstm.gates, both, row, column, n * HIDDEN + k) for n in range(4))
            cell_state = sigmoid(f) * c[k, row, column] + sigmoid(i) * math.tanh(g)
            c_after[k, row, column] = cell_state
            h_after[k, row, column] = sigmoid(o) * math.tanh(cell_state)
    return h_after, c_after


def close(tensor, items):
    torch.testing.assert_close(tensor, torch.from_numpy(np.stack(items)))


@pytest.mark.parametrize("kernel", [1, 3])
@torch.inference_mode()
def test_conv_gru_is_its_equations_at_every_pixel(kernel):
    gru = cell(ConvGRU, kernel)
    x, h = tensors(hidden=1)
    by_hand = [plain_gru(gru, *item) for item in zip(x.numpy(), h.numpy(), strict=True)]
    close(gru(x, h), by_hand)


@pytest.mark.parametrize("kernel", [1, 3])
@torch.inference_mode()
def test_conv_lstm_is_its_equations_at_every_pixel(kernel):
    lstm = cell(ConvLSTM, kernel)
    x, h, c = tensors()
    items = zip(x.numpy(), h.numpy(), c.numpy(), strict=True)
    by_hand = [plain_lstm(lstm, *item) for item in items]
    h_after, c_after = lstm(x, (h, c))
    close(h_after, [item[0] for item in by_hand])
    close(c_after, [item[1] for item in by_hand])


@torch.inference_mode()
def test_with_1x1_kernels_conv_lstm_is_torchs_lstm_at_every_pixel():
    lstm = cell(ConvLSTM, 1)
    x, h, c = tensors()
    peer = nn.LSTMCell(INPUTS, HIDDEN)
    weight = lstm.gates.weight[:, :, 0, 0]
    peer.weight_ih.copy_(weight[:, :INPUTS])
    peer.weight_hh.copy_(weight[:, INPUTS:])
    peer.bias_ih.copy_(lstm.gates.bias)
    peer.bias_hh.zero_()
    rows = [tensor.movedim(1, -1).flatten(0, 2) for tensor in (x, h, c)]
    for ours, theirs in zip(lstm(x, (h, c)), peer(rows[0], (rows[1], rows[2])), strict=True):
        torch.testing.assert_close(ours.movedim(1, -1).flatten(0, 2), theirs)


@torch.inference_mode()
def test_an_update_gate_of_one_keeps_h_and_one_of_zero_forgets_it():
    gru = cell(ConvGRU, 3)
    x, h = tensors(hidden=1)
    gru.gates.weight.zero_()
    gru.gates.bias[:HIDDEN] = LARGE
    torch.testing.assert_close(gru(x, h), h)
    gru.gates.bias[:HIDDEN] = -LARGE
    gru.gates.bias[HIDDEN:] = LARGE
    candidate = torch.tanh(gru.candidate(torch.cat([x, h], dim=1)))
    torch.testing.assert_close(gru(x, h), candidate)


@torch.inference_mode()
def test_a_closed_reset_gate_hides_h_from_the_candidate():
    gru = cell(ConvGRU, 3)
    x, h = tensors(hidden=1)
    gru.gates.weight.zero_()
    gru.gates.bias[:] = -LARGE  # z is zero too, so the output is the candidate.
    torch.testing.assert_close(gru(x, h), gru(x, 5 * h))
    gru.gates.bias[HIDDEN:] = LARGE
    assert (gru(x, h) - gru(x, 5 * h)).abs().max() > 0.1


@pytest.mark.parametrize(("i", "f", "o"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (0, 0, 1)], ids=str)
@torch.inference_mode()
def test_open_and_closed_gates_of_an_lstm(i, f, o):
    lstm = cell(ConvLSTM, 3)
    x, h, c = tensors()
    for n, gate in ((0, i), (1, f), (3, o)):
        lstm.gates.weight[n * HIDDEN : (n + 1) * HIDDEN] = 0
        lstm.gates.bias[n * HIDDEN : (n + 1) * HIDDEN] = LARGE if gate else -LARGE
    g = torch.tanh(lstm.gates(torch.cat([x, h], dim=1))[:, 2 * HIDDEN : 3 * HIDDEN])
    h_after, c_after = lstm(x, (h, c))
    torch.testing.assert_close(c_after, f * c + i * g)
    torch.testing.assert_close(h_after, o * torch.tanh(f * c + i * g))


@torch.inference_mode()
def test_the_forget_bias_of_a_new_lstm_is_one():
    torch.manual_seed(0)
    lstm = ConvLSTM(INPUTS, HIDDEN)
    i, f, g, o = lstm.gates.bias.chunk(4)
    assert (f == 1).all()
    assert not any((bias == 1).any() for bias in (i, g, o))


@pytest.mark.parametrize("kernel", [1, 3, 5])
@torch.inference_mode()
def test_a_cell_sees_as_far_as_its_kernel_and_the_gated_memory_twice_as_far(kernel):
    x, h, c = tensors(size=(15, 15))
    touched = {}
    for name, change in (("x", x), ("h", h)):
        before = cell(ConvGRU, kernel)(x, h), *cell(ConvLSTM, kernel)(x, (h, c))
        change[:, :, 7, 7] += 3
        after = cell(ConvGRU, kernel)(x, h), *cell(ConvLSTM, kernel)(x, (h, c))
        for of, one, two in zip(("gru", "lstm h", "lstm c"), before, after, strict=True):
            rows = (one != two).any(dim=3).any(dim=1).any(dim=0).nonzero().flatten()
            touched[of, name] = (rows[-1] - rows[0] + 1).item()
    twice = 2 * kernel - 1  # r is a convolution of [x, h], and r . h is convolved again.
    assert touched == {
        ("gru", "x"): twice, ("lstm h", "x"): kernel, ("lstm c", "x"): kernel,
        ("gru", "h"): twice, ("lstm h", "h"): kernel, ("lstm c", "h"): kernel,
    }  # fmt: skip


@pytest.mark.parametrize("kernel", [1, 3])
def test_gradient_reaches_every_value(kernel):
    x, h, c = tensors()
    for made, outputs in (
        (gru := cell(ConvGRU, kernel), gru(x, h)),
        (lstm := cell(ConvLSTM, kernel), lstm(x, (h, c))[0]),
    ):
        outputs.sum().backward()
        assert all((parameter.grad != 0).all() for parameter in made.parameters())
