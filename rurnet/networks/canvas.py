"""Recurrent segmentation on a canvas of logits: McIntosh et al., WACV 2018 (section 3, Fig. 4).

A ResNet sees the image once; three ConvLSTMs of 1x1 kernels then add to a canvas as often as there
is time for, and a canvas that starts from an earlier mask needs fewer steps (section 4.3).
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
"""Pixels along a side of one cell of the canvas: the output stride of the features."""

LEAST = 0.02
"""Least probability that a seeded canvas keeps, as a part of the likeliest class's.

A step moves a logit by less than 1, two logits apart by less than 2. The paper sees a wrong seed
corrected in two steps (section 4.2), so no two logits may start further apart than 4, and
-log(0.02) is 3.9.
"""


class Canvas(SegmentationNetwork):
    """ResNet-101 and three ConvLSTMs that add to a canvas of logits at one sixteenth.

    A step concatenates features and canvas and adds the last ConvLSTM's output, in -1..1, to the
    canvas. Its logits are the canvas, bilinearly upsampled.

    The paper does not give the widths of the ConvLSTMs. Its Table 3 does: with 21 classes and
    33x33 features (513 pixels) each step costs (94.3 - 61.1) / 5 = 6.64 GFLOPs, and hidden widths
    of 512 and 256 take 4 * ((2048 + 21 + 512) * 512 + (512 + 256) * 256 + (256 + 21) * 21) * 33^2
    = 6.64e9 multiply-adds; the features' 54.4 GFLOPs count multiply-adds as well.

    The paper's loss counts only the last of six steps: `alpha` is 0.

    `State.hidden` holds the features [B, 32 * width, H/16, W/16], the canvas [B, classes, H/16,
    W/16], and h and c of each ConvLSTM, which start at zero; H/16 and W/16 are rounded up. The
    canvas alone is fed back, never `State.mask`: that seeds the canvas in `initial_state`, as
    log-probabilities whose mean over the classes is zero (`LEAST` bounds them), so that a uniform
    mask gives the paper's canvas of zeros.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        steps: Steps it is trained with.
        width: Channels of the ResNet's first convolution; all others grow with it.

    Attributes:
        encoder: What pretrained weights are for.
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
    """The canvas [B, classes, height, width] of probabilities [B, classes, H, W].

    Cells are averaged over the pixels that `resized` spreads them over.
    """
    # What is exactly zero stays so; of equal numbers the means may differ in the last digit.
    uniform = 1 / mask.shape[1]
    # Adaptive pooling would do, but where sizes are free torch exports it to ONNX wrongly.
    whole = functional.interpolate(
        mask - uniform,
        size=(height * STRIDE, width * STRIDE),
        mode="bilinear",
        align_corners=False,
    )
    cells = functional.avg_pool2d(whole, STRIDE) + uniform
    # Against the likeliest, so that the argmax survives however many classes there are.
    logits = (cells / cells.amax(dim=1, keepdim=True)).clamp(min=LEAST).log()
    return logits - logits.mean(dim=1, keepdim=True)
