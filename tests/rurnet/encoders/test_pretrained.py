"""Loading of pretrained weights in torchvision's layout."""

import pytest
import torch
from torch import nn

from rurnet.encoders.pretrained import load_encoder
from rurnet.encoders.resnet import ResNet
from rurnet.encoders.vgg import VGG16
from rurnet.errors import NetworkError
from rurnet.network import SegmentationNetwork


class Tiny(SegmentationNetwork):
    """An encoder and a 1x1 convolution."""

    def __init__(self, make, in_channels=3, classes=2, fed_back=0):
        super().__init__(in_channels, classes, steps=1)
        self.encoder = make(in_channels + fed_back)
        self.classify = nn.Conv2d(self.encoder.channels[-1], classes, 1)


def vgg(in_channels=3, *, blocks=5):
    return VGG16(in_channels, width=4, blocks=blocks)


def resnet(in_channels=3):
    return ResNet(in_channels, depth=50, width=4)


def classifier(make):
    """Random tensors of a whole classifier with such an encoder."""
    torch.manual_seed(9)
    tensors = {key: torch.randn(value.shape) for key, value in make().state_dict().items()}
    for key, value in tensors.items():
        if key.endswith("num_batches_tracked"):
            tensors[key] = torch.tensor(11)
        elif key.endswith("running_var"):
            tensors[key] = value.abs() + 0.5
    if make is vgg:
        extra = {f"classifier.{i}.weight": torch.randn(8, 8) for i in (0, 3, 6)}
    else:
        extra = {"fc.weight": torch.randn(8, 128), "fc.bias": torch.randn(8)}
    return tensors | extra


def first_key(make):
    return "features.0.weight" if make is vgg else "conv1.weight"


both = pytest.mark.parametrize("make", [vgg, resnet])


@both
def test_every_tensor_of_a_file_arrives(make, tmp_path):
    torch.save(classifier(make), tmp_path / "classifier.pth")
    given = torch.load(tmp_path / "classifier.pth", weights_only=True)
    network = Tiny(make)
    head = network.classify.weight.clone()
    load_encoder(network, given)
    own = network.encoder.state_dict()
    assert all(torch.equal(value, given[key]) for key, value in own.items())
    assert torch.equal(network.classify.weight, head)


def test_blocks_left_out_need_no_tensors_and_take_none():
    given = classifier(vgg)
    network = Tiny(lambda channels: vgg(channels, blocks=3))
    load_encoder(network, given)
    own = network.encoder.state_dict()
    assert len(own) == 14
    assert all(torch.equal(value, given[key]) for key, value in own.items())


def test_files_without_counts_of_batches_load():
    given = {key: value for key, value in classifier(resnet).items() if "tracked" not in key}
    network = Tiny(resnet)
    load_encoder(network, given)
    assert torch.equal(network.encoder.bn1.running_mean, given["bn1.running_mean"])


@both
def test_tensors_of_half_precision_are_widened(make):
    given = {
        key: value.half() if value.is_floating_point() else value
        for key, value in classifier(make).items()
    }
    network = Tiny(make)
    load_encoder(network, given)
    key = first_key(make)
    assert torch.equal(network.encoder.state_dict()[key], given[key].float())


@pytest.mark.parametrize("bands", [1, 2, 4, 5, 7])
@both
@torch.inference_mode()
def test_a_grey_image_gives_the_same_with_any_number_of_bands(make, bands):
    given = classifier(make)
    coloured, network = Tiny(make), Tiny(make, bands)
    load_encoder(coloured, given)
    load_encoder(network, given)
    grey = torch.randn(1, 1, 32, 32)
    expected = coloured.encoder.eval()(grey.repeat(1, 3, 1, 1))[0]
    found = network.encoder.eval()(grey.repeat(1, bands, 1, 1))[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_bands_beyond_three_begin_again_with_red_and_share_its_weights():
    given = classifier(vgg)
    network = Tiny(vgg, 5)
    load_encoder(network, given)
    red, green, blue = given["features.0.weight"].unbind(1)
    found = network.encoder.state_dict()["features.0.weight"].unbind(1)
    for band, expected in zip(found, (red / 2, green / 2, blue, red / 2, green / 2), strict=True):
        assert torch.equal(band, expected)


@pytest.mark.parametrize("bands", [1, 3, 4])
@both
def test_a_mask_that_is_fed_back_is_without_effect_at_first(make, bands):
    network, alone = Tiny(make, bands, classes=3, fed_back=3), Tiny(make, bands)
    load_encoder(network, classifier(make))
    load_encoder(alone, classifier(make))
    weight = network.encoder.state_dict()[first_key(make)]
    assert torch.equal(weight[:, :bands], alone.encoder.state_dict()[first_key(make)])
    assert not weight[:, bands:].any()


@torch.inference_mode()
def test_the_given_tensors_are_copied():
    given = classifier(vgg)
    network = Tiny(vgg)
    load_encoder(network, given)
    before = given["features.0.bias"].clone()
    network.encoder.state_dict()["features.0.bias"].add_(1)
    assert torch.equal(given["features.0.bias"], before)


@pytest.mark.parametrize(
    ("make", "key"),
    [(vgg, "features.28.bias"), (resnet, "layer3.5.bn2.running_var"), (resnet, "conv1.weight")],
)
def test_a_missing_tensor_is_named_and_nothing_loaded(make, key):
    given = classifier(make)
    del given[key]
    network = Tiny(make)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(NetworkError, match=f"{key} is missing \\(1 of"):
        load_encoder(network, given)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_tensors_of_another_network_are_refused_naming_the_kind_wanted():
    with pytest.raises(
        NetworkError, match=r"conv1.weight is missing .* not the weights of a ResNet in"
    ):
        load_encoder(Tiny(resnet), classifier(vgg))


@pytest.mark.parametrize(
    ("make", "key", "shape"),
    [
        (vgg, "features.7.weight", (8, 8, 5, 5)),
        (vgg, "features.0.weight", (4, 2, 3, 3)),
        (vgg, "features.0.weight", (9, 3, 3, 3)),
        (vgg, "features.0.weight", (4,)),
        (resnet, "layer4.2.conv3.weight", (128, 32)),
    ],
)
def test_a_tensor_of_another_shape_is_named_with_both(make, key, shape):
    given = classifier(make)
    expected = list(given[key].shape)
    given[key] = torch.zeros(shape)
    with pytest.raises(NetworkError) as caught:
        load_encoder(Tiny(make), given)
    assert str(caught.value).startswith(f"{key} has shape {list(shape)}, not {expected}")


def test_a_network_without_an_encoder_is_refused_by_name():
    class Plain(SegmentationNetwork):
        pass

    with pytest.raises(NetworkError, match="a Plain has no encoder"):
        load_encoder(Plain(3, 2, 1), classifier(vgg))


def test_an_encoder_of_another_class_is_refused():
    network = Tiny(vgg)
    network.encoder = nn.Conv2d(3, 3, 1)
    with pytest.raises(NetworkError, match="no encoder"):
        load_encoder(network, classifier(vgg))
