"""The interface of all networks: any size, any number of steps, independent tiles."""

import pytest
import torch
from torch import nn

from rurnet import NETWORKS, NetworkError, State, create
from rurnet.network import parameter_count

ONE_SHOT = [name for name, make in NETWORKS.items() if getattr(make, "func", make).one_shot]
RECURRENT = [name for name in NETWORKS if name not in ONE_SHOT]
WITHOUT_FEEDBACK = ["rec-last", "rec-last-x2", "rec-middle"]
"""Recurrent networks that feed no mask back."""
SEEDED_BY_A_MASK = [name for name in RECURRENT if name not in WITHOUT_FEEDBACK]


@pytest.fixture
def network(narrow):
    """A small network, in evaluation mode."""
    return lambda name, **arguments: narrow(name, **arguments).eval()


def images(count, height, width, seed=0):
    return torch.randn((count, 3, height, width), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (64, 48), (97, 131)])
def test_logits_have_the_images_size_at_every_step(network, name, size):
    net = network(name)
    every = net(images(2, *size))
    assert len(every) == net.steps
    for logits in every:
        assert logits.shape == (2, 2, *size)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_calling_a_network_runs_its_steps_in_a_loop(network, name):
    net = network(name)
    image = images(2, 30, 20)
    state = net.initial_state(image)
    for logits in net(image):
        by_step, state = net.step(image, state)
        assert torch.equal(logits, by_step)


@pytest.mark.parametrize("name", RECURRENT)
def test_one_network_serves_any_number_of_steps(network, name):
    net = network(name, steps=3)
    image = images(2, 16, 32)
    one, three, five = net(image, 1), net(image), net(image, 5)
    assert [len(one), len(three), len(five)] == [1, 3, 5]
    assert torch.equal(one[0], three[0])
    assert all(torch.equal(a, b) for a, b in zip(three, five, strict=False))
    assert not torch.equal(five[3], five[4])


@pytest.mark.parametrize("name", NETWORKS)
def test_items_of_a_batch_do_not_influence_each_other_but_for_batch_norm(network, name):
    net = network(name).train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    first, second, other = images(3, 16, 32)
    beside_second = net(torch.stack([first, second]))
    beside_other = net(torch.stack([first, other * 10]))
    swapped = net(torch.stack([second, first]))
    for a, b, c in zip(beside_second, beside_other, swapped, strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[0], c[1])


