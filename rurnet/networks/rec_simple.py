"""Rec-Simple of Wang et al., ICCV 2019 (section 4.2): a U-Net that is fed its own mask.

After Mosinska et al., CVPR 2018, on the U-Net of the other networks here (Fig. 2a).
"""

import torch
from torch import Tensor, nn

from rurnet.blocks import CHANNELS, EncoderDecoder, Norm
from rurnet.network import Hidden, SegmentationNetwork


class RecSimple(SegmentationNetwork):
    """U-Net on the image and the mask of the step before; it remembers nothing else.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        steps: Steps it is trained with.
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
