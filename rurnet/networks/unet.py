"""The one-shot U-Net: U-Net-B and U-Net-G of Wang et al., ICCV 2019 (section 4.2)."""

from torch import Tensor, nn

from rurnet.blocks import CHANNELS, EncoderDecoder, Norm
from rurnet.network import Hidden, SegmentationNetwork


class UNet(SegmentationNetwork):
    """U-Net with 8 to 128 channels and one step.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        norm: "group" (U-Net-G) or "batch" (U-Net-B).
        channels: Channels of each level.
    """

    one_shot = True

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 2,
        *,
        norm: Norm = "group",
        channels: tuple[int, ...] = CHANNELS,
    ) -> None:
        super().__init__(in_channels, classes, steps=1)
        self.multiple = 2 ** (len(channels) - 1)
        self.body = EncoderDecoder(in_channels, tuple(channels), channels[0], norm)
        self.classify = nn.Conv2d(channels[0], classes, 1)

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        return self.classify(self.body(image)), hidden
