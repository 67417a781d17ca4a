"""U-Nets with a pretrained encoder: U-Net-VGG16 and DRU-VGG16 of Wang et al., ICCV 2019.

The paper names them and states that DRU-VGG16 has 41.38 M parameters. The architecture is described
in a supplement that was not available. Here the way down is all five blocks of VGG-16 (or of
ResNet-50). The recurrent unit is below them and has 256 hidden channels for 512 inputs: half as
many, as at level 4 of the small network. The way up mirrors the way down.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from rurnet.blocks import Levels, Norm, Up, conv_block
from rurnet.encoders.resnet import ResNet
from rurnet.encoders.vgg import VGG16
from rurnet.errors import NetworkError
from rurnet.network import Hidden, SegmentationNetwork
from rurnet.networks.recurrent import RecurrentUnit, Unit

EncoderName = Literal["vgg16", "resnet50"]

MULTIPLE = 32
"""The encoder halves the resolution five times."""


class Pyramid(nn.Module):
    """An encoder and the decoder on it, without the bottleneck between them.

    Args:
        inputs: Input channels.
        classes: Number of classes.
        encoder: "vgg16" or "resnet50".
        norm: Kind of normalisation on the way up.
        width: Channels of the encoder's first convolution; all other widths are proportional.

    Attributes:
        deepest: Channels of the features that `down` returns.
        lower: Channels of the features that `up` takes.

    Raises:
        NetworkError: The encoder is not one of these.
    """

    def __init__(
        self, inputs: int, classes: int, encoder: EncoderName, norm: Norm, width: int
    ) -> None:
        super().__init__()
        self.deepest, self.lower = 8 * width, 4 * width
        self.encoder: VGG16 | ResNet
        self.reduce: nn.Module
        if encoder == "vgg16":
            self.encoder = VGG16(inputs, width=width)
            self.reduce = nn.MaxPool2d(2)
            skips = channels = self.encoder.channels
        elif encoder == "resnet50":
            self.encoder = ResNet(inputs, depth=50, width=width)
            # With 2048 channels the unit would be larger than the rest of the network.
            self.reduce = nn.Conv2d(self.encoder.channels[-1], self.deepest, 1)
            # ResNet has no features at full resolution: the input itself is the skip there.
            skips = (inputs, *self.encoder.channels[:-1])
            channels = (width // 2, width, 2 * width, 4 * width, 8 * width)
        else:
            raise NetworkError(f"encoder must be vgg16 or resnet50, not {encoder!r}")
        lowers = (*channels[1:], self.lower)
        self.levels = Levels(
            Up(lower, skip, here, here, norm)
            for lower, skip, here in zip(lowers, skips, channels, strict=True)
        )
        self.classify = nn.Conv2d(channels[0], classes, 1)

    def down(self, image: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns the skips, full resolution first, and features [B, deepest, H/32, W/32]."""
        features = self.encoder(image)
        if isinstance(self.encoder, ResNet):
            features = [image, *features]
            return features[:-1], self.reduce(features[-1])
        return features, self.reduce(features[-1])

    def up(self, skips: list[Tensor], features: Tensor) -> Tensor:
        """Skips and features [B, lower, H/32, W/32] to logits [B, classes, H, W]."""
        logits: Tensor = self.classify(self.levels.up(skips, features))
        return logits


class EncoderUNet(SegmentationNetwork):
    """One-shot U-Net on an encoder.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        encoder: "vgg16" or "resnet50".
        norm: Kind of normalisation outside the encoder.
        width: Channels of the encoder's first convolution; all other widths are proportional.
    """

    one_shot = True
    multiple = MULTIPLE

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 2,
        *,
        encoder: EncoderName,
        norm: Norm = "group",
        width: int = 64,
    ) -> None:
        super().__init__(in_channels, classes, steps=1)
        self.pyramid = Pyramid(in_channels, classes, encoder, norm, width)
        self.bottleneck = conv_block(self.pyramid.deepest, self.pyramid.lower, norm)

    @property
    def encoder(self) -> VGG16 | ResNet:
        """The encoder, which takes pretrained weights."""
        return self.pyramid.encoder

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        skips, deepest = self.pyramid.down(image)
        return self.pyramid.up(skips, self.bottleneck(deepest)), hidden


class RecurrentEncoderUNet(SegmentationNetwork):
    """Recurrent U-Net on an encoder. Its input is the image and the mask of the previous step.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        encoder: "vgg16" or "resnet50".
        unit: "dru" or "sru".
        steps: Default number of steps.
        norm: Kind of normalisation outside the encoder.
        width: Channels of the encoder's first convolution; all other widths are proportional.
    """

    multiple = MULTIPLE

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 2,
        *,
        encoder: EncoderName,
        unit: Unit = "dru",
        steps: int = 3,
        norm: Norm = "group",
        width: int = 64,
    ) -> None:
        super().__init__(in_channels, classes, steps)
        self.pyramid = Pyramid(in_channels + classes, classes, encoder, norm, width)
        deepest, lower = self.pyramid.deepest, self.pyramid.lower
        self.unit = RecurrentUnit(deepest, (deepest,), lower, unit, norm, gate_relu=True)

    @property
    def encoder(self) -> VGG16 | ResNet:
        """The encoder, which takes pretrained weights; its input includes the mask."""
        return self.pyramid.encoder

    def _initial_hidden(self, image: Tensor, mask: Tensor) -> Hidden:
        height, width = (size // MULTIPLE for size in image.shape[-2:])
        return (image.new_zeros((image.shape[0], self.pyramid.lower, height, width)),)

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        skips, deepest = self.pyramid.down(torch.cat([image, mask], dim=1))
        features, remembered = self.unit(deepest, *hidden)
        return self.pyramid.up(skips, features), (remembered,)
