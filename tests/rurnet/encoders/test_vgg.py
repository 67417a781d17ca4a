"""VGG-16: torchvision's layout, and the features of its blocks."""

from math import prod

import pytest
import torch
from torch.nn import functional

from rurnet.encoders.vgg import VGG16
from rurnet.errors import NetworkError
from rurnet.network import parameter_count

CONVOLUTIONS = {
    0: (3, 64), 2: (64, 64),
    5: (64, 128), 7: (128, 128),
    10: (128, 256), 12: (256, 256), 14: (256, 256),
    17: (256, 512), 19: (512, 512), 21: (512, 512),
    24: (512, 512), 26: (512, 512), 28: (512, 512),
}  # fmt: skip
"""Indexes of the convolutions in torchvision's `features`, with input and output channels."""

CLASSIFIER = {
    "classifier.0.weight": (4096, 512 * 7 * 7), "classifier.0.bias": (4096,),
    "classifier.3.weight": (4096, 4096), "classifier.3.bias": (4096,),
    "classifier.6.weight": (1000, 4096), "classifier.6.bias": (1000,),
}  # fmt: skip


def layout():
    """Keys and shapes of torchvision's vgg16, without its classifier."""
    shapes = {}
    for number, (inputs, outputs) in CONVOLUTIONS.items():
        shapes[f"features.{number}.weight"] = (outputs, inputs, 3, 3)
        shapes[f"features.{number}.bias"] = (outputs,)
    return shapes


def small():
    """Random tensors in torchvision's layout, with an eighth of the channels."""
    torch.manual_seed(3)
    tensors = {}
    for key, (outputs, *kernel) in layout().items():
        inputs = [kernel[0] if kernel[0] == 3 else kernel[0] // 8, 3, 3] if kernel else []
        tensors[key] = torch.randn(outputs // 8, *inputs) * 0.2
    return tensors


def test_the_layout_here_has_torchvisions_number_of_parameters():
    assert sum(map(prod, (layout() | CLASSIFIER).values())) == 138_357_544


def test_keys_shapes_and_their_order_are_torchvisions():
    with torch.device("meta"):
        state = VGG16().state_dict()
    assert [(key, tuple(value.shape)) for key, value in state.items()] == list(layout().items())


@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
def test_fewer_blocks_are_the_first_ones(blocks):
    with torch.device("meta"):
        state = VGG16(blocks=blocks).state_dict()
    convolutions = (2, 4, 7, 10)[blocks - 1]
    expected = list(layout().items())[: 2 * convolutions]
    assert [(key, tuple(value.shape)) for key, value in state.items()] == expected


@pytest.mark.parametrize(("blocks", "count"), [(5, 14_714_688), (3, 1_735_488)])
def test_parameters(blocks, count):
    with torch.device("meta"):
        assert parameter_count(VGG16(blocks=blocks)) == count


@pytest.mark.parametrize("blocks", [1, 3, 5])
@torch.inference_mode()
def test_one_feature_of_every_block_each_half_as_large(blocks):
    net = VGG16(width=4, blocks=blocks)
    features = net(torch.zeros(2, 3, 64, 96))
    channels = (4, 8, 16, 32, 32)[:blocks]
    assert net.channels == channels
    assert [tuple(f.shape) for f in features] == [
        (2, channel, 64 >> level, 96 >> level) for level, channel in enumerate(channels)
    ]


@torch.inference_mode()
def test_features_are_those_computed_by_hand():
    tensors = small()
    net = VGG16(width=8)
    net.load_state_dict(tensors)
    image = torch.randn(2, 3, 48, 32)
    every = net(image)
    features = image
    for number in CONVOLUTIONS:
        if number in (5, 10, 17, 24):
            torch.testing.assert_close(every.pop(0), features)
            features = functional.max_pool2d(features, 2)
        weight, bias = (tensors[f"features.{number}.{kind}"] for kind in ("weight", "bias"))
        features = functional.conv2d(features, weight, bias, padding=1).clamp(min=0)
    torch.testing.assert_close(every, [features])


@torch.inference_mode()
def test_random_weights_keep_the_scale_of_a_signal():
    torch.manual_seed(1)
    deepest = VGG16(width=16)(torch.randn(1, 3, 64, 64))[-1]
    assert 0.03 < deepest.std() < 3


@pytest.mark.parametrize("blocks", [0, 6])
def test_there_are_one_to_five_blocks(blocks):
    with pytest.raises(NetworkError, match="1 to 5 blocks"):
        VGG16(blocks=blocks)
