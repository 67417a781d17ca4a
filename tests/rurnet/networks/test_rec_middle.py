"""Rec-Middle: an encoder once, a ConvGRU and a decoder at every step."""

import pytest
import torch

from rurnet import State, create
from rurnet.blocks import CHANNELS
from rurnet.cells import ConvGRU
from rurnet.network import parameter_count
from rurnet.networks.rec_middle import RecMiddle


def network(**arguments):
    torch.manual_seed(6)
    return RecMiddle(**arguments).eval()


def images(count, height, width):
    return torch.randn((count, 3, height, width), generator=torch.Generator().manual_seed(2))


@torch.inference_mode()
def test_a_step_is_the_cell_between_encoder_and_decoder():
    net = network()
    image = images(2, 32, 48)
    a, b, c, d = net.levels
    skip_a, pooled = a.down(image)
    skip_b, pooled = b.down(pooled)
    skip_c, pooled = c.down(pooled)
    skip_d, pooled = d.down(pooled)
    h = torch.zeros(2, 128, 2, 3)
    for logits in net(image, 4):
        h = net.unit(pooled, h)
        decoded = a.up(skip_a, b.up(skip_b, c.up(skip_c, d.up(skip_d, h))))
        torch.testing.assert_close(logits, net.classify(decoded))


@torch.inference_mode()
def test_encoder_and_decoder_are_those_of_the_baseline():
    net, unet = network(), create("unet-gn").eval()
    part = unet.body
    for level in net.levels:
        part.level.load_state_dict(level.state_dict())
        part = part.below
    unet.classify.load_state_dict(net.classify.state_dict())
    # With the cell's answer in the bottleneck's place both are one network.
    image = images(1, 32, 32)
    _, state = net.step(image, net.initial_state(image))
    part.register_forward_hook(lambda *_: state.hidden[-1])
    torch.testing.assert_close(net(image, 1)[0], unet(image)[0])


@torch.inference_mode()
def test_memory_has_128_channels_at_one_sixteenth():
    net = network()
    image = images(1, 60, 90)
    start = net.initial_state(image)
    _, after = net.step(image, start)
    for state in (start, after):
        *skips, pooled, h = state.hidden
        assert h.shape == (1, 128, 4, 6)
        assert pooled.shape == (1, 64, 4, 6)
        sizes = [(1, CHANNELS[level], 64 >> level, 96 >> level) for level in range(4)]
        assert [tuple(skip.shape) for skip in skips] == sizes
    assert (start.hidden[-1] == 0).all()
    assert all(map(torch.equal, start.hidden[:-1], after.hidden[:-1]))


@torch.inference_mode()
def test_the_encoder_runs_once_and_cell_and_decoder_at_every_step():
    net = network()
    ran = []
    names = {"unit": net.unit}
    for index, level in enumerate(net.levels):
        names |= {f"encode {index}": level.encode, f"decode {index}": level.decode}
    for name, part in names.items():
        part.register_forward_hook(lambda *_, name=name: ran.append(name))
    net(images(1, 16, 16))
    step = ["unit", "decode 3", "decode 2", "decode 1", "decode 0"]
    assert ran == [f"encode {index}" for index in range(4)] + 3 * step


@torch.inference_mode()
def test_each_step_differs_from_the_one_before():
    first, second, third = network()(images(1, 64, 64))
    assert (second - first).abs().max() > 1e-3
    assert (third - second).abs().max() > 1e-3


@torch.inference_mode()
def test_what_goes_from_step_to_step_is_the_memory():
    net = network()
    image = images(1, 32, 32)
    first, state = net.step(image, net.initial_state(image))
    *encoded, h = state.hidden
    forgetful = State(state.mask, (*encoded, torch.zeros_like(h)))
    assert torch.equal(net.step(image, forgetful)[0], first)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_gradient_reaches_every_value(norm):
    net = network(norm=norm).train()
    torch.nn.functional.cross_entropy(
        net(images(2, 32, 32))[-1], torch.ones(2, 32, 32, dtype=torch.long)
    ).backward()
    without = [
        key for key, value in net.named_parameters() if value.grad is None or not value.grad.any()
    ]
    assert without == []


def test_the_second_steps_loss_teaches_by_every_skip_and_the_memory():
    net = network()
    image = images(1, 32, 32)
    _, state = net.step(image, net.initial_state(image))
    second, _ = net.step(image, state)
    slopes = torch.autograd.grad(second[:, 1].sum(), state.hidden)
    assert all(tensor.grad_fn is not None for tensor in state.hidden)
    assert all(slope.any() for slope in slopes)


@torch.inference_mode()
def test_other_bands_classes_and_channels():
    net = network(in_channels=4, classes=5, steps=2, channels=(4, 8, 12))
    image = torch.zeros(1, 4, 16, 32)
    assert [logits.shape for logits in net(image)] == [(1, 5, 16, 32)] * 2
    assert net.initial_state(image).hidden[-1].shape == (1, 12, 4, 8)


def test_the_cell_stands_where_the_bottleneck_stood():
    net, unet = network(), create("unet-gn")
    assert isinstance(net.unit, ConvGRU)
    bottleneck = unet.body.below.below.below.below
    rest = parameter_count(net) - parameter_count(net.unit)
    assert rest == parameter_count(unet) - parameter_count(bottleneck)
    # Three gates of a 3x3 convolution from 64 + 128 to 128 channels, each with a bias.
    assert parameter_count(net.unit) == 3 * (192 * 128 * 9 + 128)
