"""The recurrent unit: its gates, its memory and its size."""

import pytest
import torch

from rurnet import NetworkError, State, create
from rurnet.blocks import CHANNELS
from rurnet.network import parameter_count
from rurnet.networks.recurrent import RecurrentUnit


def unit_at(level, unit, gate_relu=True):
    torch.manual_seed(11)
    inputs = CHANNELS[level - 1] if level else 5
    return RecurrentUnit(inputs, CHANNELS[level:], 12, unit, "group", gate_relu=gate_relu).eval()


def tensors(level):
    generator = torch.Generator().manual_seed(5)
    inputs = CHANNELS[level - 1] if level else 5
    e = torch.randn((2, inputs, 16, 16), generator=generator)
    return e, torch.randn((2, 12, 16, 16), generator=generator)


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


@torch.inference_mode()
def test_the_gates_read_the_image_and_not_the_memory():
    unit = unit_at(4, "dru")
    e, h_before = tensors(4)
    slope = (unit(e, h_before)[1] - unit(e, torch.zeros_like(h_before))[1]) / h_before
    torch.testing.assert_close(slope, sigmoid(unit.update(e)), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("unit", ["dru", "sru"])
@torch.inference_mode()
def test_rectified_branches_keep_gates_above_one_half(unit):
    e, _ = tensors(4)
    assert sigmoid(unit_at(4, unit).update(e)).min() >= 0.5
    assert sigmoid(unit_at(4, unit, gate_relu=False).update(e)).min() < 0.4


@pytest.mark.parametrize("level", range(5))
def test_memory_has_the_resolution_of_the_units_level(level):
    state = create(f"dru-{level}").initial_state(torch.zeros(1, 3, 60, 90))
    (hidden,) = state.hidden
    assert hidden.shape == (1, min(CHANNELS[level], 32), 64 >> level, 96 >> level)


def test_dru4_has_the_papers_size():
    assert parameter_count(create("dru-4")) == pytest.approx(360_000, rel=0.15)


@pytest.mark.parametrize("level", range(5))
def test_a_reset_gate_costs_parameters(level):
    dru, sru = create(f"dru-{level}"), create(f"sru-{level}")
    assert dru.unit.reset is not None
    assert parameter_count(sru) < parameter_count(dru)
    # Two encoder-decoders in place of three.
    assert parameter_count(sru.unit) < 0.75 * parameter_count(dru.unit)


@torch.inference_mode()
def test_all_that_a_step_takes_from_the_one_before_is_mask_and_memory():
    torch.manual_seed(2)
    net = create("dru-4").eval()
    image = torch.randn(1, 3, 32, 32)
    logits, state = net.step(image, net.initial_state(image))
    second, _ = net.step(image, state)
    forgetful, _ = net.step(image, net.initial_state(image, state.mask))
    blind, _ = net.step(image, state._replace(mask=net.initial_state(image).mask))
    assert (second - forgetful).abs().max() > 1e-4
    assert (second - blind).abs().max() > 1e-4
    again, _ = net.step(image, type(state)(logits.softmax(dim=1), state.hidden))
    assert torch.equal(again, second)


@pytest.mark.parametrize("way", ["mask", "hidden"])
def test_the_second_steps_loss_has_a_gradient_in_the_mask_and_in_the_memory(way):
    torch.manual_seed(2)
    net = create("dru-4")
    image = torch.randn(1, 3, 32, 32)
    _, (mask, (hidden,)) = net.step(image, net.initial_state(image))
    start = mask if way == "mask" else hidden
    cut = State(mask, (hidden.detach(),)) if way == "mask" else State(mask.detach(), (hidden,))
    second, _ = net.step(image, cut)
    (slope,) = torch.autograd.grad(second[:, 1].sum(), start)
    assert slope.abs().max() > 0


@torch.inference_mode()
def test_without_the_mask_fed_back_only_memory_goes_from_step_to_step():
    torch.manual_seed(2)
    net = create("dru-4", mask_fed_back=False).eval()
    image = torch.randn(1, 3, 32, 32)
    first, state = net.step(image, net.initial_state(image))
    second, _ = net.step(image, state)
    blind, _ = net.step(image, state._replace(mask=net.initial_state(image).mask))
    assert torch.equal(second, blind)
    assert (second - first).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"level": 5}, "level"),
        ({"level": -1}, "level"),
        ({"channels": (4, 8, 16)}, "channels 4,8,16 have the levels 0 to 2; give a number of ch"),
        ({"unit": "gru"}, "gru"),
    ],
)
def test_an_unknown_level_or_unit_is_refused(arguments, named):
    with pytest.raises(NetworkError, match=named):
        create("dru-4", **arguments)
