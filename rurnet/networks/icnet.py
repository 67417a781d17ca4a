"""ICNet of Zhao et al., ECCV 2018: few layers at full resolution, many at a quarter of it.

The auxiliary losses at 1/16 and 1/8 (cascade label guidance, section 3.3) are left out: they matter
in training only, and every network here has one output per step.
"""

from torch import Tensor, nn
from torch.nn import functional

from rurnet.encoders.resnet import ResNet
from rurnet.layers import conv_norm_relu, resized
from rurnet.network import Hidden, SegmentationNetwork

BINS = (1, 2, 3, 6)
"""Numbers of rows and columns into which pyramid pooling divides the features."""


def halved(features: Tensor) -> Tensor:
    """Resizes [B, C, h, w] bilinearly to half, rounded up; for even h and w, 2x2 means."""
    size = [(side + 1) // 2 for side in features.shape[-2:]]
    return functional.interpolate(features, size=size, mode="bilinear", align_corners=False)


def pyramid_pooled(features: Tensor) -> Tensor:
    """Adds to [B, C, h, w] its means over 1x1, 2x2, 3x3 and 6x6 parts, resized to [h, w]."""
    total = features
    for bins in BINS:
        total = total + resized(functional.adaptive_avg_pool2d(features, bins), features)
    return total


class CascadeFeatureFusion(nn.Module):
    """Resizes coarse features to the size of fine ones and adds both (Fig. 3).

    Args:
        coarse: Channels of the coarse features.
        fine: Channels of the fine features.
        channels: Output channels.
    """

    def __init__(self, coarse: int, fine: int, channels: int) -> None:
        super().__init__()
        self.coarse = nn.Sequential(
            nn.Conv2d(coarse, channels, 3, padding=2, dilation=2, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.fine = nn.Sequential(
            nn.Conv2d(fine, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """[B, coarse, h', w'] and [B, fine, h, w] to [B, channels, h, w]."""
        return functional.relu(self.coarse(resized(coarse, fine)) + self.fine(fine))


class ICNet(SegmentationNetwork):
    """Branches at full, half and quarter resolution, joined from coarse to fine.

    The two smaller branches share one dilated ResNet-50. It runs on the image at half resolution,
    and its features are halved again after the first block of the second layer (`conv3_1` in the
    authors' code).

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        width: Channels of the encoder's first convolution; all other widths are proportional. 32 is
            half of ResNet-50's, like the authors' pruned network; 64 fits ImageNet weights.
    """

    one_shot = True

    def __init__(self, in_channels: int = 3, classes: int = 2, *, width: int = 32) -> None:
        super().__init__(in_channels, classes, steps=1)
        self.encoder = ResNet(in_channels, depth=50, width=width, output_stride=8)
        fused = width * 4  # 128
        self.full = nn.Sequential(
            conv_norm_relu(in_channels, width, stride=2),
            conv_norm_relu(width, width, stride=2),
            conv_norm_relu(width, width * 2, stride=2),
        )
        _, _, eighth, _, deepest = self.encoder.channels
        self.reduce = conv_norm_relu(deepest, width * 8, 1)
        self.fuse_half = CascadeFeatureFusion(width * 8, eighth, fused)
        self.fuse_full = CascadeFeatureFusion(fused, width * 2, fused)
        self.classify = nn.Conv2d(fused, classes, 1)

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        half = self._half_branch(halved(image))
        quarter = self._quarter_branch(halved(half))
        fused = self.fuse_full(self.fuse_half(quarter, half), self.full(image))
        fused = functional.interpolate(fused, scale_factor=2, mode="bilinear", align_corners=False)
        return resized(self.classify(fused), image), hidden

    def _half_branch(self, half_image: Tensor) -> Tensor:
        """Returns features at 1/8 of the halved image."""
        encoder = self.encoder
        features = functional.max_pool2d(encoder.stem(half_image), 3, 2, padding=1)
        result: Tensor = encoder.layer2[0](encoder.layer1(features))
        return result

    def _quarter_branch(self, features: Tensor) -> Tensor:
        """Halved features of the half branch to features of the same size."""
        encoder = self.encoder
        deepest = encoder.layer4(encoder.layer3(encoder.layer2[1:](features)))
        reduced: Tensor = self.reduce(pyramid_pooled(deepest))
        return reduced
