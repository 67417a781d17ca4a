"""ResNet: torchvision's layout, and features at every output stride."""

from math import prod

import pytest
import torch
from torch.nn import functional

from rurnet.encoders.resnet import ResNet
from rurnet.errors import NetworkError
from rurnet.network import parameter_count

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def layout(depth, width=64):
    """Keys and shapes of torchvision's resnet50 or resnet101, without `fc`."""

    def norm(key, channels):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{key}.{kind}"] = (channels,)
        shapes[f"{key}.num_batches_tracked"] = ()

    shapes = {"conv1.weight": (width, 3, 7, 7)}
    norm("bn1", width)
    inputs = width
    for layer, blocks in enumerate(BLOCKS[depth], start=1):
        inner = width * 2 ** (layer - 1)
        for block in range(blocks):
            key = f"layer{layer}.{block}"
            shapes[f"{key}.conv1.weight"] = (inner, inputs, 1, 1)
            norm(f"{key}.bn1", inner)
            shapes[f"{key}.conv2.weight"] = (inner, inner, 3, 3)
            norm(f"{key}.bn2", inner)
            shapes[f"{key}.conv3.weight"] = (4 * inner, inner, 1, 1)
            norm(f"{key}.bn3", 4 * inner)
            if block == 0:
                shapes[f"{key}.downsample.0.weight"] = (4 * inner, inputs, 1, 1)
                norm(f"{key}.downsample.1", 4 * inner)
            inputs = 4 * inner
    return shapes


def random_tensors(depth=50, width=4):
    """Random tensors in double precision, with statistics other than mean 0, deviation 1."""
    torch.manual_seed(5)
    tensors = {}
    for key, shape in layout(depth, width).items():
        if key.endswith("num_batches_tracked"):
            tensors[key] = torch.tensor(7)
        elif key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
            tensors[key] = torch.rand(shape).double() + 0.5
        else:
            tensors[key] = torch.randn(shape).double() * 0.3
    return tensors


def loaded(tensors, **arguments):
    net = ResNet(depth=50, width=4, **arguments).double().eval()
    net.load_state_dict(tensors)
    return net


@pytest.mark.parametrize(("depth", "count"), [(50, 25_557_032), (101, 44_549_160)])
def test_the_layout_here_has_torchvisions_number_of_parameters(depth, count):
    trained = {
        key: shape
        for key, shape in layout(depth).items()
        if "running" not in key and "tracked" not in key
    }
    trained |= {"fc.weight": (1000, 2048), "fc.bias": (1000,)}
    assert sum(map(prod, trained.values())) == count


@pytest.mark.parametrize("output_stride", [32, 16, 8])
@pytest.mark.parametrize("depth", [50, 101])
def test_keys_shapes_and_their_order_are_torchvisions(depth, output_stride):
    with torch.device("meta"):
        state = ResNet(depth=depth, output_stride=output_stride).state_dict()
    expected = list(layout(depth).items())
    assert [(key, tuple(value.shape)) for key, value in state.items()] == expected


@pytest.mark.parametrize(("depth", "count"), [(50, 23_508_032), (101, 42_500_160)])
def test_parameters(depth, count):
    with torch.device("meta"):
        assert parameter_count(ResNet(depth=depth)) == count


@pytest.mark.parametrize(
    ("output_stride", "strides"),
    [(32, (2, 4, 8, 16, 32)), (16, (2, 4, 8, 16, 16)), (8, (2, 4, 8, 8, 8))],
)
@torch.inference_mode()
def test_features_shrink_to_the_output_stride(output_stride, strides):
    net = ResNet(depth=50, width=4, output_stride=output_stride).eval()
    features = net(torch.zeros(2, 3, 64, 96))
    assert net.channels == (4, 16, 32, 64, 128)
    assert [tuple(f.shape) for f in features] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(net.channels, strides, strict=True)
    ]


@torch.inference_mode()
def test_features_are_those_computed_by_hand():
    tensors = random_tensors()
    image = torch.randn(2, 3, 64, 96).double()

    def convolved(features, conv, norm, stride=1, padding=0):
        features = functional.conv2d(features, tensors[f"{conv}.weight"], None, stride, padding)
        mean, variance, weight, bias = (
            tensors[f"{norm}.{kind}"][:, None, None]
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return (features - mean) / (variance + 1e-5).sqrt() * weight + bias

    features = convolved(image, "conv1", "bn1", 2, 3).clamp(min=0)
    expected = [features]
    features = functional.max_pool2d(features, 3, 2, 1)
    for layer, blocks in enumerate(BLOCKS[50], start=1):
        for block in range(blocks):
            key = f"layer{layer}.{block}"
            stride = 2 if block == 0 and layer > 1 else 1
            inner = convolved(features, f"{key}.conv1", f"{key}.bn1").clamp(min=0)
            inner = convolved(inner, f"{key}.conv2", f"{key}.bn2", stride, 1).clamp(min=0)
            inner = convolved(inner, f"{key}.conv3", f"{key}.bn3")
            if block == 0:
                down = f"{key}.downsample"
                features = convolved(features, f"{down}.0", f"{down}.1", stride)
            features = (features + inner).clamp(min=0)
        expected.append(features)
    torch.testing.assert_close(loaded(tensors)(image), expected)


@pytest.mark.parametrize(("output_stride", "steps"), [(16, (1, 1, 1, 1, 2)), (8, (1, 1, 1, 2, 4))])
@torch.inference_mode()
def test_a_dilated_resnet_computes_the_same_at_more_places(output_stride, steps):
    tensors = random_tensors()
    image = torch.randn(1, 3, 64, 128).double()
    plain = loaded(tensors)(image)
    dilated = loaded(tensors, output_stride=output_stride)(image)
    for step, few, many in zip(steps, plain, dilated, strict=True):
        torch.testing.assert_close(many[..., ::step, ::step], few)


@torch.inference_mode()
def test_random_weights_keep_the_scale_of_a_signal():
    torch.manual_seed(1)
    deepest = ResNet(depth=50, width=16).eval()(torch.randn(1, 3, 64, 64))[-1]
    assert 1 < deepest.std() < 100


@pytest.mark.parametrize(
    "arguments", [{"depth": 34}, {"depth": 50, "output_stride": 4}], ids=["depth", "stride"]
)
def test_an_unknown_depth_or_stride_is_refused(arguments):
    with pytest.raises(NetworkError, match="50 or 101 and an output stride of 8, 16 or 32"):
        ResNet(**arguments)
