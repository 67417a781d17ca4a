"""A network's step, written so that OpenVINO computes the same function faster.

Group norm becomes means over channels. For bf16, which matrix instructions compute, the first level
of a U-Net has pairs of neighbouring columns as channels: 16 channels at half the width in place of
8. With 8, half of each vector is empty, in every kernel.
"""

import torch
from torch import Tensor, nn

from rurnet.blocks import Level
from rurnet.network import SegmentationNetwork
from rurnet.networks.recurrent import RecurrentUNet
from rurnet.networks.unet import UNet


def rearrange(network: SegmentationNetwork, *, paired: bool) -> None:
    """Replaces modules of a network by others that compute the same.

    Args:
        network: It is changed.
        paired: Whether its first level is to have pairs of columns as channels, and no level a
            concatenation, where the network is a U-Net with group norm.
    """
    if paired:
        _pair(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.GroupNorm):
            network.set_submodule(name, ChannelMeans(module))


def _pair(network: SegmentationNetwork) -> None:
    # Only these take all of their levels' steps within a step.
    if not isinstance(network, RecurrentUNet | UNet):
        return
    levels = [(name, one) for name, one in network.named_modules() if isinstance(one, Level)]
    first = next(iter(levels), ("", None))[0]
    if first not in ("levels.0", "body.level"):
        return
    if any(isinstance(one, nn.BatchNorm2d) for one in network.modules()):
        return
    for name, level in levels:
        network.set_submodule(name, _Paired(level) if name == first else _Summed(level))
    network.set_submodule("classify", _PairedClassifier(network.classify))


class ChannelMeans(nn.Module):
    """Group norm out of means over each channel.

    OpenVINO computes torch's own in another memory layout than convolutions, and converts to and
    fro: a quarter of its time.

    Args:
        norm: The group norm.
        copies: How many times its channels follow each other in the features.
    """

    def __init__(self, norm: nn.GroupNorm, copies: int = 1) -> None:
        super().__init__()
        each = norm.num_channels // norm.num_groups
        share = torch.full((each, each), 1 / (each * copies))
        mean = torch.kron(torch.eye(norm.num_groups), share).repeat(copies, copies)
        self.mean = nn.Buffer(mean[:, :, None, None])
        self.weight = nn.Buffer(norm.weight.detach().repeat(copies)[:, None, None])
        self.bias = nn.Buffer(norm.bias.detach().repeat(copies)[:, None, None])
        self.eps = norm.eps

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, H, W] to the same."""
        mean = self._of_group(features)
        variance = self._of_group((features - mean) ** 2)
        # Not `weight / sqrt(...)`: OpenVINO 2026.4.1 takes a constant over a mean for its inverse
        # (findings/openvino-constant-over-mean.sh).
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return features * scale + (self.bias - mean * scale)

    def _of_group(self, features: Tensor) -> Tensor:
        """The mean over each channel's group [B, C, 1, 1]."""
        return nn.functional.conv2d(features.mean((2, 3), keepdim=True), self.mean)


class _Summed(Level):
    """A level that adds two convolutions in place of one of a concatenation, which is slow."""

    def __init__(self, level: Level) -> None:
        nn.Module.__init__(self)  # All of `Level`'s modules are taken over.
        self.encode, self.pool, self.upsample = level.encode, level.pool, level.upsample
        first, *rest = level.decode
        assert isinstance(first, nn.Conv2d)
        skip = first.in_channels - level.upsample.out_channels
        self.of_skip = _convolution(first.weight[:, :skip])
        self.of_lower = _convolution(first.weight[:, skip:])
        self.decode = nn.Sequential(*rest)

    def up(self, skip: Tensor, lower: Tensor) -> Tensor:
        """See `Up`."""
        decoded: Tensor = self.decode(self.of_skip(skip) + self.of_lower(self.upsample(lower)))
        return decoded


