"""VGG-16 of Simonyan and Zisserman, ICLR 2015, as an encoder with features at every resolution.

Keys are torchvision's (`features.0.weight` to `features.28.bias`, without normalisation), so that
its ImageNet weights can be loaded.
"""

from torch import Tensor, nn

from rurnet.encoders.pretrained import Encoder
from rurnet.errors import NetworkError

BLOCKS = (2, 2, 3, 3, 3)
"""Number of convolutions in each block."""


class VGG16(Encoder):
    """The convolutional part of VGG-16, or its first blocks.

    Args:
        in_channels: Input channels.
        width: Channels of the first block; 64 with ImageNet weights. Each block doubles them, up to
            eight times the width.
        blocks: Number of blocks, 1 to 5.

    Attributes:
        channels: Channels of the features of each block.

    Raises:
        NetworkError: There are not 1 to 5 blocks, or the width is less than 1.
    """

    first_convolution = "features.0"

    def __init__(self, in_channels: int = 3, *, width: int = 64, blocks: int = 5) -> None:
        super().__init__()
        if not 1 <= blocks <= len(BLOCKS) or width < 1:
            raise NetworkError(
                f"VGG-16 has 1 to {len(BLOCKS)} blocks and a width above 0, not {blocks}, {width}"
            )
        self.channels = tuple(width * min(2**block, 8) for block in range(blocks))
        layers: list[nn.Module] = []
        inputs = in_channels
        for count, outputs in zip(BLOCKS, self.channels, strict=False):
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        # Without the last pooling: its output is not used.
        self.features = nn.Sequential(*layers[:-1])
        self._initialise()

    def forward(self, image: Tensor) -> list[Tensor]:
        """[B, C, H, W] to the features of each block before pooling, at 1, 1/2, 1/4, ..."""
        every = []
        features = image
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                every.append(features)
            features = layer(features)
        return [*every, features]
