"""VGG-16 of Simonyan and Zisserman, ICLR 2015, as an encoder: features at every resolution.

Keys are torchvision's (`features.0.weight` to `features.28.bias`, without normalisation), so that
its ImageNet weights load.
"""

from torch import Tensor, nn

from rurnet.encoders.pretrained import Encoder
from rurnet.errors import NetworkError

BLOCKS = (2, 2, 3, 3, 3)
"""Convolutions at each resolution."""


class VGG16(Encoder):
    """The convolutional part of VGG-16, or its beginning.

    Args:
        in_channels: Channels of what comes in.
        width: Channels of the first block; 64 in ImageNet's. They double four times at most.
        blocks: How many of the five blocks there are.

    Attributes:
        channels: Of the features of each block.

    Raises:
        NetworkError: No such number of blocks, or no width.
    """

    first_convolution = "features.0"

    def __init__(self, in_channels: int = 3, *, width: int = 64, blocks: int = 5) -> None:
        super().__init__()
        if not 1 <= blocks <= len(BLOCKS) or width < 1:
            raise NetworkError(
                f"VGG-16 has 1 to {len(BLOCKS)} blocks and a width, not {blocks} and {width}"
            )
        self.channels = tuple(width * min(2**block, 8) for block in range(blocks))
        layers: list[nn.Module] = []
        inputs = in_channels
        for count, outputs in zip(BLOCKS, self.channels, strict=False):
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        # What is pooled after the last block nobody asks for.
        self.features = nn.Sequential(*layers[:-1])
        self._initialise()

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features at 1, 1/2, 1/4, ... of [B, C, H, W], each before it is pooled."""
        every = []
        features = image
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                every.append(features)
            features = layer(features)
        return [*every, features]
