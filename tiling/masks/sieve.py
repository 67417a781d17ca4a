"""Connected regions of a mask of any size, found and counted window by window.

A region may cross any number of windows, and its size is that of the whole of it: how the scene
is cut cannot be seen in the result. Only regions that touch their window's border are remembered,
a number each, so memory grows with the length of the cuts and not with the scene's area.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from tiling.blend import NODATA
from tiling.errors import GridError
from tiling.window import Window

Mask = NDArray[np.uint8]

_NO_REGION = -1
_OPEN = 0
"""Stands for nodata and all that is beyond the scene: one region of infinite size."""

_EDGES = np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]
"""Top, bottom, left and right of a window."""


@dataclass(frozen=True)
class Kind:
    """Regions of one kind.

    Attributes:
        inside: Says of a mask [h, w] which pixels the regions are made of.
        connectivity: 1 where pixels touch at sides only (4 neighbours), 2 at corners too (8).
        enclosed: Whether a region that touches nodata or the scene's border is never small.
    """

    inside: Callable[[Mask], NDArray[np.bool_]]
    connectivity: int
    enclosed: bool


def _is_foreground(mask: Mask) -> NDArray[np.bool_]:
    return np.asarray((mask != 0) & (mask != NODATA))


def _is_background(mask: Mask) -> NDArray[np.bool_]:
    return np.asarray(mask == 0)


SPECKS = Kind(_is_foreground, connectivity=2, enclosed=False)
"""Foreground, all classes together. What ends at the scene's border is a whole region."""

HOLES = Kind(_is_background, connectivity=1, enclosed=True)
"""Background with foreground all around; two holes that share a corner only are two."""


@dataclass(frozen=True)
class SmallRegions:
    """The regions of one kind that are too small, as `Regions` found them.

    Attributes:
        kind: What regions.
        minimum: Pixels of the smallest region that is not small.
        first: Number of the first region that touches each window's border.
        small: Whether the region of a number is small [regions on borders].
    """

    kind: Kind
    minimum: int
    first: dict[Window, int]
    small: NDArray[np.bool_]

    def within(self, window: Window, mask: Mask) -> NDArray[np.bool_]:
        """Which pixels of a window belong to a small region [h, w].

        Args:
            window: One of those the regions were found in.
            mask: What was added of it then [h, w]: the regions are numbered again, in the same
                order.
        """
        labels, sizes = _labelled(mask, self.kind)
        small = sizes < self.minimum
        crossing = _crossing(labels)
        first = self.first[window]
        small[crossing] = self.small[first : first + crossing.size]
        result: NDArray[np.bool_] = small[labels]
        return result


