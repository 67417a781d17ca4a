"""U-Nets on encoders that others trained: U-Net-VGG16 and DRU-VGG16 of Wang et al., ICCV 2019.

The paper names them and gives DRU-VGG16 41.38 M parameters; how they are wired stands in a
supplement that is not at hand. Here all five blocks of VGG-16 (or of ResNet-50) are the way down.
The recurrent unit stands below them, with 256 hidden channels for its 512 inputs: half as many, as
at level 4 of the small network. The way up mirrors the way down.
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
"""Five halvings."""


class Pyramid(nn.Module):
    """The way down an encoder and the way back up, without what stands at the bottom.

    Args:
        inputs: Channels that come in.
        classes: Number of classes.
        encoder: "vgg16" or "resnet50".
        norm: Kind of normalisation on the way up.
        width: Channels of the encoder's first convolution; all others grow with it.

    Attributes:
        deepest: Channels of what `down` ends with.
        lower: Channels that `up` starts from.

    Raises:
        NetworkError: No such encoder.
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
            # 2048 channels would make the unit larger than all the rest.
            self.reduce = nn.Conv2d(self.encoder.channels[-1], self.deepest, 1)
            # Its first features are at 1/2: at full resolution the input itself is the skip.
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
        """Skips, from full resolution on, and features [B, deepest, H/32, W/32]."""
        features = self.encoder(image)
        if isinstance(self.encoder, ResNet):
            features = [image, *features]
            return features[:-1], self.reduce(features[-1])
        return features, self.reduce(features[-1])

    def up(self, skips: list[Tensor], features: Tensor) -> Tensor:
        """From skips and [B, lower, H/32, W/32] to logits [B, classes, H, W]."""
        logits: Tensor = self.classify(self.levels.up(skips, features))
        return logits


class EncoderUNet(SegmentationNetwork):
    """One-shot U-Net on an encoder.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        encoder: "vgg16" or "resnet50".
        norm: Kind of normalisation of what is not the encoder.
        width: Channels of the encoder's first convolution; all others grow with it.
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
        """What pretrained weights are for."""
        return self.pyramid.encoder

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        skips, deepest = self.pyramid.down(image)
        return self.pyramid.up(skips, self.bottleneck(deepest)), hidden


class RecurrentEncoderUNet(SegmentationNetwork):
    """Recurrent U-Net on an encoder, fed with its own last mask beside the image.

    Args:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        encoder: "vgg16" or "resnet50".
        unit: "dru" or "sru".
        steps: Steps it is trained with.
        norm: Kind of normalisation of what is not the encoder.
        width: Channels of the encoder's first convolution; all others grow with it.
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
        """What pretrained weights are for; its first convolution sees the mask too."""
        return self.pyramid.encoder

    def _initial_hidden(self, image: Tensor, mask: Tensor) -> Hidden:
        height, width = (size // MULTIPLE for size in image.shape[-2:])
        return (image.new_zeros((image.shape[0], self.pyramid.lower, height, width)),)

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        skips, deepest = self.pyramid.down(torch.cat([image, mask], dim=1))
        features, remembered = self.unit(deepest, *hidden)
        return self.pyramid.up(skips, features), (remembered,)
