"""The one reading of the training images: their statistics, classes and labels' values."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError, LabelError
from pipelines.inputs.labels import IGNORE_INDEX, MOST_VALUES, Labelling, RasterLabel
from pipelines.sampling.samples import KEYS, Sample, as_sample, padded, relabelled
from pipelines.sampling.sources import CropSource, SceneSource
from tiling.scenes.scene import Pixels, Valid
from tiling.window import Window, split

TILE = 512
"""Side of the tiles that images are read in. Digests depend on it, and a training goes on only
where the digests of its images are those of before."""


@dataclass(frozen=True)
class Contents:
    """Contents of an image and its label.

    Attributes:
        name: Name of the image.
        pixels: How many pixels are there.
        sums: Sum of each band over these.
        squares: Sum of each band's squares over these.
        classes: Number of labelled pixels of each class.
        labelled: The windows of `TILE` in which some pixel has a label.
        digest: Hash of image, label and what is missing.
    """

    name: str
    pixels: int
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    classes: NDArray[np.int64]
    labelled: tuple[Window, ...]
    digest: str

    @property
    def foreground(self) -> bool:
        """Whether any labelled pixel is foreground."""
        return bool(self.classes[1:].any())


@dataclass(frozen=True)
class LabelReading:
    """A label as one labelling has it, and the image with it.

    Attributes:
        values: Values in the label that are not left out.
        contents: Contents of the image; None where the label has values that are no class, or
            far too many.
    """

    values: frozenset[float]
    contents: Contents | None


class _BandSums:
    """Adds up the pixels of an image that are there, tile by tile."""

    def __init__(self) -> None:
        self.pixels, self.sums, self.squares = 0, np.zeros(1), np.zeros(1)

    def add(self, tile: Sample) -> None:
        there = tile["image"][:, tile["valid"][0] > 0].astype(np.float64)
        self.pixels += there.shape[1]
        self.sums = self.sums + there.sum(axis=1)
        self.squares = self.squares + (there**2).sum(axis=1)


class _Tally:
    """Counts classes, and notes labelled windows and the digest, tile by tile.

    Args:
        classes: How many classes the label may have, background included.
    """

    def __init__(self, classes: int) -> None:
        self.classes = np.zeros(classes, np.int64)
        self.windows: list[Window] = []
        self.digest = hashlib.sha256()

    def add(self, window: Window, tile: Sample) -> None:
        label = tile["label"][tile["label"] != IGNORE_INDEX]
        self.classes += np.bincount(label, minlength=len(self.classes))[: len(self.classes)]
        if label.size:
            self.windows.append(window)
        for key in KEYS:
            self.digest.update(np.ascontiguousarray(tile[key]).data)

    def contents(self, name: str, bands: _BandSums) -> Contents:
        return Contents(
            name, bands.pixels, bands.sums, bands.squares, self.classes, tuple(self.windows),
            self.digest.hexdigest()[:16],
        )  # fmt: skip


class _LabelTally(_Tally):
    """A tally of a label whose values are noted as well.

    Args:
        label: The label.
        classes: How many classes its labelling has.
    """

    def __init__(self, label: RasterLabel, classes: int) -> None:
        super().__init__(classes)
        self._label = label
        self._fits = True
        self.values: set[float] = set()

    def add_drawn(self, window: Window, tile: Sample, drawn: tuple[Pixels, Valid]) -> None:
        """Adds a window of the image, and what is drawn there."""
        self.values |= self._label.values_in(*drawn)
        self._fits &= len(self.values) <= MOST_VALUES
        if self._fits:
            try:
                classes = self._label.classes(*drawn)
            except LabelError:
                self._fits = False
            else:
                self.add(window, padded(relabelled(tile, classes), TILE))

    def reading(self, name: str, bands: _BandSums) -> LabelReading:
        """The whole label, once all windows are added."""
        self._label.check_palette(self.values)
        contents = self.contents(name, bands) if self._fits else None
        return LabelReading(frozenset(self.values), contents)


def contents_of(source: CropSource, classes: int = 2) -> Contents:
    """Reads a whole image.

    Args:
        source: The image.
        classes: How many classes its label may have, background included.

    Raises:
        SceneError: It cannot be read.
    """
    bands, tally = _BandSums(), _Tally(classes)
    for window in source.windows(TILE):
        tile = source.tile(window, TILE)
        bands.add(tile)
        tally.add(window, tile)
    return tally.contents(source.name, bands)


def label_readings(source: SceneSource, labellings: Sequence[Labelling]) -> list[LabelReading]:
    """Reads a whole scene and its label once, where it is not known yet what the values mean.

    Args:
        source: The scene.
        labellings: Meanings that the label's values may have.

    Returns:
        A reading for each of these.

    Raises:
        SceneError: Scene or label cannot be read.
        LabelError: See `RasterLabel.check_palette`.
    """
    image, label = source.scenes()
    bands = _BandSums()
    tallies = [_LabelTally(label.under(one), one.classes) for one in labellings]
    # Values and classes are of the scene's own pixels, whatever the network sees.
    for window in split(image.height, image.width, TILE):
        pixels, valid = image.read(window)
        drawn = label.drawn(window)
        tile = as_sample(
            pixels,
            valid,
            np.full(valid.shape, IGNORE_INDEX, np.uint8),
            source.opened().value_range,
        )
        bands.add(tile)
        for tally in tallies:
            tally.add_drawn(window, tile, drawn)
        if all(len(tally.values) > MOST_VALUES for tally in tallies):
            break
    readings = [tally.reading(source.name, bands) for tally in tallies]
    if source.shape() == (image.height, image.width):
        return readings
    labelled = tuple(
        window
        for window in source.windows(TILE)
        if (source.read(window)["label"] != IGNORE_INDEX).any()
    )
    return [_tiled_otherwise(one, labelled) for one in readings]


def _tiled_otherwise(reading: LabelReading, labelled: tuple[Window, ...]) -> LabelReading:
    """The reading with the windows that the network sees."""
    if reading.contents is None:
        return reading
    return replace(reading, contents=replace(reading.contents, labelled=labelled))


def band_statistics(images: Sequence[Contents]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each band, over all pixels of all images that are there.

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
    # A band that is the same everywhere leaves only the rounding of the sums.
    std[std < 1e-5 * np.maximum(1, np.abs(mean))] = 1
    # Significant digits: small deviations need them too.
    return tuple(float(f"{m:.6g}") for m in mean), tuple(float(f"{s:.6g}") for s in std)
