"""ReSeg of Visin et al., CVPR Workshops 2016: ReNet layers on the first layers of VGG-16."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from rurnet.encoders.vgg import VGG16
from rurnet.layers import resized
from rurnet.network import Hidden, SegmentationNetwork
from rurnet.renet import ReNet


class ContrastNormalisation(nn.Module):
    """Local contrast normalisation (Jarrett et al., ICCV 2009, section 2.1), band by band.

    Subtracts from each pixel the mean of a Gaussian 9x9 window around it. Divides the result by
    the standard deviation in the window, or by the mean of these deviations over the image if that
    is larger. Scaling the brightness or adding a constant then makes no difference.

    In the paper the window spans all feature maps. Here each band has its own, because bands can
    come from different sensors. The paper does not give the width of the Gaussian (here 2 pixels)
    or the treatment of borders (here the border is repeated).

    Args:
        bands: Input and output channels.
    """

    radius = 4
    deviation = 2.0
    least = 1e-4
    """Smallest divisor. Images are normalised to deviations near 1, so this keeps a band that is
    constant up to rounding near zero."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        offsets = torch.arange(-self.radius, self.radius + 1)
        profile = torch.exp(-(offsets**2) / (2 * self.deviation**2))
        window = torch.outer(profile, profile)
        window = (window / window.sum()).expand(bands, 1, -1, -1).clone()
        self.window: Tensor
        self.register_buffer("window", window, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """[B, bands, H, W] to the same shape."""
        centred = image - self._mean(image)
        deviation = self._mean(centred**2).clamp(min=self.least**2).sqrt()
        return centred / torch.maximum(deviation, deviation.mean(dim=(2, 3), keepdim=True))

    def _mean(self, image: Tensor) -> Tensor:
        padded = functional.pad(image, (self.radius,) * 4, mode="replicate")
        return functional.conv2d(padded, self.window, groups=len(self.window))


class ReSeg(SegmentationNetwork):
    """VGG-16 up to its seventh convolution, two ReNet layers, two transposed convolutions.

    The sizes are those of Table 4, rows "ReSeg" and "ReSeg + LCN": patches of 2x2 and 1x1, and
    half as many channels in a transposed convolution (2x2, stride 2) as there are units.

    The features are at 1/4 and the first ReNet layer halves them, so two transposed convolutions
    end at 1/2. The paper does not say how full resolution is reached; here the logits are
    bilinearly upsampled. (The authors' published script for CamVid has 1x1 patches in both layers.)

    In the paper VGG-16 keeps its ImageNet weights; here they are trained further.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        width: Channels of VGG-16's first convolution.
        units: Units of each GRU.
        vgg: Whether the network has VGG-16 ("no VGG" in Table 1). Without it the first ReNet layer
            reads the image, and one transposed convolution restores full size from 1/2.
        contrast_normalisation: Whether the local contrast of the image is normalised first.

    Attributes:
        encoder: Takes pretrained weights; present only with `vgg`.
    """

    one_shot = True
    multiple = 8

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 2,
        *,
        width: int = 64,
        units: int = 100,
        vgg: bool = True,
        contrast_normalisation: bool = False,
    ) -> None:
        super().__init__(in_channels, classes, steps=1)
        self.normalise: nn.Module = nn.Identity()
        if contrast_normalisation:
            self.normalise = ContrastNormalisation(in_channels)
        channels = in_channels
        self.vgg = vgg
        if vgg:
            self.encoder = VGG16(in_channels, width=width, blocks=3)
            channels = self.encoder.channels[-1]
        self.context = nn.Sequential(ReNet(channels, units, 2), ReNet(2 * units, units, 1))
        layers: list[nn.Module] = []
        channels = 2 * units
        for _ in range(2 if vgg else 1):
            upsample = nn.ConvTranspose2d(channels, units // 2, 2, stride=2)
            nn.init.xavier_uniform_(upsample.weight)
            assert upsample.bias is not None
            nn.init.zeros_(upsample.bias)
            layers += [upsample, nn.ReLU(inplace=True)]
            channels = units // 2
        self.up = nn.Sequential(*layers)
        self.classify = nn.Conv2d(channels, classes, 1)

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        features = self.normalise(image)
        if self.vgg:
            features = self.encoder(features)[-1]
        logits = self.classify(self.up(self.context(features)))
        return resized(logits, image) if self.vgg else logits, hidden
