"""The table of networks by name, as weights files and command lines use them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from rurnet.blocks import CHANNELS
from rurnet.errors import NetworkError
from rurnet.network import SegmentationNetwork
from rurnet.networks.canvas import Canvas
from rurnet.networks.deeplab import DeepLabV3Plus
from rurnet.networks.encoder_unet import EncoderUNet, RecurrentEncoderUNet
from rurnet.networks.icnet import ICNet
from rurnet.networks.rec_last import RecLast
from rurnet.networks.rec_middle import RecMiddle
from rurnet.networks.rec_simple import RecSimple
from rurnet.networks.recurrent import HIDDEN_CHANNELS, RecurrentUNet
from rurnet.networks.refinenet import RefineNet
from rurnet.networks.reseg import ReSeg
from rurnet.networks.unet import UNet

_TWICE = tuple(2 * channels for channels in CHANNELS)

NETWORKS: dict[str, Callable[..., SegmentationNetwork]] = {
    "unet-bn": partial(UNet, norm="batch"),
    "unet-gn": partial(UNet, norm="group"),
    **{
        f"{unit}-{level}": partial(RecurrentUNet, unit=unit, level=level)
        for unit in ("dru", "sru")
        for level in range(5)
    },
    "rec-last": RecLast,
    "rec-middle": RecMiddle,
    "rec-simple": RecSimple,
    "unet-gn-x2": partial(UNet, norm="group", channels=_TWICE),
    "rec-last-x2": partial(RecLast, channels=_TWICE),
    "dru-4-x2": partial(
        RecurrentUNet, unit="dru", level=4, channels=_TWICE, hidden_channels=2 * HIDDEN_CHANNELS
    ),
    "unet-vgg16": partial(EncoderUNet, encoder="vgg16"),
    "dru-vgg16": partial(RecurrentEncoderUNet, encoder="vgg16"),
    "unet-resnet50": partial(EncoderUNet, encoder="resnet50"),
    "dru-resnet50": partial(RecurrentEncoderUNet, encoder="resnet50"),
    "deeplab-v3plus": DeepLabV3Plus,
    "refinenet": RefineNet,
    "icnet": ICNet,
    "canvas": Canvas,
    "reseg": ReSeg,
}
"""In Wang et al., ICCV 2019, `dru-4` is called DRU(4), `sru-0` SRU(0), `unet-gn` U-Net-G and
`unet-bn` U-Net-B. Names in `-x2` have twice the channels (Table 6)."""


def create(name: str, **arguments: Any) -> SegmentationNetwork:
    """Builds a network with random weights by name.

    Args:
        name: One of `NETWORKS`.
        **arguments: Arguments of its constructor.

    Raises:
        NetworkError: The name or an argument does not exist, or a value is not allowed.
    """
    if name not in NETWORKS:
        raise NetworkError(f"unknown network {name!r}; choose from {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](**arguments)
    except NetworkError:
        raise
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise NetworkError(f"network {name}: {error}") from error
