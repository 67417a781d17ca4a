"""The pieces every network is built of: convolution blocks and encoder-decoders.

Sizes follow Wang et al., ICCV 2019, section 3.1: the first block has 8 channels, each pooling
doubles them, the way up uses transposed convolutions, every convolution is normalised.
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
    """Group norm in 8 groups, or the most below that channels divide by; or batch norm.

    Raises:
        NetworkError: Another kind.
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
        inputs: Channels that come in.
        outputs: Channels that go out, and between the two convolutions.
        norm: Kind of normalisation.
        final_relu: Whether the second convolution is rectified too; where it is not, the
            block's output keeps its sign (what a gate needs to reach below one half).

    Raises:
        NetworkError: No channels come in, or go out.
    """
    if inputs < 1 or outputs < 1:
        raise NetworkError(f"a block needs channels, not {inputs} that come in, {outputs} out")
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
    The recursion over levels mirrors the figure of the paper (Fig. 3a): each level encodes,
    hands what it pooled to the part below, and decodes the answer beside its own encoding.

    Args:
        inputs: Channels that come in.
        channels: Channels of this level, the one below, and so on to the bottleneck.
        outputs: Channels that go out.
        norm: Kind of normalisation.
        final_relu: Whether the last block is rectified at its end.
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
        """[B, inputs, h, w] to [B, outputs, h, w]; h and w divide by 2 ** (levels - 1)."""
        if self.level is None or self.below is None:
            encoded: Tensor = self.encode(features)
            return encoded
        skip, pooled = self.level.down(features)
        return self.level.up(skip, self.below(pooled))


class Up(nn.Module):
    """The way up to one level of a U-Net: transposed convolution, and a block beside the skip.

    Args:
        lower: Channels of what comes from below.
        skip: Channels of what was encoded at this level.
        channels: Channels that the transposed convolution makes.
        outputs: Channels that go out.
        norm: Kind of normalisation.
        final_relu: Whether the block is rectified at its end.
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
        inputs: Channels that come in.
        channels: Channels of this level.
        lower: Channels of what comes back from below.
        outputs: Channels that go out.
        norm: Kind of normalisation.
        final_relu: Whether the decoding block is rectified at its end.
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
        """[B, C, H, W] to the skips of every level and what the last one pooled."""
        skips = []
        for level in self:
            assert isinstance(level, Level)
            skip, features = level.down(features)
            skips.append(skip)
        return skips, features

    def up(self, skips: Sequence[Tensor], features: Tensor) -> Tensor:
        """From what comes from below the last level to the first one's features."""
        for level, skip in zip(reversed(self), reversed(skips), strict=True):
            assert isinstance(level, Up)
            features = level.up(skip, features)
        return features
