"""Rec-Simple: a U-Net and its own mask, nothing else."""

import torch

from rurnet import create
from rurnet.network import parameter_count
from rurnet.networks.rec_simple import RecSimple


def network(**arguments):
    torch.manual_seed(6)
    return RecSimple(**arguments).eval()


def images(count, height, width):
    return torch.randn((count, 3, height, width), generator=torch.Generator().manual_seed(2))


@torch.inference_mode()
def test_a_step_is_the_unet_on_image_and_mask():
    net = network()
    unet = create("unet-gn", in_channels=5).eval()
    unet.load_state_dict(net.state_dict())
    image = images(2, 32, 48)
    mask = torch.full((2, 2, 32, 48), 0.5)
    for logits in net(image, 4):
        torch.testing.assert_close(logits, unet(torch.cat([image, mask], dim=1))[0])
        mask = logits.softmax(dim=1)


@torch.inference_mode()
def test_it_remembers_nothing():
    net = network()
    image = images(1, 32, 32)
    _, state = net.step(image, net.initial_state(image))
    assert state.hidden == net.initial_state(image).hidden == ()


@torch.inference_mode()
def test_all_that_a_step_takes_from_the_one_before_is_the_mask():
    net = network()
    image = images(1, 30, 41)
    state = net.initial_state(image)
    for logits in net(image, 4):
        from_mask, _ = net.step(image, net.initial_state(image, state.mask))
        assert torch.equal(from_mask, logits)
        _, state = net.step(image, state)


@torch.inference_mode()
def test_each_step_differs_from_the_one_before():
    first, second, third = network()(images(1, 32, 32))
    assert (second - first).abs().max() > 1e-3
    assert (third - second).abs().max() > 1e-5


def test_the_second_steps_loss_teaches_the_first_step_by_the_mask():
    net = network()
    image = images(1, 32, 32)
    _, state = net.step(image, net.initial_state(image))
    second, _ = net.step(image, state)
    (slope,) = torch.autograd.grad(second[:, 1].sum(), state.mask)
    assert slope.abs().max() > 0


def test_the_masks_channels_are_what_it_has_more_than_the_unet():
    more = parameter_count(network(classes=3)) - parameter_count(create("unet-gn", classes=3))
    assert more == 3 * 8 * 9
