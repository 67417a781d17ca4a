"""A name for every network, so that a weights file or a command line can ask for one."""

from collections.abc import Callable
from functools import partial
from typing import Any

from rurnet.errors import NetworkError
from rurnet.network import SegmentationNetwork
from rurnet.rec_simple import RecSimple
from rurnet.recurrent import RecurrentUNet
from rurnet.unet import UNet

NETWORKS: dict[str, Callable[..., SegmentationNetwork]] = {
    "unet-gn": partial(UNet, norm="group"),
    "unet-bn": partial(UNet, norm="batch"),
    **{
        f"{unit}-{level}": partial(RecurrentUNet, unit=unit, level=level)
        for unit in ("dru", "sru")
        for level in range(5)
    },
    "rec-simple": RecSimple,
}
"""`dru-4` is the paper's DRU(4), `sru-0` its SRU(0), `unet-gn` and `unet-bn` U-Net-G and U-Net-B."""


def create(name: str, **arguments: Any) -> SegmentationNetwork:
    """Builds a network, with fresh weights, by name.

    Args:
        name: One of `NETWORKS`.
        **arguments: What its constructor takes besides.

    Raises:
        NetworkError: No such name, or an argument it does not have.
    """
    if name not in NETWORKS:
        raise NetworkError(f"no network is called {name!r}; there are {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](**arguments)
    except TypeError as error:
        raise NetworkError(f"network {name}: {error}") from error
