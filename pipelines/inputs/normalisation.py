"""Pixels as networks take them: on the scale of 8 bits, then with mean 0 and deviation 1.

Training and prediction share these functions: a network must see the same numbers in both.
"""

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

ValueRange = tuple[float, float]
"""Pixel values that stand for 0 and 255 on the scale of 8 bits."""

WantedRange = ValueRange | Literal["auto"] | None
"""A range, that of the scene's own values, or that of the type."""

Array = TypeVar("Array", NDArray[Any], "Tensor")


def on_8_bits(pixels: NDArray[Any], value_range: ValueRange | None = None) -> NDArray[np.float32]:
    """Pixels of any type on the scale of 8 bits: 0 to 255, not rounded.

    Values outside the range become its ends: a sentinel or a hot pixel in the middle of a scene
    would otherwise reach every pixel through the network's normalisation.

    Args:
        pixels: Of any shape, finite.
        value_range: None for the range of the type: 0 to 255, 0 to 65535, ..., of floats 0 to 1.
    """
    if value_range is None and pixels.dtype == np.uint8:
        return pixels.astype(np.float32)
    low, high = value_range or range_of_type(pixels.dtype)
    scaled = pixels.astype(np.float32)
    with np.errstate(over="ignore"):
        scaled -= np.float32(low)
        scaled *= np.float32(255 / (high - low))
    if may_leave_range(pixels.dtype, value_range):
        np.clip(scaled, 0, 255, out=scaled)
    return scaled


def range_of_type(dtype: np.dtype[Any]) -> ValueRange:
    """The values that stand for 0 and 255 where nothing is said: 0 to 65535, ..., 0 to 1."""
    return 0.0, float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


def may_leave_range(dtype: np.dtype[Any], value_range: ValueRange | None) -> bool:
    """Whether a type has values outside the range; of their own, unsigned numbers have none."""
    return value_range is not None or dtype.kind != "u"


def bytes_on_8_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """The same rounded to whole numbers, for what works on bytes alone."""
    if pixels.dtype == np.uint8:
        return pixels
    rounded: NDArray[np.uint8] = np.rint(on_8_bits(pixels)).astype(np.uint8)
    return rounded


def normalised(image: Array, there: Array, mean: Array, std: Array) -> Array:
    """An image with mean 0 and deviation 1; missing pixels become 0, the training mean.

    Args:
        image: On the scale of 8 bits, float32 [..., bands, h, w].
        there: Where it has pixels: True or 1 [..., 1, h, w].
        mean: Mean of each band in the training images, float32 [bands, 1, 1].
        std: Standard deviation of each band, alike.
    """
    result: Array = (image - mean) / std * there
    return result
