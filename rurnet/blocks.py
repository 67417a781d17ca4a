"""Building blocks of the networks: convolution blocks and encoder-decoders.

Sizes follow Wang et al., ICCV 2019, section 3.1: the first block has 8 channels, each pooling
doubles the channels, the way up uses transposed convolutions, and every convolution is normalised.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from rurnet.errors import NetworkError

Norm = Literal["group", "batch"]

CHANNELS = (8, 16, 32, 64, 128)
"""Channels at levels 0 (full resolution) to 4 (one sixteenth)."""


def normalisation(norm: Norm, channels: int) -> nn.Module:
    """Returns batch norm, or group norm with the largest number of groups up to 8 that fits.

    Raises:
        NetworkError: `norm` is of another kind.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm != "group":
        raise NetworkError(f"norm must be group or batch, not {norm!r}")
    groups = min(8, channels)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


def conv_block(inputs: int, outputs: int, norm: Norm, *, final_relu: bool = True) -> nn.Sequential:
    """Two 3x3 convolutions, each normalised and rectified.

    Args:
        inputs: Input channels.
        outputs: Channels of the output and between the two convolutions.
        norm: Kind of normalisation.
        final_relu: Whether the second convolution is rectified too. If not, the output can be
            negative; a gate needs that to get below one half.

    Raises:
        NetworkError: `inputs` or `outputs` is less than 1.
    """
    if inputs < 1 or outputs < 1:
        raise NetworkError(
            f"a block needs 1 or more input and output channels, not {inputs}, {outputs}"
        )
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        normalisation(norm, outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        normalisation(norm, outputs),
    ]
    if final_relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class EncoderDecoder(nn.Module):
    """The part of a U-Net from one level down to the bottleneck and back up to that level.

    With one entry in `channels` it is a single convolution block: the bottleneck itself.
    The recursion over levels follows Fig. 3a of the paper: each level encodes its input, passes
    the pooled features to the part below, and decodes what comes back together with its encoding.

    Args:
        inputs: Input channels.
        channels: Channels of this level, the one below, and so on to the bottleneck.
        outputs: Output channels.
        norm: Kind of normalisation.
        final_relu: Whether the last block ends in a ReLU.
    """

    def __init__(
        self,
        inputs: int,
        channels: tuple[int, ...],
        outputs: int,
        norm: Norm,
        *,
        final_relu: bool = True,
    ) -> None:
        super().__init__()
        if len(channels) == 1:
            self.encode = conv_block(inputs, outputs, norm, final_relu=final_relu)
            self.level: Level | None = None
            self.below: EncoderDecoder | None = None
            return
        here, lower = channels[0], channels[1]
        self.below = EncoderDecoder(here, channels[1:], lower, norm)
        self.level = Level(inputs, here, lower, outputs, norm, final_relu=final_relu)

    def forward(self, features: Tensor) -> Tensor:
        """[B, inputs, h, w] to [B, outputs, h, w]; h and w are multiples of 2 ** (levels - 1)."""
        if self.level is None or self.below is None:
            encoded: Tensor = self.encode(features)
            return encoded
        skip, pooled = self.level.down(features)
        return self.level.up(skip, self.below(pooled))


class Up(nn.Module):
    """The way up to one level of a U-Net: transposed convolution, concatenation, block.

    Args:
        lower: Channels of the features from the level below.
        skip: Channels of the skip connection.
        channels: Channels that the transposed convolution returns.
        outputs: Output channels.
        norm: Kind of normalisation.
        final_relu: Whether the block ends in a ReLU.
    """

    def __init__(
        self,
        lower: int,
        skip: int,
        channels: int,
        outputs: int,
        norm: Norm,
        *,
        final_relu: bool = True,
    ) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(lower, channels, 2, stride=2)
        self.decode = conv_block(skip + channels, outputs, norm, final_relu=final_relu)

    def up(self, skip: Tensor, lower: Tensor) -> Tensor:
        """Skip [B, skip, h, w] and lower [B, lower, h/2, w/2] to [B, outputs, h, w]."""
        decoded: Tensor = self.decode(torch.cat([skip, self.upsample(lower)], dim=1))
        return decoded


class Level(Up):
    """One level of a U-Net: the block on the way down, the pooling, and the way back up.

    Args:
        inputs: Input channels.
        channels: Channels of this level.
        lower: Channels of the features from the level below.
        outputs: Output channels.
        norm: Kind of normalisation.
        final_relu: Whether the decoding block ends in a ReLU.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        lower: int,
        outputs: int,
        norm: Norm,
        *,
        final_relu: bool = True,
    ) -> None:
        super().__init__(lower, channels, channels, outputs, norm, final_relu=final_relu)
        self.encode = conv_block(inputs, channels, norm)
        self.pool = nn.MaxPool2d(2)

    def down(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """[B, inputs, h, w] to skip [B, channels, h, w] and pooled [B, channels, h/2, w/2]."""
        skip: Tensor = self.encode(features)
        return skip, self.pool(skip)


class Levels(nn.ModuleList):
    """Levels of a U-Net, from full resolution down."""

    def down(self, features: Tensor) -> tuple[list[Tensor], Tensor]:
        """[B, C, H, W] to the skips of all levels and the pooled features of the last one."""
        skips = []
        for level in self:
            assert isinstance(level, Level)
            skip, features = level.down(features)
            skips.append(skip)
        return skips, features

    def up(self, skips: Sequence[Tensor], features: Tensor) -> Tensor:
        """Skips and the features from below the last level to the features of the first level."""
        for level, skip in zip(reversed(self), reversed(skips), strict=True):
            assert isinstance(level, Up)
            features = level.up(skip, features)
        return features
