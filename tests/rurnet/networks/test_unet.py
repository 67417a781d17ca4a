"""The one-shot U-Nets: sizes and normalisation."""

import pytest
import torch
from torch import nn

from rurnet import create
from rurnet.network import parameter_count


@pytest.mark.parametrize("name", ["unet-gn", "unet-bn"])
def test_it_is_small(name):
    assert 400_000 < parameter_count(create(name)) < 500_000


@pytest.mark.parametrize("name", ["unet-gn", "unet-bn"])
def test_channels_go_from_8_to_128(name):
    widths = {m.out_channels for m in create(name).modules() if isinstance(m, nn.Conv2d)}
    assert widths == {8, 16, 32, 64, 128, 2}


@pytest.mark.parametrize(("name", "kind"), [("unet-gn", nn.GroupNorm), ("unet-bn", nn.BatchNorm2d)])
def test_every_convolution_is_normalised_in_the_same_way(name, kind):
    modules = list(create(name).modules())
    norms = [m for m in modules if isinstance(m, nn.GroupNorm | nn.BatchNorm2d)]
    convolutions = [m for m in modules if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(norms) == len(convolutions) == 18
    assert {type(m) for m in norms} == {kind}


@torch.inference_mode()
def test_batch_norm_mixes_the_items_of_a_training_batch():
    torch.manual_seed(0)
    net = create("unet-bn").train()
    first, second, other = torch.randn(3, 3, 32, 32)
    one = net(torch.stack([first, second]))[0]
    two = net(torch.stack([first, other * 10]))[0]
    assert (one[0] - two[0]).abs().max() > 1e-2


def test_a_pixel_sees_far_around_itself():
    torch.manual_seed(0)
    net = create("unet-bn").eval()  # Group norm sees everything anyway.
    image = torch.randn(1, 3, 160, 160, requires_grad=True)
    net(image)[0][0, 1, 80, 80].backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert rows[-1] - rows[0] > 100


@torch.inference_mode()
def test_the_mask_in_its_state_changes_nothing():
    net = create("unet-gn").eval()
    image = torch.randn(1, 3, 16, 16)
    mask = torch.rand(1, 2, 16, 16)
    assert torch.equal(net.step(image, net.initial_state(image, mask))[0], net(image)[0])
