"""Pixel values of any type on the scale that networks are trained on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ValueRange = tuple[float, float]


def on_8_bits(pixels: NDArray[Any], value_range: ValueRange | None = None) -> NDArray[np.float32]:
    """Pixels of any type on the scale of 8 bits, on which networks are trained."""
    if value_range is None:
        if pixels.dtype == np.uint8:
            return pixels.astype(np.float32)
        integers = np.issubdtype(pixels.dtype, np.integer)
        value_range = 0.0, float(np.iinfo(pixels.dtype).max) if integers else 1.0
    low, high = value_range
    return ((pixels.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))).astype(
        np.float32
    )
