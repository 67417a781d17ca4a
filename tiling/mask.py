"""From levels to classes, and what is too small to be one."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tiling.blend import NODATA, TOP
from tiling.sieve import HOLES, SPECKS, find
from tiling.window import Window

Read = Callable[[Window], NDArray[np.uint8]]


def threshold_level(threshold: float) -> int:
    """The level from which on a pixel is foreground: 127 for a probability of 0.5."""
    return max(1, int(np.ceil(threshold * TOP - 1e-9)))


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
        table = (np.arange(NODATA + 1) >= threshold).astype(np.uint8)
        table[NODATA] = NODATA
        of_one: NDArray[np.uint8] = table[levels[0]]
        return of_one
    best = levels.max(axis=0).astype(np.int32)
    background = np.maximum(0, TOP - levels.sum(axis=0, dtype=np.int32))
    foreground = best * (TOP - threshold) >= background * threshold
    classes = np.where(foreground, levels.argmax(axis=0) + 1, 0)
    result: NDArray[np.uint8] = np.where(levels[0] == NODATA, NODATA, classes).astype(np.uint8)
    return result


def without_small_regions(
    mask: Read, likeliest: Read, windows: Sequence[Window], minimum: int
) -> Read:
    """A mask without specks, and then without holes, of fewer than `minimum` pixels.

    A region's size is that of the whole of it, across all windows.

    Args:
        mask: Reads the classes of a window [h, w].
        likeliest: Reads the foreground class that a filled hole becomes [h, w].
        windows: The whole scene, row by row; what is returned reads these.
        minimum: In pixels.
    """
    if minimum <= 1:
        return mask
    specks = find(mask, windows, SPECKS, minimum)

    def without_specks(window: Window) -> NDArray[np.uint8]:
        classes = mask(window)
        kept: NDArray[np.uint8] = np.where(specks.within(window, classes), np.uint8(0), classes)
        return kept

    holes = find(without_specks, windows, HOLES, minimum)

    def without_holes(window: Window) -> NDArray[np.uint8]:
        classes = without_specks(window)
        filled: NDArray[np.uint8] = np.where(
            holes.within(window, classes), likeliest(window), classes
        )
        return filled

    return without_holes
