"""RefineNet of Lin et al., CVPR 2017: features of all resolutions, refined from coarse to fine.

It is a cascade of four blocks at 1/32, 1/16, 1/8 and 1/4 (Fig. 2c), without normalisation outside
the encoder (section 3.2). Four poolings are chained, as in the authors' code. This gives the 118 M
parameters that Wang et al., ICCV 2019, state.
"""

from torch import Tensor, nn
from torch.nn import functional

from rurnet.encoders.resnet import ResNet
from rurnet.layers import resized
from rurnet.network import Hidden, SegmentationNetwork

POOLINGS = 4
"""Number of chained poolings."""


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class ResidualConvUnit(nn.Module):
    """Two rectified 3x3 convolutions, added to the input (Fig. 3b).

    Args:
        channels: Input and output channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """[B, channels, h, w] to the same shape."""
        inner = self.first(functional.relu(features))
        result: Tensor = features + self.second(functional.relu(inner))
        return result


class ChainedResidualPooling(nn.Module):
    """Chain of max poolings and convolutions, whose outputs are summed (Fig. 3d).

    Each link pools the output of the previous link at the same size, so the last one has the
    largest receptive field.

    Args:
        channels: Input and output channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.links = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(5, stride=1, padding=2), _conv(channels, channels))
            for _ in range(POOLINGS)
        )

    def forward(self, features: Tensor) -> Tensor:
        """[B, channels, h, w] to the same shape."""
        total = link_output = functional.relu(features)
        for link in self.links:
            link_output = link(link_output)
            total = total + link_output
        return total


class Fusion(nn.Module):
    """Adds coarse features to fine ones (Fig. 3c).

    Args:
        channels: Channels of the fine features and of the output.
        coarser: Channels of the coarse features.
    """

    def __init__(self, channels: int, coarser: int) -> None:
        super().__init__()
        self.fine = _conv(channels, channels)
        self.coarse = _conv(coarser, channels)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """[B, channels, h, w] and [B, coarser, h', w'] to [B, channels, h, w]."""
        fine = self.fine(fine)
        return fine + resized(self.coarse(coarse), fine)


class RefineBlock(nn.Module):
    """Adapts the encoder's features at one resolution, adds coarser ones, pools and refines.

    Args:
        inputs: Channels of the encoder's features.
        channels: Channels of this block.
        coarser: Channels of the next coarser block; None in the coarsest block.
    """

    def __init__(self, inputs: int, channels: int, coarser: int | None) -> None:
        super().__init__()
        self.adapt = nn.Sequential(
            _conv(inputs, channels), *(ResidualConvUnit(channels) for _ in range(2))
        )
        self.fuse = None if coarser is None else Fusion(channels, coarser)
        self.pool = ChainedResidualPooling(channels)
        self.refine = nn.Sequential(*(ResidualConvUnit(channels) for _ in range(3)))

    def forward(self, encoded: Tensor, coarse: Tensor | None) -> Tensor:
        """[B, inputs, h, w] and [B, coarser, h', w'] to [B, channels, h, w]."""
        features: Tensor = self.adapt(encoded)
        if self.fuse is not None:
            features = self.fuse(features, coarse)
        refined: Tensor = self.refine(self.pool(features))
        return refined


class RefineNet(SegmentationNetwork):
    """Four-cascaded RefineNet on ResNet-101.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        width: Channels of the encoder's first convolution; all other widths are proportional.
    """

    one_shot = True

    def __init__(self, in_channels: int = 3, classes: int = 2, *, width: int = 64) -> None:
        super().__init__(in_channels, classes, steps=1)
        wide, narrow = width * 8, width * 4  # 512 and 256
        self.encoder = ResNet(in_channels, depth=101, width=width)
        quarter, eighth, sixteenth, deepest = self.encoder.channels[1:]
        self.blocks = nn.ModuleList(
            [
                RefineBlock(deepest, wide, None),
                RefineBlock(sixteenth, narrow, wide),
                RefineBlock(eighth, narrow, narrow),
                RefineBlock(quarter, narrow, narrow),
            ]
        )
        self.classify = _conv(narrow, classes)

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        features = None
        encoded = self.encoder(image)[1:]
        for block, skip in zip(self.blocks, reversed(encoded), strict=True):
            features = block(skip, features)
        return resized(self.classify(features), image), hidden
