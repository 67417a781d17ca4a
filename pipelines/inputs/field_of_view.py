"""The field of view of a fundus photograph: the part of the image that shows the eye."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import (
    binary_fill_holes,
    binary_opening,
    gaussian_filter,
    label,
    maximum_filter,
)

from pipelines.errors import DataError
from pipelines.inputs.labels import is_lossy

_DARK = 0.25
"""A border is darker than this share of the bright retina; otherwise the image has none."""


_DARKEST_RETINA = 0.05
"""The retina is brighter than the border by at least this share of the bright retina: vignetting
leaves a tenth of the brightness in some images of CHASE_DB1."""


_EDGE = 1 / 3
"""Brightness of the edge, from that of the border (0) to the brightest retina nearby (1). One half
would be the edge itself, but loses dark vessels that end there."""


def field_of_view(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Derives the field of view of an image: the largest region brighter than its dark border.

    Nothing is assumed about its shape: a disc is found, and so is one that the image cuts off or
    that has a tab at its rim.

    Args:
        image: RGB [3, h, w], 8 bits; only red is used, in which the retina is brightest.

    Returns:
        [h, w], True inside: one region without holes. All True where no dark border is found,
        as in an image that is all retina or all black.
    """
    longest = max(image.shape[1:])
    red = gaussian_filter(image[0].astype(np.float32), max(1.0, longest / 2000))
    border, bright = _darkest_corner(red), float(np.percentile(red, 95))
    everything = np.ones(red.shape, dtype=bool)
    if border >= _DARK * bright:
        return everything
    red -= border
    # Compared with what is nearby, a bright rim does not bleed out and a dim one is not cut.
    nearby = maximum_filter(red, 2 * max(2, round(longest / 100)) + 1)
    least = _DARKEST_RETINA * (bright - border)
    inside = _without_specks(red > np.maximum(least, _EDGE * nearby), round(longest / 200))
    regions, count = label(inside)
    if count == 0:
        return everything
    largest = int(np.argmax(np.bincount(regions.ravel())[1:])) + 1
    field: NDArray[np.bool_] = binary_fill_holes(regions == largest)
    return field


def field_diameter(field: NDArray[np.bool_]) -> int:
    """The diameter of a field of view in pixels: the larger of its height and width.

    A disc that the image cuts off above and below, as in HRF, has it from side to side.

    Args:
        field: [h, w], True inside; if it is empty, the whole image counts as field.
    """
    if not field.any():
        return int(max(field.shape))
    sides = (np.flatnonzero(field.any(axis=axis)) for axis in (0, 1))
    return max(int(inside[-1] - inside[0]) + 1 for inside in sides)


def working_diameter(own: float, diameters: tuple[int, int]) -> float:
    """The diameter at which a network sees a field of view, in training and in prediction.

    Args:
        own: Diameter in the image.
        diameters: Smallest and largest that a network is to see; between them its own is kept.
    """
    smallest, largest = diameters
    return min(max(own, smallest), largest)


def _darkest_corner(red: NDArray[np.float32]) -> float:
    """The border's grey level: a disc leaves some corner free, and no text fills all corners."""
    side = max(1, max(red.shape) // 50)
    ends = slice(None, side), slice(-side, None)
    return min(float(np.median(red[rows, columns])) for rows in ends for columns in ends)


def _without_specks(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Removes noise and text by opening, even where they touch the field."""
    width = max(1, width)
    # The image is continued, or corners of the field at the image's border would be rounded.
    opened = binary_opening(np.pad(inside, width, mode="edge"), iterations=width)
    kept: NDArray[np.bool_] = opened[width:-width, width:-width]
    return kept


def read_field(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Reads a mask of the field of view [h, w], True inside.

    Args:
        path: Image of black and another colour; in a JPEG, values above 127 are inside.
        shape: Rows and columns it must have.

    Raises:
        DataError: The file is not an image, or has another size, or is black all over.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise DataError(
            f"{path}: not an image that can be read ({error}); copy it again"
        ) from error
    if pixels.shape != shape:
        raise DataError(
            f"{path}: {pixels.shape[1]} x {pixels.shape[0]} pixels, but its image has "
            f"{shape[1]} x {shape[0]}; give the one made for this image"
        )
    field: NDArray[np.bool_] = pixels > (127 if is_lossy(path) else 0)
    if not field.any():
        raise DataError(
            f"{path}: this mask of the field of view is black all over; mend it, or take it away "
            "to have the field found in the image"
        )
    return field
