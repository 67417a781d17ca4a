"""ICNet: its branches, its pyramid pooling and its fusion units."""

import pytest
import torch
from torch import nn
from torch.export import Dim, export
from torch.nn import functional

from rurnet.encoders.resnet import Bottleneck
from rurnet.network import parameter_count
from rurnet.networks.icnet import CascadeFeatureFusion, ICNet, halved, pyramid_pooled


def network(**arguments):
    torch.manual_seed(0)
    return ICNet(width=4, **arguments).double()


def sizes_in(net, names, image):
    """Channels, height and width of the inputs of modules."""
    sizes = {}
    for name in names:
        net.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, name=name: sizes.update({name: tuple(inputs[0].shape[1:])})
        )
    net(image)
    return sizes


def test_it_is_light():
    with torch.device("meta"):
        assert 6.5e6 < parameter_count(ICNet(classes=19)) < 6.8e6


@torch.inference_mode()
def test_branches_see_the_image_its_half_and_its_quarter():
    names = ["full", "encoder.conv1", "encoder.layer2.0", "encoder.layer2.1", "reduce", "classify"]
    assert sizes_in(network().eval(), names, torch.randn(1, 3, 128, 192).double()) == {
        "full": (3, 128, 192),
        "encoder.conv1": (3, 64, 96),
        "encoder.layer2.0": (16, 16, 24),
        "encoder.layer2.1": (32, 4, 6),  # 1/8 of the half image, halved: 1/32
        "reduce": (128, 4, 6),
        "classify": (16, 32, 48),
    }


@torch.inference_mode()
def test_half_and_quarter_share_one_resnet_of_which_each_block_runs_once():
    net = network().eval()
    runs = []
    for name, module in net.encoder.named_modules():
        if isinstance(module, Bottleneck):
            module.register_forward_hook(lambda *_, name=name: runs.append(name))
    net(torch.randn(1, 3, 64, 64).double())
    assert runs == [
        f"layer{layer}.{block}"
        for layer, blocks in enumerate((3, 4, 6, 3), 1)
        for block in range(blocks)
    ]


@torch.inference_mode()
def test_fusion_brings_the_quarter_to_the_half_and_the_half_to_the_full():
    net = network().eval()
    sizes = []
    for fusion in (net.fuse_half, net.fuse_full):
        fusion.register_forward_hook(
            lambda _, inputs, output: sizes.append([tuple(t.shape[1:]) for t in (*inputs, output)])
        )
    net(torch.randn(1, 3, 128, 192).double())
    assert sizes == [
        [(32, 4, 6), (32, 8, 12), (16, 8, 12)],
        [(16, 8, 12), (8, 16, 24), (16, 16, 24)],
    ]


@pytest.mark.parametrize("first", ["full.0", "encoder.conv1", "encoder.layer2.1"])
@torch.inference_mode()
def test_every_branch_counts(first):
    net = network().eval()
    image = torch.randn(1, 3, 64, 96).double()
    usual = net(image)[0]
    net.get_submodule(first).register_forward_pre_hook(lambda _, given: torch.zeros_like(given[0]))
    assert (net(image)[0] - usual).abs().max() > 1e-3


@torch.inference_mode()
def test_the_half_branch_counts_beside_the_quarter_that_comes_of_it():
    net = network().eval()
    image = torch.randn(1, 3, 64, 96).double()
    usual = net(image)[0]
    net.fuse_half.fine.register_forward_pre_hook(lambda _, given: torch.zeros_like(given[0]))
    assert (net(image)[0] - usual).abs().max() > 1e-3


def test_an_even_half_is_the_mean_of_two_by_two():
    image = torch.randn(1, 3, 8, 12).double()
    blocks = image.unflatten(3, (6, 2)).unflatten(2, (4, 2))
    torch.testing.assert_close(halved(image), blocks.mean(dim=(3, 5)))


def test_an_odd_half_is_rounded_up():
    assert halved(torch.zeros(1, 3, 7, 1)).shape == (1, 3, 4, 1)


def test_pyramid_pooling_adds_the_mean_over_1_2_3_and_6_parts():
    slope = torch.arange(36.0).expand(1, 1, 36, 36)
    pooled = pyramid_pooled(slope)[0, 0, 18]
    means = [
        functional.interpolate(
            slope[0, :, :1].unflatten(2, (bins, 36 // bins)).mean(dim=3), 36, mode="linear"
        )
        for bins in (1, 2, 3, 6)
    ]
    torch.testing.assert_close(pooled, slope[0, 0, 0] + sum(means).flatten())


@torch.inference_mode()
def test_the_deepest_features_are_pyramid_pooled():
    net = network().eval()
    came = []
    net.encoder.layer4.register_forward_hook(lambda *given: torch.ones_like(given[-1]))
    net.reduce.register_forward_pre_hook(lambda _, given: came.append(given[0]))
    net(torch.randn(1, 3, 64, 64).double())
    assert (came[0] == 5).all()  # Itself and four means of it.


def test_pyramid_pooling_sees_everything():
    features = torch.randn(1, 2, 9, 13, requires_grad=True)
    pyramid_pooled(features)[0, 0, 8, 12].backward()
    assert (features.grad[0, 0] > 0).all()
    assert (features.grad[0, 1] == 0).all()


@torch.inference_mode()
def test_a_fusion_unit_by_hand():
    torch.manual_seed(0)
    fusion = CascadeFeatureFusion(4, 3, 5).double().eval()
    for norm in (fusion.coarse[1], fusion.fine[1]):
        for values in (norm.running_mean, norm.weight, norm.bias):
            nn.init.normal_(values)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    coarse, fine = torch.randn(2, 4, 5, 6).double(), torch.randn(2, 3, 10, 12).double()

    def normalised(tensor, norm):
        mean, variance, scale, shift = (
            values[:, None, None]
            for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        return (tensor - mean) / (variance + norm.eps).sqrt() * scale + shift

    grown = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    grown = functional.conv2d(grown, fusion.coarse[0].weight, padding=2, dilation=2)
    projected = torch.einsum("oi,bihw->bohw", fusion.fine[0].weight[..., 0, 0], fine)
    expected = normalised(grown, fusion.coarse[1]) + normalised(projected, fusion.fine[1])
    torch.testing.assert_close(fusion(coarse, fine), expected.clamp(min=0))


@pytest.mark.soak
@torch.inference_mode()
def test_exported_it_takes_any_size():
    net = network().eval()
    free = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = export(net, (torch.randn(2, 3, 64, 96).double(),), dynamic_shapes={"image": free})
    image = torch.randn(1, 3, 97, 131).double()
    torch.testing.assert_close(program.module()(image)[0], net(image)[0])
