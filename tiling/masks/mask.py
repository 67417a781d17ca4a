"""From levels to classes, and what is too small to be one."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tiling.blend import NODATA, TOP
from tiling.masks.sieve import HOLES, SPECKS, Regions
from tiling.spool import Spool
from tiling.window import Window


def threshold_level(threshold: float) -> int:
    """The level from which on a pixel is foreground: 127 for a probability of 0.5."""
    return max(1, int(np.ceil(threshold * TOP - 1e-9)))


def likeliest_class(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The number, from 1 on, of the band with the highest level [h, w], the first where two tie."""
    best: NDArray[np.uint8] = levels.argmax(axis=0).astype(np.uint8) + np.uint8(1)
    return best


def class_mask(levels: NDArray[np.uint8], threshold: int) -> NDArray[np.uint8]:
    """The class of each pixel: 0 background, 1 for the first band, ..., 255 not there.

    With one band a pixel is foreground from the level `threshold` on. With several it is of the
    class with the highest level, where that one's odds against the background are those of the
    threshold: at 127 the highest of all, background included.

    Args:
        levels: Of the foreground classes [classes, h, w], 0 to 254; 255 not there.
        threshold: A level from 1 to 254.
    """
    if len(levels) == 1:
        (level,) = levels
        # NODATA has all bits set. A table would take ten times as long.
        missing = (level == NODATA).view(np.uint8) * np.uint8(NODATA)
        of_one: NDArray[np.uint8] = (level >= threshold).view(np.uint8) | missing
        return of_one
    best = levels.max(axis=0).astype(np.int32)
    background = np.maximum(0, TOP - levels.sum(axis=0, dtype=np.int32))
    foreground = best * (TOP - threshold) >= background * threshold
    classes = np.where(foreground, levels.argmax(axis=0) + 1, 0)
    result: NDArray[np.uint8] = np.where(levels[0] == NODATA, NODATA, classes).astype(np.uint8)
    return result


class Cleaning:
    """Takes specks out of a mask, and then fills holes, of fewer than `minimum` pixels.

    A region's size is that of the whole of it, across all windows. So all windows are put aside
    until the last one has been added.

    Args:
        height: Rows of the scene.
        width: Columns.
        minimum: In pixels.
        spool: Where windows are put aside.
    """

    def __init__(self, height: int, width: int, minimum: int, spool: Spool) -> None:
        self._minimum = minimum
        self._spool = spool
        self._windows: list[Window] = []
        self._specks = Regions(height, width, SPECKS)
        self._holes = Regions(height, width, HOLES)

    def add(self, window: Window, mask: NDArray[np.uint8], likeliest: NDArray[np.uint8]) -> None:
        """Takes a window.

        Args:
            window: The next one, row by row, see `tiling.window.split`.
            mask: Its classes [h, w], see `class_mask`.
            likeliest: The foreground class that a filled hole becomes [h, w].
        """
        self._specks.add(window, mask)
        self._spool.write(window, np.stack([mask, likeliest]))
        self._windows.append(window)

    def cleaned(self) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        """All windows again, in order, with their final classes [h, w]."""
        specks = self._specks.smaller_than(self._minimum)
        for window in self._windows:
            mask, likeliest = self._spool.read(window)
            kept = np.where(specks.within(window, mask), np.uint8(0), mask)
            self._holes.add(window, kept)
            self._spool.write(window, np.stack([kept, likeliest]))
        holes = self._holes.smaller_than(self._minimum)
        for window in self._windows:
            kept, likeliest = self._spool.read(window)
            yield window, np.where(holes.within(window, kept), likeliest, kept)
