"""Rec-Last: a U-Net once, a ConvGRU at every step."""

import pytest
import torch

from rurnet import State, create
from rurnet.cells import ConvGRU
from rurnet.network import parameter_count
from rurnet.networks.rec_last import RecLast


def network(**arguments):
    torch.manual_seed(6)
    return RecLast(**arguments).eval()


def images(count, height, width):
    return torch.randn((count, 3, height, width), generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_memory_starts_at_zero_and_the_classifier_reads_nothing_else():
    net = network()
    net.unit.gates.weight.zero_()
    net.unit.gates.bias.fill_(60.0)  # An update gate of one keeps the memory as it is.
    for logits in net(images(2, 32, 48)):
        assert torch.equal(logits, net.classify.bias[:, None, None].expand(2, 2, 32, 48))


@torch.inference_mode()
def test_the_unet_is_that_of_the_baseline():
    net, unet = network(), create("unet-gn").eval()
    unet.body.load_state_dict(net.body.state_dict())
    image = images(1, 32, 32)
    torch.testing.assert_close(net.initial_state(image).hidden[0], unet.body(image))


@pytest.mark.parametrize(("arguments", "channels"), [({}, 8), ({"hidden_channels": 12}, 12)])
@torch.inference_mode()
def test_memory_is_at_full_resolution(arguments, channels):
    net = network(**arguments)
    image = images(1, 60, 90)
    _, state = net.step(image, net.initial_state(image))
    assert [tensor.shape[1:] for tensor in state.hidden] == [(8, 64, 96), (channels, 64, 96)]


@torch.inference_mode()
def test_the_unet_runs_once_and_the_cell_at_every_step():
    net = network()
    ran = []
    for part in (net.body, net.unit):
        part.register_forward_hook(lambda module, *_: ran.append(module))
    net(images(1, 16, 16))
    assert ran == [net.body, net.unit, net.unit, net.unit]


@torch.inference_mode()
def test_each_step_differs_from_the_one_before():
    first, second, third = network()(images(1, 32, 32))
    assert (second - first).abs().max() > 1e-3
    assert (third - second).abs().max() > 1e-3


@torch.inference_mode()
def test_what_goes_from_step_to_step_is_the_memory():
    net = network()
    image = images(1, 32, 32)
    first, state = net.step(image, net.initial_state(image))
    features, _ = state.hidden
    forgetful = State(state.mask, (features, torch.zeros_like(features)))
    assert torch.equal(net.step(image, forgetful)[0], first)


def test_the_second_steps_loss_teaches_by_the_features_and_the_memory():
    net = network()
    image = images(1, 32, 32)
    _, state = net.step(image, net.initial_state(image))
    second, _ = net.step(image, state)
    slopes = torch.autograd.grad(second[:, 1].sum(), state.hidden)
    assert all(tensor.grad_fn is not None for tensor in state.hidden)
    assert all(slope.any() for slope in slopes)


def test_the_cell_is_what_it_has_more_than_the_unet():
    assert isinstance(network().unit, ConvGRU)
    # Three gates of a 3x3 convolution from 8 + 8 to 8 channels, each with a bias.
    assert parameter_count(network()) - parameter_count(create("unet-gn")) == 3 * (16 * 8 * 9 + 8)
