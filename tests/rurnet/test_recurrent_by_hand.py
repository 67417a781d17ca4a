"""One step of whole networks, computed from their tensors and the paper's equations."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from rurnet import State, create

EPSILON = 1e-5


class Tensors:
    """The tensors of a network whose names begin with a prefix."""

    def __init__(self, tensors, prefix=""):
        self.tensors = tensors
        self.prefix = prefix

    def at(self, name):
        return Tensors(self.tensors, f"{self.prefix}{name}.")

    def __getitem__(self, name):
        return self.tensors[self.prefix + name]

    def __contains__(self, name):
        return any(key.startswith(f"{self.prefix}{name}.") for key in self.tensors)


def group_norm(x, tensors):
    """min(8, channels) groups."""
    batch, channels = x.shape[:2]
    grouped = x.numpy().reshape(batch, min(8, channels), -1)
    mean, variance = grouped.mean(-1, keepdims=True), grouped.var(-1, keepdims=True)
    normed = torch.from_numpy((grouped - mean) / np.sqrt(variance + EPSILON)).reshape(x.shape)
    return normed * tensors["weight"][:, None, None] + tensors["bias"][:, None, None]


def block(x, tensors):
    """Two 3x3 convolutions, each normalised and rectified."""
    for convolution, norm in (("0", "1"), ("3", "4")):
        x = functional.conv2d(x, tensors.at(convolution)["weight"], padding=1)
        x = group_norm(x, tensors.at(norm)).clamp(min=0)
    return x


def halved(x):
    """2x2 max pooling."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels, height // 2, 2, width // 2, 2).amax(dim=(3, 5))


def doubled(x, tensors):
    """2x2 transposed convolution of stride 2: each pixel becomes four."""
    spread = torch.einsum("bchw,cdij->bdhiwj", x, tensors["weight"])
    return spread.flatten(4, 5).flatten(2, 3) + tensors["bias"][:, None, None]


def up(skip, lower, tensors):
    joined = torch.cat([skip, doubled(lower, tensors.at("upsample"))], dim=1)
    return block(joined, tensors.at("decode"))


def encoder_decoder(x, tensors):
    """f_z, f_r or f_h: shaped like the part of the U-Net that they replace."""
    if "below" not in tensors:
        return block(x, tensors.at("encode"))
    skip = block(x, tensors.at("level").at("encode"))
    lower = encoder_decoder(halved(skip), tensors.at("below"))
    return up(skip, lower, tensors.at("level"))


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def step_by_hand(image, s, h, tensors, level, unit):
    """Returns logits and h_t."""
    e, skips = torch.cat([image, s], dim=1), []
    for index in range(level):
        skips.append(block(e, tensors.at(f"levels.{index}.encode")))
        e = halved(skips[-1])
    f = tensors.at("unit")
    z = sigmoid(encoder_decoder(e, f.at("update")))  # (1)
    if unit == "dru":
        r = sigmoid(encoder_decoder(e, f.at("reset")))  # (3)
        candidate = torch.tanh(encoder_decoder(r * e, f.at("candidate")))  # (2)
    else:
        candidate = torch.tanh(encoder_decoder(e, f.at("candidate")))  # (6)
    h = z * h + (1 - z) * candidate  # (4)
    d = block(h, f.at("output"))  # (5)
    for index in reversed(range(level)):
        d = up(skips[index], d, tensors.at(f"levels.{index}"))
    classify = tensors.at("classify")
    return functional.conv2d(d, classify["weight"], classify["bias"]), h


@pytest.mark.parametrize("unit", ["dru", "sru"])
@pytest.mark.parametrize("level", [4, 3, 0])
@torch.inference_mode()
def test_a_step_is_the_papers_equations(unit, level):
    torch.manual_seed(7)
    network = create(f"{unit}-{level}").double().eval()
    for name, value in network.named_parameters():
        if value.dim() == 1:  # Fresh norms are the identity: a missing one would go unnoticed.
            value.copy_(torch.randn_like(value) * 0.3 + float(name.endswith("weight")))
    tensors = Tensors(network.state_dict())
    image = torch.randn(2, 3, 32, 48, dtype=torch.float64)
    s = torch.rand(2, 1, 32, 48, dtype=torch.float64)
    s = torch.cat([1 - s, s], dim=1)
    (empty,) = network.initial_state(image).hidden
    h = torch.rand_like(empty)
    logits, after = network.step(image, State(s, (h,)))
    expected, remembered = step_by_hand(image, s, h, tensors, level, unit)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(after.hidden[0], remembered, rtol=1e-9, atol=1e-9)
    share = expected.exp() / expected.exp().sum(dim=1, keepdim=True)
    torch.testing.assert_close(after.mask, share, rtol=1e-9, atol=1e-9)
