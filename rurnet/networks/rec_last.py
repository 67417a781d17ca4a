"""Rec-Last of Wang et al., ICCV 2019 (section 4.2): a recurrent unit after a U-Net.

It follows Valipour et al., WACV 2017, but with the same image at every step (Fig. 2b).
"""

from torch import Tensor, nn

from rurnet.blocks import CHANNELS, EncoderDecoder, Norm
from rurnet.cells import ConvGRU
from rurnet.network import Hidden, SegmentationNetwork


class RecLast(SegmentationNetwork):
    """U-Net followed by a ConvGRU at full resolution. No mask is fed back.

    The U-Net runs once, in `initial_state`, because it depends on the image only. A step is the
    ConvGRU and the classifier. The state holds the features [B, channels[0], H, W] and h, which
    starts at zero.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        steps: Default number of steps.
        norm: Kind of normalisation.
        channels: Channels of each level.
        hidden_channels: Channels of h; None for those of level 0.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 2,
        *,
        steps: int = 3,
        norm: Norm = "group",
        channels: tuple[int, ...] = CHANNELS,
        hidden_channels: int | None = None,
    ) -> None:
        super().__init__(in_channels, classes, steps)
        self.multiple = 2 ** (len(channels) - 1)
        self.hidden_channels = channels[0] if hidden_channels is None else hidden_channels
        self.body = EncoderDecoder(in_channels, tuple(channels), channels[0], norm)
        self.unit = ConvGRU(channels[0], self.hidden_channels)
        self.classify = nn.Conv2d(self.hidden_channels, classes, 1)

    def _initial_hidden(self, image: Tensor, mask: Tensor) -> Hidden:
        batch, _, height, width = image.shape
        remembered = image.new_zeros((batch, self.hidden_channels, height, width))
        return self.body(image), remembered

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        features, remembered = hidden
        remembered = self.unit(features, remembered)
        return self.classify(remembered), (features, remembered)