class Regions:
    """The regions of a scene, found as its windows are added, row by row.

    Numbers along the borders are kept for one row of windows only.

    Args:
        height: Rows of the scene.
        width: Columns.
        kind: `SPECKS` are the connected parts of the foreground, `HOLES` the background that
            reaches neither nodata nor the scene's border.
    """

    def __init__(self, height: int, width: int, kind: Kind) -> None:
        self._first: dict[Window, int] = {}
        # Regions that touch no window's border, those open to nodata left out.
        self._inner = 0
        self._height, self._width, self._kind = height, width, kind
        self._beyond = _OPEN if kind.enclosed else _NO_REGION
        # A pixel more at either end: corners touch there.
        self._above = self._bottoms = self._outside(width + 2)
        self._left = self._outside(2)
        self._last: Window | None = None
        self._count = 1
        self._sizes = [np.array([np.inf])]  # of `_OPEN`
        self._pairs = [np.empty(0, np.int64)]

    def add(self, window: Window, mask: Mask) -> None:
        """Numbers a window's regions and joins them with those above and on the left.

        Args:
            window: The next one, see `tiling.window.split`.
            mask: Its pixels [h, w]: 0 background, 1 to 254 foreground, 255 not there.

        Raises:
            GridError: The window does not follow on the one before, row by row.
        """
        self._check_place(window)
        labels, sizes = _labelled(mask, self._kind)
        crossing = _crossing(labels)
        numbers = np.full(sizes.size, _NO_REGION, np.int64)
        numbers[crossing] = self._count + np.arange(crossing.size)
        self._first[window] = self._count
        self._count += crossing.size
        self._sizes.append(sizes[crossing])
        self._inner += int(np.isfinite(sizes).sum() - np.isfinite(sizes[crossing]).sum())

        top, bottom, left, right = (
            np.where(mask[edge] == NODATA, self._beyond, numbers[labels[edge]]) for edge in _EDGES
        )
        if window.column == 0:
            self._above, self._bottoms = self._bottoms, self._outside(self._width + 2)
            self._left = self._outside(window.height + 2)
        self._join(self._above[window.column : window.right + 2], top)
        self._join(self._left, left)
        if window.right == self._width:
            self._join(self._outside(window.height + 2), right)
        if window.bottom == self._height:
            self._join(self._outside(window.width + 2), bottom)
        self._bottoms[window.column + 1 : window.right + 1] = bottom
        self._left[1:-1] = right

    def count(self) -> int:
        """How many there are, once all windows were added; those that are open do not count.

        Raises:
            GridError: Windows are lacking.
        """
        _, sizes = self._joined()
        return self._inner + int(np.isfinite(sizes).sum())

    def smaller_than(self, minimum: int) -> SmallRegions:
        """Those of fewer pixels, once all windows were added.

        Raises:
            GridError: Windows are lacking.
        """
        region, sizes = self._joined()
        return SmallRegions(self._kind, minimum, self._first, (sizes < minimum)[region])

    def _joined(self) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The region that each number is a piece of [numbers], and the regions' pixels."""
        last = self._last
        if last is None or (last.bottom, last.right) != (self._height, self._width):
            raise GridError(f"regions need windows to the scene's last pixel, not to {last}")
        one, other = np.divmod(np.concatenate(self._pairs), 2**32)
        touching = scipy.sparse.coo_array(
            (np.ones(one.size, bool), (one.astype(np.int32), other.astype(np.int32))),
            shape=(self._count, self._count),
        )
        _, region = scipy.sparse.csgraph.connected_components(touching, directed=False)
        return region, np.bincount(region, np.concatenate(self._sizes)).astype(np.float64)

    def _check_place(self, window: Window) -> None:
        """Regions are joined upward and leftward, which is all there is only in this order."""
        last, place = self._last, (window.row, window.column)
        if last is None:
            follows = place == (0, 0)
        else:
            beside = place == (last.row, last.right) and window.height == last.height
            follows = beside or (place == (last.bottom, 0) and last.right == self._width)
        if not follows:
            raise GridError(
                f"regions need windows row by row from the first on, not {window} after {last}"
            )
        self._last = window

    def _outside(self, length: int) -> NDArray[np.int64]:
        return np.full(length, self._beyond, np.int64)

    def _join(self, outer: NDArray[np.int64], inner: NDArray[np.int64]) -> None:
        """Joins numbers along a border [n] with those across it [n + 2]."""
        for shift in (1,) if self._kind.connectivity == 1 else (0, 1, 2):
            across = outer[shift : shift + inner.size]
            touch = (across != _NO_REGION) & (inner != _NO_REGION)
            # Two in one integer: unique rows of two take twice as long.
            self._pairs.append(np.unique(across[touch] * 2**32 + inner[touch]))


def _labelled(mask: Mask, kind: Kind) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Labels of a window's pixels [h, w], 0 outside regions, and sizes by label.

    What cannot be small has an infinite size: what is in no region, and what is open to nodata.
    """
    labels, _ = scipy.ndimage.label(
        kind.inside(mask), scipy.ndimage.generate_binary_structure(2, kind.connectivity)
    )
    sizes = np.bincount(labels.ravel()).astype(np.float64)
    sizes[0] = np.inf
    nodata = mask == NODATA
    if kind.enclosed and nodata.any():
        for beside in (
            labels[1:][nodata[:-1]],
            labels[:-1][nodata[1:]],
            labels[:, 1:][nodata[:, :-1]],
            labels[:, :-1][nodata[:, 1:]],
        ):
            sizes[beside] = np.inf
    return labels, sizes


def _crossing(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels on a window's border, in order."""
    found: NDArray[np.int32] = np.unique(np.concatenate([labels[edge] for edge in _EDGES]))
    return found[found > 0]
