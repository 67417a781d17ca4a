"""RefineNet: its size, its units and its four resolutions."""

import pytest
import torch
from torch import nn
from torch.export import Dim, export
from torch.nn import functional

from rurnet.network import parameter_count
from rurnet.networks.refinenet import ChainedResidualPooling, Fusion, RefineNet, ResidualConvUnit


def network(**arguments):
    torch.manual_seed(0)
    return RefineNet(width=4, **arguments).double()


def features(channels, height=9, width=11):
    torch.manual_seed(1)
    return torch.randn(2, channels, height, width, dtype=torch.float64)


def convolved(tensor, layer):
    return functional.conv2d(tensor, layer.weight, layer.bias, padding=1)


def test_with_21_classes_it_has_the_118_million_parameters_it_is_known_for():
    with torch.device("meta"):
        assert 117e6 < parameter_count(RefineNet(classes=21)) < 119e6


@torch.inference_mode()
def test_a_residual_unit_by_hand():
    unit = ResidualConvUnit(6).double()
    given = features(6)
    inner = convolved(given.clamp(min=0), unit.first)
    expected = given + convolved(inner.clamp(min=0), unit.second)
    torch.testing.assert_close(unit(given), expected)


@torch.inference_mode()
def test_chained_pooling_by_hand():
    pooling = ChainedResidualPooling(6).double()
    given = features(6)
    link = total = given.clamp(min=0)
    for stage in range(4):
        padded = functional.pad(link, (2, 2, 2, 2), value=-torch.inf)
        largest = padded.unfold(2, 5, 1).unfold(3, 5, 1).amax(dim=(-2, -1))
        link = convolved(largest, pooling.links[stage][1])
        total = total + link
    assert len(pooling.links) == 4
    torch.testing.assert_close(pooling(given), total)


@torch.inference_mode()
def test_fusion_convolves_both_before_the_coarser_grows():
    fusion = Fusion(4, 6).double()
    fine, coarse = features(4, 8, 10), features(6, 4, 5)
    grown = functional.interpolate(
        convolved(coarse, fusion.coarse), scale_factor=2, mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(fusion(fine, coarse), convolved(fine, fusion.fine) + grown)


@torch.inference_mode()
def test_every_resolution_is_refined_at_its_own_size():
    sizes = []
    net = network().eval()
    for block in net.blocks:
        block.register_forward_hook(lambda _, inputs, output: sizes.append(output.shape[1:]))
    net(torch.randn(1, 3, 64, 96).double())
    assert sizes == [(32, 2, 3), (16, 4, 6), (16, 8, 12), (16, 16, 24)]


@pytest.mark.parametrize("block", range(4))
@torch.inference_mode()
def test_every_resolution_counts(block):
    net = network().eval()
    image = torch.randn(1, 3, 64, 64).double()
    usual = net(image)[0]
    net.blocks[block].adapt.register_forward_hook(lambda *given: torch.zeros_like(given[-1]))
    assert (net(image)[0] - usual).abs().max() > 1e-5


def test_only_the_encoder_is_normalised():
    norms = [name for name, m in network().named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 104  # ResNet-101's
    assert all(name.startswith("encoder.") for name in norms)


@pytest.mark.soak
@torch.inference_mode()
def test_exported_it_takes_any_size():
    net = network().eval()
    free = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = export(net, (torch.randn(2, 3, 64, 96).double(),), dynamic_shapes={"image": free})
    image = torch.randn(1, 3, 97, 131).double()
    torch.testing.assert_close(program.module()(image)[0], net(image)[0])
