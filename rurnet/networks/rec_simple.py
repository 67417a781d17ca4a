"""Rec-Simple of Wang et al., ICCV 2019 (section 4.2): a U-Net whose mask is fed back.

It follows Mosinska et al., CVPR 2018, but with the same U-Net as the other networks (Fig. 2a).
"""

import torch
from torch import Tensor, nn

from rurnet.blocks import CHANNELS, EncoderDecoder, Norm
from rurnet.network import Hidden, SegmentationNetwork


class RecSimple(SegmentationNetwork):
    """U-Net on the image and the mask of the previous step, without other memory.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        steps: Default number of steps.
        norm: Kind of normalisation.
        channels: Channels of each level.
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
        self.body = EncoderDecoder(in_channels + classes, tuple(channels), channels[0], norm)
        self.classify = nn.Conv2d(channels[0], classes, 1)

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        return self.classify(self.body(torch.cat([image, mask], dim=1))), hidden
