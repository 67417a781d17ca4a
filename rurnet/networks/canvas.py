"""Recurrent segmentation on a canvas of logits: McIntosh et al., WACV 2018 (section 3, Fig. 4).

A ResNet runs once per image. Then three ConvLSTMs with 1x1 kernels add to a canvas, as many times
as the budget allows. A canvas that starts from an earlier mask needs fewer steps (section 4.3).
"""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from rurnet.cells import ConvLSTM
from rurnet.encoders.resnet import ResNet
from rurnet.layers import resized
from rurnet.network import Hidden, SegmentationNetwork

STRIDE = 16
"""Side in pixels of one cell of the canvas: the output stride of the features."""

LEAST = 0.02
"""Smallest probability in a canvas that starts from a mask, relative to the likeliest class.

A step changes a logit by less than 1, and the difference of two logits by less than 2. In the paper
a wrong mask is corrected in two steps (section 4.2), so logits must not start more than 4 apart:
-log(0.02) is 3.9.
"""


class Canvas(SegmentationNetwork):
    """ResNet-101 and three ConvLSTMs that add to a canvas of logits at one sixteenth.

    A step runs the ConvLSTMs on features and canvas, concatenated, and adds their output, from -1
    to 1, to the canvas. The logits are the canvas, bilinearly upsampled.

    The paper does not state the widths of the ConvLSTMs; they follow from its Table 3. With 21
    classes and 33x33 features (513 pixels) each step costs (94.3 - 61.1) / 5 = 6.64 GFLOPs. Hidden
    widths of 512 and 256 take 4 * ((2048 + 21 + 512) * 512 + (512 + 256) * 256 + (256 + 21) * 21)
    * 33^2 = 6.64e9 multiply-adds. The 54.4 GFLOPs of the features also count multiply-adds.

    In the paper's loss only the last of six steps counts, so `alpha` is 0.

    `State.hidden` holds the features [B, 32 * width, H/16, W/16], the canvas [B, classes, H/16,
    W/16], and h and c of each ConvLSTM, which start at zero. H/16 and W/16 are rounded up. Only the
    canvas is fed back, not `State.mask`. A mask given to `initial_state` becomes the first canvas:
    log-probabilities with a mean of zero over the classes, bounded by `LEAST`. A uniform mask gives
    a canvas of zeros, as in the paper.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        steps: Default number of steps.
        width: Channels of the ResNet's first convolution; all other widths are proportional.

    Attributes:
        encoder: Takes pretrained weights.
    """

    alpha: ClassVar[float] = 0.0

    def __init__(
        self, in_channels: int = 3, classes: int = 2, *, steps: int = 6, width: int = 64
    ) -> None:
        super().__init__(in_channels, classes, steps)
        self.encoder = ResNet(in_channels, depth=101, width=width, output_stride=STRIDE)
        self.widths = (8 * width, 4 * width, classes)
        self.first = ConvLSTM(self.encoder.channels[-1] + classes, self.widths[0])
        self.second = ConvLSTM(self.widths[0], self.widths[1])
        self.third = ConvLSTM(self.widths[1], self.widths[2])

    def _initial_hidden(self, image: Tensor, mask: Tensor) -> Hidden:
        features: Tensor = self.encoder(image)[-1]
        batch, _, height, width = features.shape
        remembered = [
            image.new_zeros((batch, channels, height, width))
            for channels in self.widths
            for _ in "hc"
        ]
        return features, _seed(mask, height, width), *remembered

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        features, canvas, h1, c1, h2, c2, h3, c3 = hidden
        h1, c1 = self.first(torch.cat([features, canvas], dim=1), (h1, c1))
        h2, c2 = self.second(h1, (h2, c2))
        h3, c3 = self.third(h2, (h3, c3))
        canvas = canvas + h3
        return resized(canvas, image), (features, canvas, h1, c1, h2, c2, h3, c3)


def _seed(mask: Tensor, height: int, width: int) -> Tensor:
    """Turns probabilities [B, classes, H, W] into a canvas [B, classes, height, width].

    Each cell is the average of the pixels over which `resized` spreads it.
    """
    # A uniform mask must give exactly zero: means of equal numbers can differ in the last digit.
    uniform = 1 / mask.shape[1]
    # Not adaptive pooling, which torch exports to ONNX wrongly if sizes are free.
    whole = functional.interpolate(
        mask - uniform,
        size=(height * STRIDE, width * STRIDE),
        mode="bilinear",
        align_corners=False,
    )
    cells = functional.avg_pool2d(whole, STRIDE) + uniform
    # Relative to the likeliest class, so that the argmax stays with any number of classes.
    logits = (cells / cells.amax(dim=1, keepdim=True)).clamp(min=LEAST).log()
    return logits - logits.mean(dim=1, keepdim=True)
