"""DeepLabv3+ of Chen et al., ECCV 2018: parallel dilated convolutions and a short decoder.

The encoder is ResNet-50 with regular convolutions. The paper's best results are with Xception and
separable convolutions.
"""

import torch
from torch import Tensor, nn

from rurnet.encoders.resnet import ResNet
from rurnet.layers import conv_norm_relu, resized
from rurnet.network import Hidden, SegmentationNetwork

RATES = (6, 12, 18)
"""Dilations at an output stride of 16 (section 4.1)."""


class AtrousSpatialPyramidPooling(nn.Module):
    """Combines a 1x1 convolution, three dilated convolutions and pooling over the image.

    Args:
        inputs: Input channels.
        channels: Channels of each of the five branches and of the output.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv_norm_relu(inputs, channels, 1),
                *(conv_norm_relu(inputs, channels, dilation=rate) for rate in RATES),
            ]
        )
        # Without batch norm: each channel has one value per image here, so the statistics of a
        # small training batch would be noise, and those of a batch of one are undefined.
        self.pooling = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, channels, 1), nn.ReLU(inplace=True)
        )
        self.project = conv_norm_relu(channels * (len(RATES) + 2), channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[B, inputs, h, w] to [B, channels, h, w]."""
        every = [branch(features) for branch in self.branches]
        every.append(resized(self.pooling(features), features))
        projected: Tensor = self.project(torch.cat(every, dim=1))
        return projected


class DeepLabV3Plus(SegmentationNetwork):
    """ResNet-50 at output stride 16, atrous spatial pyramid pooling and a decoder at 1/4.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        width: Channels of the encoder's first convolution; all other widths are proportional.
    """

    one_shot = True

    def __init__(self, in_channels: int = 3, classes: int = 2, *, width: int = 64) -> None:
        super().__init__(in_channels, classes, steps=1)
        channels, reduced = width * 4, max(1, width * 3 // 4)  # 256 and 48
        self.encoder = ResNet(in_channels, depth=50, width=width, output_stride=16)
        self.pyramid = AtrousSpatialPyramidPooling(self.encoder.channels[-1], channels)
        self.reduce = conv_norm_relu(self.encoder.channels[1], reduced, 1)
        self.decode = nn.Sequential(
            conv_norm_relu(channels + reduced, channels), conv_norm_relu(channels, channels)
        )
        self.classify = nn.Conv2d(channels, classes, 1)

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        _, low, _, _, high = self.encoder(image)
        low = self.reduce(low)
        features = torch.cat([resized(self.pyramid(high), low), low], dim=1)
        return resized(self.classify(self.decode(features)), image), hidden
