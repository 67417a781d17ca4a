"""U-Net and DRU on VGG-16 and ResNet-50: how they are wired, and how large they are."""

import pytest
import torch

from rurnet import create
from rurnet.blocks import conv_block
from rurnet.network import parameter_count


def test_dru_vgg16_has_the_papers_size():
    with torch.device("meta"):
        assert parameter_count(create("dru-vgg16")) == pytest.approx(41.38e6, rel=0.05)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("unet-vgg16", (8, 16, 32, 64, 64)), ("dru-vgg16", (8, 16, 32, 64, 64)),
        ("unet-resnet50", (3, 8, 32, 64, 128)), ("dru-resnet50", (5, 8, 32, 64, 128)),
    ],
)  # fmt: skip
def test_each_level_has_a_skip_of_its_encoders_features(name, channels):
    pyramid = create(name, width=8).eval().pyramid
    inputs = 5 if name.startswith("dru") else 3
    skips, deepest = pyramid.down(torch.zeros(1, inputs, 64, 96))
    sizes = [(1, wide, 64 >> level, 96 >> level) for level, wide in enumerate(channels)]
    assert [tuple(skip.shape) for skip in skips] == sizes
    assert deepest.shape == (1, 64, 2, 3)


@torch.inference_mode()
def test_a_step_is_the_unit_below_the_encoder_of_image_and_mask():
    torch.manual_seed(0)
    net = create("dru-vgg16", width=8).eval()
    image = torch.randn(1, 3, 64, 96)
    state = net.initial_state(image)
    for _ in range(2):
        skips, deepest = net.pyramid.down(torch.cat([image, state.mask], dim=1))
        features, remembered = net.unit(deepest, *state.hidden)
        logits, state = net.step(image, state)
        torch.testing.assert_close(logits, net.pyramid.up(skips, features))
        torch.testing.assert_close(state.hidden, (remembered,))


@torch.inference_mode()
def test_the_one_shot_network_has_a_block_in_the_units_place():
    torch.manual_seed(0)
    net = create("unet-resnet50", width=8).eval()
    image = torch.randn(1, 3, 64, 96)
    skips, deepest = net.pyramid.down(image)
    (logits,) = net(image)
    torch.testing.assert_close(logits, net.pyramid.up(skips, net.bottleneck(deepest)))
    assert parameter_count(net.bottleneck) == parameter_count(conv_block(64, 32, "group"))
