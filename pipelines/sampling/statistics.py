"""What one reading of the training images tells: statistics, classes, and a hash of each."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.sampling.sources import CropSource
from pipelines.sampling.transforms import (
    KEYS,
)


@dataclass(frozen=True)
class Contents:
    """What one reading of an image tells.

    Attributes:
        name: Of the image.
        pixels: Those that are there.
        sums: Of each band over these.
        squares: Sums of the squares.
        classes: Labelled pixels of each class.
        digest: Of image, label and what is missing.
    """

    name: str
    pixels: int
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    classes: NDArray[np.int64]
    digest: str

    @property
    def foreground(self) -> bool:
        """Whether any labelled pixel is."""
        return bool(self.classes[1:].any())


def contents_of(source: CropSource, classes: int = 2) -> Contents:
    """Reads a whole image.

    Args:
        source: The image.
        classes: How many its label may have, background included.
    """
    pixels, sums, squares = 0, np.zeros(1), np.zeros(1)
    labelled = np.zeros(classes, np.int64)
    digest = hashlib.sha256()
    for tile in source.tiles(512):
        there = tile["image"][:, tile["valid"][0] > 0].astype(np.float64)
        pixels += there.shape[1]
        sums = sums + there.sum(axis=1)
        squares = squares + (there**2).sum(axis=1)
        label = tile["label"][tile["label"] != IGNORE_INDEX]
        labelled += np.bincount(label, minlength=classes)[:classes]
        for key in KEYS:
            digest.update(np.ascontiguousarray(tile[key]).data)
    return Contents(source.name, pixels, sums, squares, labelled, digest.hexdigest()[:16])


def band_statistics(images: Sequence[Contents]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each band over the pixels that are there in all images.

    Raises:
        DataError: All pixels of all images are missing.
    """
    count = sum(image.pixels for image in images)
    if count == 0:
        raise DataError(
            f"{images[0].name}: all pixels of this and the other training images are missing "
            "(nodata, alpha, mask, or outside the field of view); mend them"
        )
    mean: NDArray[np.float64] = sum((image.sums for image in images), np.zeros(1)) / count
    squares = sum((image.squares for image in images), np.zeros(1)) / count
    std = np.sqrt(np.maximum(0, squares - mean**2))
    # 1 for a band that is the same everywhere: what is left of it is the sums' rounding.
    std[std < 1e-5 * np.maximum(1, np.abs(mean))] = 1
    # Digits that tell small deviations too.
    return tuple(float(f"{m:.6g}") for m in mean), tuple(float(f"{s:.6g}") for s in std)
