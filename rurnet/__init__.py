"""Segmentation networks: tensors in, tensors out.

Imports torch only: no file, no download, no data set, no raster.
All networks have one interface: see `rurnet.network`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rurnet.errors import NetworkError

if TYPE_CHECKING:
    from rurnet.encoders.pretrained import load_encoder
    from rurnet.loss import IGNORE_INDEX, median_frequency_weights, multi_step_loss
    from rurnet.network import SegmentationNetwork, State, parameter_count
    from rurnet.registry import NETWORKS, create

__all__ = [
    "IGNORE_INDEX",
    "NETWORKS",
    "NetworkError",
    "SegmentationNetwork",
    "State",
    "create",
    "load_encoder",
    "median_frequency_weights",
    "multi_step_loss",
    "parameter_count",
]

_MODULES = {
    "IGNORE_INDEX": "loss",
    "NETWORKS": "registry",
    "SegmentationNetwork": "network",
    "State": "network",
    "create": "registry",
    "load_encoder": "encoders.pretrained",
    "median_frequency_weights": "loss",
    "multi_step_loss": "loss",
    "parameter_count": "network",
}


def __getattr__(name: str) -> Any:
    """Imports a name, and torch with it, when it is first used: that takes seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
