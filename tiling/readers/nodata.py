"""Which pixels a file's nodata values say are missing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiling.scenes.scene import Pixels, Valid

NOT_MEASURED = np.float32(1e30)
"""Floats as large as this stand for missing pixels, declared or not: nobody measured them."""

_TOLERANCE = 1e-6
"""Share by which a float may differ from the nodata value: it is often declared as a rounded text,
as in -3.40282e+38."""


def missing(pixels: Pixels, nodata: Sequence[float | None]) -> Valid | None:
    """Which pixels are missing.

    A nodata value belongs to its band, and a pixel that has it in one band is missing as a whole:
    -9999 is no colour. Black (0), and white in 8 bits (255), are colours too, and dark or bright
    pixels have them in one band or two. There a pixel is missing where all bands say so.

    Args:
        pixels: [bands, h, w], as the file has them.
        nodata: The value that each band declares; None where it declares none.

    Returns:
        [h, w], True where a pixel is missing; None where no band declares a value.
    """
    found: Valid | None = None
    colours: list[Valid] = []
    for band, value in zip(pixels, nodata, strict=True):
        if value is None:
            continue
        found = np.zeros(band.shape, bool) if found is None else found
        same = _equal(band, value)
        if value == 0 or (band.dtype == np.uint8 and value == 255):
            colours.append(same)
        else:
            found |= same
    if found is not None and len(colours) == len(pixels):
        found |= np.logical_and.reduce(colours)
    return found


def _equal(band: NDArray[Any], value: float) -> Valid:
    """Where a band has a value, in its own type."""
    same: Valid
    if band.dtype.kind in "iu":
        limits = np.iinfo(band.dtype)
        if not limits.min <= value <= limits.max or value != int(value):
            return np.zeros(band.shape, bool)  # The type has no such value.
        same = band == band.dtype.type(int(value))
        return same
    if np.isnan(value):
        same = np.isnan(band)
        return same
    with np.errstate(over="ignore"):
        low, high = sorted(value * (1 + sign * _TOLERANCE) for sign in (-1, 1))
        same = (band >= band.dtype.type(low)) & (band <= band.dtype.type(high))
    return same
