"""Encoders that others trained: what they have in common, and how their weights are loaded."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from rurnet.errors import NetworkError
from rurnet.network import SegmentationNetwork


class Encoder(nn.Module):
    """Base of classifiers without their classifier, with torchvision's keys and shapes.

    Attributes:
        first_convolution: Key of the layer that sees the image.
        channels: Of each of the features that it returns.
    """

    first_convolution: ClassVar[str]
    channels: tuple[int, ...]

    def _initialise(self) -> None:
        """Fresh weights as in torchvision (He et al., ICCV 2015).

        With torch's own, a signal is a thousandth of itself after VGG's thirteen layers.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def load_encoder(network: SegmentationNetwork, tensors: Mapping[str, Tensor]) -> None:
    """Starts a network's encoder from weights in torchvision's layout.

    The first convolution is made to fit where there are not three bands: a grey image, alike in
    all bands, gives what it gave with three. Channels beyond the image's (a mask that is fed back)
    start at zero, as if they were not there.

    Args:
        network: Its attribute `encoder` is an `Encoder`; channels of its input that are not the
            image's follow the image's.
        tensors: Of a whole classifier or of its convolutional part; what the encoder has no use
            for (the classifier; blocks that it leaves out) is passed over.

    Raises:
        NetworkError: The network has no encoder, or a tensor is missing or of another shape.
    """
    encoder = getattr(network, "encoder", None)
    if not isinstance(encoder, Encoder):
        raise NetworkError(f"a {type(network).__name__} has no encoder to load weights into")
    own = encoder.state_dict()
    # Older files lack the counts of batches, which nothing here asks for.
    missing = [key for key in own if key not in tensors and not key.endswith("num_batches_tracked")]
    if missing:
        raise NetworkError(
            f"no {missing[0]} among the tensors ({len(missing)} of {len(own)} are missing): "
            f"they are not of a {type(encoder).__name__} in torchvision's layout"
        )
    first = f"{encoder.first_convolution}.weight"
    fitting = {}
    for key, value in own.items():
        given = tensors.get(key, value)
        if key == first:
            given = _fitted(given, network.in_channels, value.shape[1])
        if given.shape != value.shape:
            raise NetworkError(
                f"{key} is {list(given.shape)}, not {list(value.shape)}: these weights are of "
                "another size"
            )
        fitting[key] = given
    encoder.load_state_dict(fitting)


def _fitted(weight: Tensor, bands: int, channels: int) -> Tensor:
    """A convolution of red, green and blue as one of `bands` bands and channels after them.

    From three bands on, they are red, green, blue, red, ..., and bands of one colour share its
    weights; one or two bands share those of all three.
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
