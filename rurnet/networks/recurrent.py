"""The recurrent U-Net of Wang et al., ICCV 2019: DRU and SRU at any level.

Equation numbers in this file refer to the paper.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from rurnet.blocks import CHANNELS, EncoderDecoder, Level, Levels, Norm, conv_block
from rurnet.errors import NetworkError
from rurnet.network import Hidden, SegmentationNetwork

Unit = Literal["dru", "sru"]

HIDDEN_CHANNELS = 32
"""Largest default number of hidden channels; with more, DRU(4) would exceed 0.36 M parameters."""


class RecurrentUnit(nn.Module):
    """Dual-gated (equations 1-5) or single-gated (equation 6) recurrent unit.

    f_z, f_r and f_h are encoder-decoders with the shape of the part of the U-Net that the unit
    replaces. f_s is one convolution block.

    Args:
        inputs: Channels of e, the encoder's activations at the unit's level.
        channels: Channels of the U-Net's levels from this one down.
        hidden: Channels of the hidden tensor h and of the output d.
        unit: "dru" with the reset gate r, "sru" without it.
        norm: Kind of normalisation.
        gate_relu: Whether f_z, f_r and f_h end in a ReLU like all other blocks, as in the authors'
            code. This keeps gates in [0.5, 1) and h in [0, 1).

    Raises:
        NetworkError: `unit` is not one of these.
    """

    def __init__(
        self,
        inputs: int,
        channels: tuple[int, ...],
        hidden: int,
        unit: Unit,
        norm: Norm,
        *,
        gate_relu: bool,
    ) -> None:
        super().__init__()
        if unit not in ("dru", "sru"):
            raise NetworkError(f"unit must be dru or sru, not {unit!r}")

        def branch(outputs: int) -> EncoderDecoder:
            return EncoderDecoder(inputs, channels, outputs, norm, final_relu=gate_relu)

        self.update = branch(hidden)
        self.reset = branch(inputs) if unit == "dru" else None
        self.candidate = branch(hidden)
        self.output = conv_block(hidden, hidden, norm)

    def forward(self, encoded: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Returns d and h_t, both [B, hidden, h, w], from e [B, inputs, h, w] and h_{t-1}."""
        z = torch.sigmoid(self.update(encoded))  # (1)
        if self.reset is None:
            candidate = torch.tanh(self.candidate(encoded))  # (6)
        else:
            r = torch.sigmoid(self.reset(encoded))  # (3)
            candidate = torch.tanh(self.candidate(r * encoded))  # (2)
        hidden = z * hidden + (1 - z) * candidate  # (4)
        return self.output(hidden), hidden  # (5)


class RecurrentUNet(SegmentationNetwork):
    """U-Net with a recurrent unit in place of its levels from `level` down.

    The input of a step is the image and the mask of the previous step, concatenated. The mask is
    the softmax of the logits. s_0 is uniform and h_0 is zero.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        unit: "dru" or "sru".
        level: From 0 (the unit replaces the whole U-Net) to 4 (it replaces the bottleneck).
        steps: Default number of steps, N in the paper.
        norm: Kind of normalisation.
        channels: Channels of each level.
        hidden_channels: Channels of the hidden tensor; None for those of the level, at most 32.
        gate_relu: See `RecurrentUnit`.
        mask_fed_back: Whether the mask of the previous step is part of the input. Section 4.3
            leaves it out for comparison; then only the hidden tensor changes between steps.

    Raises:
        NetworkError: The level or the unit does not exist, or `hidden_channels` is less than 1.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 2,
        *,
        unit: Unit = "dru",
        level: int = 4,
        steps: int = 3,
        norm: Norm = "group",
        channels: tuple[int, ...] = CHANNELS,
        hidden_channels: int | None = None,
        gate_relu: bool = True,
        mask_fed_back: bool = True,
    ) -> None:
        super().__init__(in_channels, classes, steps)
        channels = tuple(channels)
        if not 0 <= level < len(channels):
            raise NetworkError(
                f"level {level}, but channels {','.join(map(str, channels))} have the levels 0 to "
                f"{len(channels) - 1}; give a number of channels for each level, or another level"
            )
        self.multiple = 2 ** (len(channels) - 1)
        self.level = level
        self.mask_fed_back = mask_fed_back
        if hidden_channels is None:
            hidden_channels = min(channels[level], HIDDEN_CHANNELS)
        if hidden_channels < 1:
            raise NetworkError(f"hidden_channels must be at least 1, not {hidden_channels}")
        self.hidden_channels = hidden_channels
        width = in_channels + classes * mask_fed_back
        levels = []
        for index in range(level):
            here = channels[index]
            lower = channels[index + 1] if index + 1 < level else self.hidden_channels
            levels.append(Level(width, here, lower, here, norm))
            width = here
        self.levels = Levels(levels)
        self.unit = RecurrentUnit(
            width, channels[level:], self.hidden_channels, unit, norm, gate_relu=gate_relu
        )
        outputs = channels[0] if level else self.hidden_channels
        self.classify = nn.Conv2d(outputs, classes, 1)

    def _initial_hidden(self, image: Tensor, mask: Tensor) -> Hidden:
        height, width = (size // 2**self.level for size in image.shape[-2:])
        return (image.new_zeros((image.shape[0], self.hidden_channels, height, width)),)

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        features = torch.cat([image, mask], dim=1) if self.mask_fed_back else image
        skips, features = self.levels.down(features)
        features, remembered = self.unit(features, *hidden)
        return self.classify(self.levels.up(skips, features)), (remembered,)
