"""Rec-Middle of Wang et al., ICCV 2019 (section 4.2): a recurrent unit as a U-Net's bottleneck.

It follows Poudel et al., MICCAI workshops 2016, but with the same image at every step.
"""

from itertools import pairwise

from torch import Tensor, nn

from rurnet.blocks import CHANNELS, Level, Levels, Norm
from rurnet.cells import ConvGRU
from rurnet.network import Hidden, SegmentationNetwork


class RecMiddle(SegmentationNetwork):
    """U-Net with a ConvGRU between encoder and decoder. No mask is fed back.

    The encoder runs once, in `initial_state`, because it depends on the image only. A step is the
    ConvGRU, the decoder and the classifier. The state holds the skips from level 0 down, the
    pooled features [B, channels[-2], H/16, W/16] and h. h starts at zero and has as many channels
    as the bottleneck that it replaces (128).

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        steps: Default number of steps.
        norm: Kind of normalisation.
        channels: Channels of each level, those of the bottleneck last.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 2,
        *,
        steps: int = 3,
        norm: Norm = "group",
        channels: tuple[int, ...] = CHANNELS,
    ) -> None:
        super().__init__(in_channels, classes, steps)
        self.multiple = 2 ** (len(channels) - 1)
        self.hidden_channels = channels[-1]
        levels = []
        width = in_channels
        for here, lower in pairwise(channels):
            levels.append(Level(width, here, lower, here, norm))
            width = here
        self.levels = Levels(levels)
        self.unit = ConvGRU(width, self.hidden_channels)
        self.classify = nn.Conv2d(channels[0], classes, 1)

    def _initial_hidden(self, image: Tensor, mask: Tensor) -> Hidden:
        skips, pooled = self.levels.down(image)
        batch, _, height, width = pooled.shape
        remembered = image.new_zeros((batch, self.hidden_channels, height, width))
        return *skips, pooled, remembered

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        *skips, pooled, remembered = hidden
        remembered = self.unit(pooled, remembered)
        return self.classify(self.levels.up(skips, remembered)), (*skips, pooled, remembered)
