"""Segmentation networks: tensors in, tensors out.

Imports torch only: no file, no download, no data set, no raster.
One contract for every network: see `rurnet.network`.
"""

from rurnet.errors import NetworkError
from rurnet.network import SegmentationNetwork, State
from rurnet.registry import NETWORKS, create

__all__ = ["NETWORKS", "NetworkError", "SegmentationNetwork", "State", "create"]
