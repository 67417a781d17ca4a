"""ReSeg: ReNet layers on VGG-16, and local contrast normalisation."""

import numpy as np
import pytest
import torch
from torch import nn

from rurnet.encoders.pretrained import load_encoder
from rurnet.encoders.vgg import VGG16
from rurnet.errors import NetworkError
from rurnet.network import parameter_count
from rurnet.networks.reseg import ContrastNormalisation, ReSeg
from rurnet.renet import ReNet

KINDS = [
    {},
    {"vgg": False},
    {"contrast_normalisation": True},
    {"vgg": False, "contrast_normalisation": True},
]


def network(classes=3, **arguments):
    torch.manual_seed(2)
    return ReSeg(3, classes, **{"width": 4, "units": 8, **arguments}).eval()


def modules(net, kind):
    return [module for module in net.modules() if isinstance(module, kind)]


@torch.no_grad()
@pytest.mark.parametrize("arguments", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (97, 131), (64, 48)])
def test_logits_have_the_images_size(arguments, size):
    (logits,) = network(**arguments)(torch.randn(2, 3, *size))
    assert logits.shape == (2, 3, *size)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(("arguments", "convolutions", "ups"), [({}, 7, 2), ({"vgg": False}, 0, 1)])
def test_the_layers_are_those_of_the_paper(arguments, convolutions, ups):
    with torch.device("meta"):
        net = ReSeg(3, 11, **arguments)
    assert len(modules(net, nn.Conv2d)) == convolutions + 1
    assert [layer.patch for layer in modules(net, ReNet)] == [2, 1]
    assert {gru.hidden_size for gru in modules(net, nn.GRU)} == {100}
    transposed = modules(net, nn.ConvTranspose2d)
    assert [t.out_channels for t in transposed] == [50] * ups
    assert {(t.kernel_size, t.stride) for t in transposed} == {((2, 2), (2, 2))}
    assert net.steps == 1


def test_pretrained_weights_have_a_place_where_there_is_vgg():
    whole = VGG16(3, width=4).state_dict()
    net = network(classes=2, contrast_normalisation=True)
    load_encoder(net, whole)
    assert torch.equal(net.encoder.features[14].weight, whole["features.14.weight"])
    with pytest.raises(NetworkError, match="no encoder"):
        load_encoder(network(vgg=False), whole)


@pytest.mark.parametrize("arguments", [{}, {"vgg": False}])
def test_transposed_convolutions_start_as_glorot_and_bengio_say(arguments):
    for layer in modules(network(units=100, **arguments), nn.ConvTranspose2d):
        bound = (6 / (4 * (layer.in_channels + layer.out_channels))) ** 0.5
        assert 0.99 * bound < layer.weight.abs().max() <= bound
        assert (layer.bias == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("arguments", [{}, {"vgg": False}])
@pytest.mark.parametrize("there", [(4, 90), (90, 4), (90, 90), (4, 4)])
@pytest.mark.parametrize("here", [(4, 4), (90, 90)])
def test_a_pixel_anywhere_changes_the_logits_everywhere(arguments, there, here):
    net = network(**arguments).double()
    image = torch.randn(1, 3, 96, 96, dtype=torch.float64)
    other = image.clone()
    other[0, :, *there] += 10
    difference = (net(image)[0] - net(other)[0])[0, :, *here]
    assert (difference != 0).all()


@pytest.mark.parametrize("arguments", KINDS)
def test_gradients_reach_every_parameter(arguments):
    net = network(**arguments).train()
    net(torch.randn(2, 3, 40, 48))[-1].square().mean().backward()
    untouched = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []


@torch.no_grad()
def test_light_makes_no_difference_once_contrast_is_normalised():
    image = torch.rand(2, 3, 41, 50)
    light = torch.tensor([0.5, 2.0, 7.0])[:, None, None]
    with_it, without = network(contrast_normalisation=True), network()
    usual = with_it(image)[0]
    torch.testing.assert_close(with_it(light * image + 3)[0], usual, rtol=1e-3, atol=1e-4)
    assert (without(light * image + 3)[0] - without(image)[0]).abs().max() > 1e-2


def test_contrast_normalisation_adds_no_weights():
    with_it, without = network(contrast_normalisation=True), network()
    assert parameter_count(with_it) == parameter_count(without)
    assert with_it.state_dict().keys() == without.state_dict().keys()


@torch.no_grad()
def test_contrast_is_normalised_by_a_gaussian_window_of_nine_pixels():
    generator = np.random.default_rng(1)
    image = generator.normal(size=(30, 40))
    image[:, 20:] *= 0.1  # In this half the mean deviation is larger than the local one.
    offsets = list(np.ndindex(9, 9))
    weights = np.array([np.exp(-((y - 4) ** 2 + (x - 4) ** 2) / (2 * 2.0**2)) for y, x in offsets])

    def mean(values):
        beyond = np.pad(values, 4, mode="edge")
        windows = np.array([beyond[y : y + 30, x : x + 40] for y, x in offsets])
        return np.average(windows, axis=0, weights=weights)

    centred = image - mean(image)
    deviation = np.sqrt(mean(centred**2))
    normalise = ContrastNormalisation(2).double()
    result = normalise(torch.tensor(image)[None, None] * torch.tensor([1.0, 5.0])[:, None, None])
    assert deviation[15, 10] > deviation.mean() > deviation[15, 30]
    for at, divisor in [
        ((15, 10), deviation[15, 10]),
        ((15, 30), deviation.mean()),
        ((0, 0), deviation[0, 0]),
    ]:
        expected = centred[at] / divisor
        assert result[0, :, *at].tolist() == pytest.approx([expected, expected], rel=1e-5)


@torch.no_grad()
def test_a_constant_band_has_no_contrast():
    image = torch.stack([torch.full((20, 30), 0.7), torch.rand(20, 30)])[None]
    constant, varied = ContrastNormalisation(2)(image)[0]
    assert constant.abs().max() < 1e-2
    assert varied.std() > 0.5
