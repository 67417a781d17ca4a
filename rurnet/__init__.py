"""Segmentation networks: tensors in, tensors out.

Imports torch only: no file, no download, no data set, no raster.
All networks have one interface: see `rurnet.network`.
"""

from rurnet.encoders.pretrained import load_encoder
from rurnet.errors import NetworkError
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
