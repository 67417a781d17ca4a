"""DeepLabv3+: its size, its pyramid and its decoder."""

import torch
from torch import nn
from torch.export import Dim, export

from rurnet.network import parameter_count
from rurnet.networks.deeplab import AtrousSpatialPyramidPooling, DeepLabV3Plus


def network(**arguments):
    torch.manual_seed(0)
    return DeepLabV3Plus(width=4, **arguments).double()


def without_image_pooling(module):
    pyramid = getattr(module, "pyramid", module)
    nn.init.zeros_(pyramid.pooling[1].weight)
    return module


def seen_columns(net, image_width):
    """Columns of the image that the middle of the logits depends on."""
    torch.manual_seed(1)
    image = torch.randn(1, 3, 33, image_width, dtype=torch.float64, requires_grad=True)
    net.eval()(image)[0][0, 0, 16, image_width // 2].backward()
    return image.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()


def test_it_has_the_papers_size():
    with torch.device("meta"):
        assert 39e6 < parameter_count(DeepLabV3Plus()) < 42e6


def test_the_pyramid_stands_at_a_sixteenth_and_the_decoder_at_a_quarter():
    sizes = {}
    net = network().eval()
    for name in ("pyramid", "decode"):
        net.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, name=name: sizes.update({name: output.shape[-2:]})
        )
    net(torch.randn(1, 3, 64, 96).double())
    assert sizes == {"pyramid": (4, 6), "decode": (16, 24)}


def test_three_dilations_see_6_12_and_18_features_away():
    torch.manual_seed(0)
    pyramid = without_image_pooling(AtrousSpatialPyramidPooling(8, 8)).eval()
    features = torch.randn(1, 8, 41, 41, requires_grad=True)
    pyramid(features)[0, :, 20, 20].sum().backward()
    seen = {tuple(place) for place in features.grad[0].abs().sum(dim=0).nonzero().tolist()}
    offsets = {(0, 0)} | {
        (rate * row, rate * column)
        for rate in (6, 12, 18)
        for row in (-1, 0, 1)
        for column in (-1, 0, 1)
    }
    assert seen == {(20 + row, 20 + column) for row, column in offsets}


def test_the_widest_dilation_widens_the_view_by_18_times_16_pixels():
    net = without_image_pooling(network())
    wide = seen_columns(net, 1600)
    for branch in net.pyramid.branches[1:]:
        nn.init.zeros_(branch[0].weight)
    narrow = seen_columns(net, 1600)
    assert wide[-1] - narrow[-1] > 250
    assert narrow[0] - wide[0] > 250


def test_image_pooling_sees_everything_and_nothing_else_does():
    net = network()
    assert len(seen_columns(net, 1600)) == 1600
    seen = seen_columns(without_image_pooling(net), 1600)
    assert 0 < seen[0] < seen[-1] < 1599


@torch.inference_mode()
def test_fine_features_reach_the_decoder_past_the_pyramid():
    net = network().eval()
    image = torch.randn(1, 3, 64, 64).double()
    usual = net(image)[0]
    net.reduce.register_forward_hook(lambda *arguments: torch.zeros_like(arguments[-1]))
    assert (net(image)[0] - usual).abs().max() > 1e-4


@torch.inference_mode()
def test_exported_it_takes_any_size():
    net = network().eval()
    free = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = export(net, (torch.randn(2, 3, 64, 96).double(),), dynamic_shapes={"image": free})
    image = torch.randn(1, 3, 97, 131).double()
    torch.testing.assert_close(program.module()(image)[0], net(image)[0])
