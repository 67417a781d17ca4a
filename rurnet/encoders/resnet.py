"""ResNet of He et al., CVPR 2016, as an encoder that returns features at every resolution.

Keys are torchvision's (`conv1.weight`, `layer3.5.bn2.running_mean`), so that its ImageNet weights
can be loaded. As there, the 3x3 convolution of a block halves the resolution (v1.5).
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from rurnet.encoders.pretrained import Encoder
from rurnet.errors import NetworkError

DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Number of blocks in each of the four layers, by depth (ResNet-50, ResNet-101)."""

_EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut.

    Args:
        inputs: Input channels.
        width: Channels of the 3x3 convolution; the output has four times as many.
        stride: Stride of the 3x3 convolution.
        dilation: Dilation of the 3x3 convolution.
    """

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(
            width, width, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, features: Tensor) -> Tensor:
        """[B, inputs, h, w] to [B, 4 * width, h / stride, w / stride]."""
        shortcut = features if self.downsample is None else self.downsample(features)
        inner = self.relu(self.bn1(self.conv1(features)))
        inner = self.relu(self.bn2(self.conv2(inner)))
        result: Tensor = self.relu(self.bn3(self.conv3(inner)) + shortcut)
        return result


class ResNet(Encoder):
    """The convolutional part of a ResNet.

    Args:
        in_channels: Input channels.
        depth: 50 or 101.
        width: Channels of the first convolution; 64 with ImageNet weights.
        output_stride: 32, 16 or 8: how many times smaller the last features are than the image.
            Layers that would reduce them further are dilated instead (Chen et al., 2017).

    Attributes:
        channels: Channels of the five features.

    Raises:
        NetworkError: The depth or the stride is not one of these, or the width is less than 1.
    """

    first_convolution = "conv1"

    def __init__(
        self, in_channels: int = 3, *, depth: int, width: int = 64, output_stride: int = 32
    ) -> None:
        super().__init__()
        if depth not in DEPTHS or output_stride not in (8, 16, 32):
            raise NetworkError(
                f"a ResNet has a depth of {' or '.join(map(str, DEPTHS))} and an output stride of "
                f"8, 16 or 32, not {depth} and {output_stride}"
            )
        if width < 1:
            raise NetworkError(f"an encoder needs a width of 1 or more, not {width}")
        self.conv1 = nn.Conv2d(in_channels, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks = DEPTHS[depth]
        wide = width * _EXPANSION
        self.layer1 = _layer(width, width, blocks[0], 1, 1)
        self.layer2 = _layer(wide, width * 2, blocks[1], 2, 1)
        stride, dilation = (1, 2) if output_stride < 16 else (2, 1)
        self.layer3 = _layer(wide * 2, width * 4, blocks[2], stride, dilation)
        stride, dilation = (2, 1) if output_stride == 32 else (1, dilation * 2)
        self.layer4 = _layer(wide * 4, width * 8, blocks[3], stride, dilation)
        self.channels = (width, wide, wide * 2, wide * 4, wide * 8)
        self._initialise()

    def stem(self, image: Tensor) -> Tensor:
        """[B, C, H, W] to the features of the first convolution [B, width, H/2, W/2]."""
        return functional.relu(self.bn1(self.conv1(image)))

    def forward(self, image: Tensor) -> list[Tensor]:
        """[B, C, H, W] to features at 1/2, 1/4, 1/8, 1/16 and 1/32 (or `output_stride`)."""
        features = self.stem(image)
        pooled = functional.max_pool2d(features, 3, 2, padding=1)
        every = [features, self.layer1(pooled)]
        for layer in (self.layer2, self.layer3, self.layer4):
            every.append(layer(every[-1]))
        return every


def _layer(inputs: int, width: int, blocks: int, stride: int, dilation: int) -> nn.Sequential:
    """Returns the blocks of one layer, the first of which has the stride.

    In a dilated layer the first block keeps the dilation of the layer before, because it still
    reads that layer's features.
    """
    first = Bottleneck(inputs, width, stride, max(1, dilation // 2))
    others: Sequence[nn.Module] = [
        Bottleneck(width * _EXPANSION, width, 1, dilation) for _ in range(blocks - 1)
    ]
    return nn.Sequential(first, *others)
