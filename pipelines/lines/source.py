"""The rasters that lines are made of, open."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from pipelines.results.layout import steps_in
from pipelines.results.levels import RasterLevels
from pipelines.results.outcome import OpenRaster
from tiling.blend import NODATA
from tiling.window import Window


class Source(Protocol):
    """What lines are made of: the rasters of a scene, or of several as one."""

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def crs(self) -> CRS | None:
        """Coordinate reference system, where there is one."""
        ...

    @property
    def transform(self) -> Affine:
        """From pixels to coordinates; the identity where there is none."""
        ...

    @property
    def threshold(self) -> int:
        """The lowest level that is in the mask."""
        ...

    @property
    def graded(self) -> bool:
        """Whether there are probabilities."""
        ...

    def foreground(self, window: Window) -> NDArray[np.bool_]:
        """Where the mask is [h, w]."""
        ...

    def levels(self, window: Window) -> NDArray[np.uint8]:
        """Probabilities, then those of the steps [1 + steps, h, w]; 255 where none is known."""
        ...

    @property
    def areas(self) -> Sequence[Window]:
        """Where it has pixels: there are none outside of these."""
        ...


class Rasters:
    """The rasters of a scene, open: a `Source`.

    Args:
        mask: What is foreground, of any class.
        probability: None where there is only a mask.
        steps: Probabilities after each recurrent step; empty where they were not kept.
        threshold: The lowest level that is in the mask.
    """

    def __init__(
        self,
        mask: RasterLevels,
        probability: RasterLevels | None,
        steps: Sequence[RasterLevels],
        threshold: int,
    ) -> None:
        self.mask, self.probability, self.threshold = mask, probability, threshold
        self.height, self.width = mask.height, mask.width
        self.crs, self.transform = mask.crs, mask.transform
        self.areas = [Window(0, 0, mask.height, mask.width)]
        self.graded = probability is not None
        self._steps = steps

    def masked(self, window: Window) -> NDArray[np.uint8]:
        """Levels of the mask [h, w], 255 where there is no pixel."""
        return _highest(self.mask.read(window))

    def foreground(self, window: Window) -> NDArray[np.bool_]:
        """Where the mask is [h, w]."""
        return within_mask(self.masked(window), self.threshold)

    def levels(self, window: Window) -> NDArray[np.uint8]:
        """Probabilities, then those of the steps [1 + steps, h, w]; 255 where none is known."""
        if self.probability is None:
            return np.full((1, window.height, window.width), NODATA, np.uint8)
        return np.stack([_highest(one.read(window)) for one in (self.probability, *self._steps)])


@contextmanager
def opened(
    files: Mapping[str, Path | str], open_raster: OpenRaster, threshold: int
) -> Iterator[Rasters]:
    """Opens the rasters of a scene.

    Args:
        files: By what they are.
        open_raster: Opens one.
        threshold: The lowest level that is in the mask.
    """
    with ExitStack() as stack:
        first = stack.enter_context(open_raster(files["probability"]))
        mask = first
        if first.graded and "mask" in files:
            mask = stack.enter_context(open_raster(files["mask"]))
        steps = [stack.enter_context(open_raster(path)) for path in steps_in(files)]
        yield Rasters(mask, first if first.graded else None, steps, threshold)


def within_mask(levels: NDArray[np.uint8], threshold: int) -> NDArray[np.bool_]:
    """Where levels of a mask are foreground."""
    inside: NDArray[np.bool_] = (levels >= threshold) & (levels != NODATA)
    return inside


def _highest(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The highest level of all foreground classes [h, w]."""
    highest: NDArray[np.uint8] = levels.max(axis=0)
    return highest
