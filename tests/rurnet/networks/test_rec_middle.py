"""Rec-Middle: an encoder once, a ConvGRU and a decoder at every step."""

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
def test_encoder_and_decoder_are_those_of_the_baseline():
    net, unet = network(), create("unet-gn").eval()
    part = unet.body
    for level in net.levels:
        part.level.load_state_dict(level.state_dict())
        part = part.below
    unet.classify.load_state_dict(net.classify.state_dict())
    # With the output of the cell in place of the bottleneck's, the networks are the same.
    image = images(2, 32, 48)
    state = net.initial_state(image)
    part.register_forward_hook(lambda *_: state.hidden[-1])
    for _ in range(3):
        logits, state = net.step(image, state)
        torch.testing.assert_close(logits, unet(image)[0])


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


def test_the_second_steps_loss_teaches_by_every_skip_and_the_memory():
    net = network()
    image = images(1, 32, 32)
    _, state = net.step(image, net.initial_state(image))
    second, _ = net.step(image, state)
    slopes = torch.autograd.grad(second[:, 1].sum(), state.hidden)
    assert all(tensor.grad_fn is not None for tensor in state.hidden)
    assert all(slope.any() for slope in slopes)


def test_the_cell_stands_where_the_bottleneck_stood():
    net, unet = network(), create("unet-gn")
    assert isinstance(net.unit, ConvGRU)
    bottleneck = unet.body.below.below.below.below
    rest = parameter_count(net) - parameter_count(net.unit)
    assert rest == parameter_count(unet) - parameter_count(bottleneck)
    # Three gates of a 3x3 convolution from 64 + 128 to 128 channels, each with a bias.
    assert parameter_count(net.unit) == 3 * (192 * 128 * 9 + 128)
