"""Arrays of numpy or of torch, by the functions that both have: the Python array API standard.

OpenVINO takes numpy's, so that torch need not be imported; what the standard lacks is here.
"""

import sys
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

__all__ = ["Array", "device", "laid_out", "namespace", "to_numpy"]

Array = Any
"""An array of numpy, or a tensor of torch on any device: each with its own arithmetic and bits."""


def namespace(array: Array) -> Any:
    """Returns the functions for an array and those like it, as the standard names them."""
    return array_namespace(array)


def to_numpy(array: Array) -> NDArray[Any]:
    """Returns the same values as an array of numpy."""
    return array if isinstance(array, np.ndarray) else np.asarray(array.cpu())


def laid_out(tiles: Array) -> Array:
    """Returns tiles [n, channels, h, w] as they lie where networks convolve them fastest."""
    if isinstance(tiles, np.ndarray):
        return tiles  # OpenVINO converts them itself.
    return tiles.contiguous(memory_format=sys.modules["torch"].channels_last)