class _Paired(_Summed):
    """The first level: features [B, 2 C, H, W / 2], the even columns' C channels before the odd's.

    It takes images [B, C, H, W], and gives and takes those of the level below as they were.
    """

    def __init__(self, level: Level) -> None:
        super().__init__(level)
        first, *rest = level.encode
        assert isinstance(first, nn.Conv2d)
        weight = first.weight.detach()
        # Both columns of a pair see four: theirs, and one on each side.
        both = torch.cat([nn.functional.pad(weight, (at, 1 - at)) for at in (0, 1)])
        self.channels = first.out_channels
        self.encode = nn.Sequential(_convolution(both, stride=(1, 2)), *map(_of_pairs, rest))
        self.pool = nn.MaxPool2d((2, 1))
        up = level.upsample
        weight = torch.cat([up.weight.detach()[..., at : at + 1] for at in range(2)], dim=1)
        self.upsample = nn.ConvTranspose2d(up.in_channels, 2 * up.out_channels, (2, 1), (2, 1))
        self.upsample.weight.data = weight
        assert up.bias is not None
        self.upsample.bias = nn.Parameter(up.bias.detach().repeat(2))
        self.of_skip = _convolution_of_pairs(self.of_skip)
        self.of_lower = _convolution_of_pairs(self.of_lower)
        self.decode = nn.Sequential(*map(_of_pairs, self.decode))

    def down(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """See `Level`."""
        skip: Tensor = self.encode(features)
        even, odd = self.pool(skip).split(self.channels, dim=1)
        return skip, torch.maximum(even, odd)


class _PairedClassifier(nn.Module):
    """Logits [B, K, H, W] from pairs of columns."""

    def __init__(self, classify: nn.Conv2d) -> None:
        super().__init__()
        weight = classify.weight.detach()
        none = torch.zeros_like(weight)
        # Two rows for each class: of the even columns' channels, and of the odd's.
        rows = [torch.cat(pair, dim=1) for pair in ((weight, none), (none, weight))]
        weight = torch.stack(rows, dim=1).flatten(0, 1)
        assert classify.bias is not None
        self.of_pairs = _convolution(weight, bias=classify.bias.detach().repeat_interleave(2))

    def forward(self, features: Tensor) -> Tensor:
        """[B, 2 C, H, W / 2] to [B, K, H, W]."""
        logits: Tensor = self.of_pairs(features)
        batch, channels, height, width = logits.shape
        columns = logits.view(batch, channels // 2, 2, height, width).permute(0, 1, 3, 4, 2)
        return columns.reshape(batch, channels // 2, height, 2 * width)


def _of_pairs(module: nn.Module) -> nn.Module:
    """What a module of a convolution block is for pairs of columns."""
    if isinstance(module, nn.GroupNorm):
        return ChannelMeans(module, copies=2)
    return _convolution_of_pairs(module) if isinstance(module, nn.Conv2d) else module


def _convolution_of_pairs(convolution: nn.Conv2d) -> nn.Conv2d:
    weight = convolution.weight.detach()
    outputs, inputs = weight.shape[:2]
    paired = weight.new_zeros(2, outputs, 2, inputs, 3, 3)
    for column in range(2):
        for at in range(3):
            pair, seen = divmod(column + at - 1, 2)
            paired[column, :, seen, :, :, pair + 1] = weight[..., at]
    return _convolution(paired.reshape(2 * outputs, 2 * inputs, 3, 3))


def _convolution(
    weight: Tensor, *, stride: tuple[int, int] = (1, 1), bias: Tensor | None = None
) -> nn.Conv2d:
    """A convolution of given weights that pads by one pixel, or by none where its height is 1."""
    outputs, inputs, height, width = weight.shape
    made = nn.Conv2d(inputs, outputs, (height, width), stride, height // 2, bias=bias is not None)
    made.weight.data = weight.detach().contiguous()
    if bias is not None:
        made.bias = nn.Parameter(bias)
    return made
