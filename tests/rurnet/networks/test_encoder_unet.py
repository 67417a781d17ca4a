"""U-Net and DRU on VGG-16 and ResNet-50: their connections and sizes."""

import pytest
import torch

from rurnet import create
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
@pytest.mark.parametrize("encoder", ["vgg16", "resnet50"])
def test_with_the_units_output_as_its_bottleneck_the_one_shot_network_is_the_same(encoder):
    torch.manual_seed(0)
    net = create(f"dru-{encoder}", width=8).eval()
    unet = create(f"unet-{encoder}", in_channels=5, width=8).eval()
    unet.pyramid.load_state_dict(net.pyramid.state_dict())
    outputs = []
    net.unit.register_forward_hook(lambda *given: outputs.append(given[-1][0]))
    unet.bottleneck.register_forward_hook(lambda *_: outputs[-1])
    image = torch.randn(1, 3, 64, 96)
    state = net.initial_state(image)
    for _ in range(2):
        image_and_mask = torch.cat([image, state.mask], dim=1)
        logits, state = net.step(image, state)
        torch.testing.assert_close(logits, unet(image_and_mask)[0])
