"""The base class of pretrained encoders, and the loading of their weights."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from rurnet.errors import NetworkError
from rurnet.network import SegmentationNetwork


class Encoder(nn.Module):
    """Base of encoders: classification networks of torchvision without their classifier.

    Keys and shapes of the tensors are torchvision's.

    Attributes:
        first_convolution: Key of the convolution that takes the image.
        channels: Channels of each of the features that it returns.
    """

    first_convolution: ClassVar[str]
    channels: tuple[int, ...]

    def _initialise(self) -> None:
        """Sets random weights as torchvision does (He et al., ICCV 2015).

        torch's default would shrink a signal to a thousandth over VGG's thirteen layers.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def load_encoder(network: SegmentationNetwork, tensors: Mapping[str, Tensor]) -> None:
    """Loads pretrained weights in torchvision's layout into a network's encoder.

    If the image does not have three bands, the first convolution is adapted: a grey image, the same
    in all bands, gives the same features as with three bands. The weights of further input channels
    (a mask that is fed back) start at zero, so that they have no effect at first.

    Args:
        network: Its attribute `encoder` is an `Encoder`. In the encoder's input, the channels of
            the image come first.
        tensors: Those of a whole classifier or of its convolutional part. Tensors that the encoder
            does not have (the classifier, blocks left out) are ignored.

    Raises:
        NetworkError: The network has no encoder, or a tensor is missing or has another shape.
    """
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise NetworkError(f"a {type(network).__name__} has no encoder to load weights into")
    own = encoder.state_dict()
    # Older files lack the counts of batches; they are not needed here.
    missing = [key for key in own if key not in tensors and not key.endswith("num_batches_tracked")]
    if missing:
        raise NetworkError(
            f"{missing[0]} is missing ({len(missing)} of {len(own)} tensors are): these are not "
            f"the weights of a {type(encoder).__name__} in torchvision's layout"
        )
    first = f"{encoder.first_convolution}.weight"
    fitting = {}
    for key, value in own.items():
        given = tensors.get(key, value)
        if key == first:
            given = _fitted(given, network.in_channels, value.shape[1])
        if given.shape != value.shape:
            raise NetworkError(
                f"{key} has shape {list(given.shape)}, not {list(value.shape)}: these weights are "
                "for an encoder of another size"
            )
        fitting[key] = given
    encoder.load_state_dict(fitting)


def _fitted(weight: Tensor, bands: int, channels: int) -> Tensor:
    """Adapts the weights of a convolution over RGB to `bands` bands and `channels` channels.

    Three or more bands count as red, green, blue, red, ...; bands of one colour share its weights
    equally. One or two bands share the sum of all three. Channels after the bands get zeros.

    Args:
        weight: [outputs, 3, h, w]; a tensor of another shape is returned as it is.
        bands: Channels of the image.
        channels: Input channels in all.

    Returns:
        [outputs, channels, h, w].
    """
    if weight.dim() != 4 or weight.shape[1] != 3:
        return weight
    if bands < 3:
        shared = weight.sum(dim=1, keepdim=True).repeat(1, bands, 1, 1) / bands
    else:
        colours = torch.arange(bands, device=weight.device) % 3
        alike = torch.bincount(colours)[colours]
        shared = weight[:, colours] / alike[:, None, None]
    others = weight.new_zeros((weight.shape[0], channels - bands, *weight.shape[2:]))
    return torch.cat([shared, others], dim=1)