@pytest.mark.parametrize("name", RECURRENT)
def test_tiles_can_leave_a_batch_between_steps(network, name):
    net = network(name)
    image = images(3, 32, 32)
    together = net(image, 2)
    state = net.step(image, net.initial_state(image))[1]
    stays = [0, 2]
    state = State(state.mask[stays], tuple(tensor[stays] for tensor in state.hidden))
    logits, _ = net.step(image[stays], state)
    torch.testing.assert_close(logits, together[1][stays], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_first_mask_is_uniform(network, name):
    state = network(name, classes=3).initial_state(images(2, 20, 40))
    assert state.mask.shape == (2, 3, 20, 40)
    assert (state.mask == torch.tensor(1 / 3)).all()


@pytest.mark.parametrize("name", [name for name in RECURRENT if name[:3] in ("dru", "sru")])
def test_the_first_memory_is_zero(network, name):
    (hidden,) = network(name).initial_state(images(2, 20, 40)).hidden
    assert (hidden == 0).all()


def test_the_mask_in_the_state_is_the_softmax_of_the_logits(network):
    net = network("dru-4")
    image = images(1, 17, 33)
    logits, state = net.step(image, net.initial_state(image))
    exponentials = logits.exp()
    torch.testing.assert_close(state.mask, exponentials / exponentials.sum(dim=1, keepdim=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_earlier_mask_changes_the_logits_only_if_masks_are_fed_back(network, name):
    net = network(name)
    image = images(1, 32, 32)
    road = (torch.arange(32) < 9).float().expand(1, 32, 32)
    mask = torch.stack([1 - road, road], dim=1)
    uniform = net.initial_state(image)
    refined = net.initial_state(image, mask)
    assert torch.equal(refined.mask, mask)
    with_mask, _ = net.step(image, refined)
    without, _ = net.step(image, uniform)
    if name in SEEDED_BY_A_MASK:
        assert (with_mask - without).abs().max() > 1e-3
    else:
        assert torch.equal(with_mask, without)


def test_an_image_of_another_size_is_padded_with_its_own_border(network):
    net = network("dru-4")
    image = images(1, 30, 41)
    padded = torch.nn.functional.pad(image, (0, 7, 0, 2), mode="replicate")
    assert torch.equal(net(image, 1)[0], net(padded, 1)[0][..., :30, :41])


@pytest.mark.parametrize("name", ONE_SHOT)
def test_a_one_shot_network_refuses_a_second_step(network, name):
    net = network(name)
    image = images(1, 16, 16)
    assert len(net(image, 1)) == len(net(image)) == 1
    with pytest.raises(NetworkError, match="one step, not 2"):
        net(image, 2)


@pytest.mark.parametrize("name", ["dru-4", "rec-last", "canvas"])
def test_a_recurrent_network_made_for_one_step_takes_more(network, name):
    image = images(1, 32, 32)
    one, two = network(name, steps=1)(image), network(name, steps=1)(image, 2)
    assert [len(one), len(two)] == [1, 2]
    assert not torch.equal(two[0], two[1])


def test_zero_steps_are_refused(network):
    with pytest.raises(NetworkError, match="at least 1"):
        network("dru-4")(images(1, 16, 16), 0)


@pytest.mark.parametrize("shape", [(1, 4, 16, 16), (1, 1, 16, 16), (3, 16, 16)])
def test_an_image_of_other_channels_is_refused_naming_both(network, shape):
    with pytest.raises(NetworkError) as caught:
        network("dru-4")(torch.zeros(shape))
    assert "[B, 3, H, W]" in str(caught.value)
    assert str(list(shape)) in str(caught.value)


def test_an_image_of_whole_numbers_is_refused(network):
    with pytest.raises(NetworkError, match="floating type, not"):
        network("dru-4")(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))


@pytest.mark.parametrize("dtype", [torch.float64, torch.uint8])
def test_an_earlier_mask_may_be_of_another_type(network, dtype):
    net, image = network("dru-4"), images(1, 16, 16)
    road = (torch.arange(16) < 9).float().expand(1, 16, 16)
    mask = torch.stack([1 - road, road], dim=1)
    expected, _ = net.step(image, net.initial_state(image, mask))
    found, _ = net.step(image, net.initial_state(image, mask.to(dtype)))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (2, 2, 16, 16), (1, 2, 16, 8)])
def test_a_mask_of_another_shape_is_refused(network, shape):
    with pytest.raises(NetworkError, match="mask"):
        network("dru-4").initial_state(images(1, 16, 16), torch.zeros(shape))


@pytest.mark.parametrize(
    "arguments", [{"in_channels": 0}, {"classes": 1}, {"steps": 0}], ids=lambda a: next(iter(a))
)
def test_numbers_that_are_too_small_are_refused(arguments):
    with pytest.raises(NetworkError, match=next(iter(arguments))):
        create("dru-4", **arguments)


@pytest.mark.parametrize("name", NETWORKS)
def test_other_bands_and_classes(network, name):
    net = network(name, in_channels=4, classes=5)
    assert net(torch.zeros(1, 4, 16, 32))[-1].shape == (1, 5, 16, 32)


@pytest.mark.parametrize("name", ["dru-4", "unet-gn"])
def test_it_runs_in_the_precision_of_the_image(network, name):
    image = images(1, 16, 16).double()
    assert network(name).double()(image)[-1].dtype == torch.float64


def test_channels_last_is_the_same_network(network):
    net = network("dru-3")
    image = images(2, 32, 48)
    usual = net(image)[-1]
    laid_out = net.channels_last()(image.contiguous(memory_format=torch.channels_last))[-1]
    torch.testing.assert_close(laid_out, usual, rtol=1e-3, atol=1e-4)


def test_frozen_values_are_not_counted_as_trained(network):
    net = network("dru-4")
    before = parameter_count(net)
    frozen = net.classify.weight.requires_grad_(False).numel()
    assert parameter_count(net) == before - frozen
