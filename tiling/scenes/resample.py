"""Other pixel sizes: a scene, or a result, on a finer or coarser grid over the same ground."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from tiling.scenes.scene import Pixels, Scene, Valid, WrappedScene
from tiling.window import Window, split

_ROWS_AT_ONCE = 256
"""Target rows that are made at once, so that what is held in between stays small."""

_SOURCE_AT_ONCE = 2048
"""Side, in source pixels, of the pieces that are made at once."""


@dataclass(frozen=True)
class _Axis:
    """The triangle filter along one axis: which source pixels make a target pixel.

    Pixel x of the source, of S, and pixel i of the target, of T, have their centres
    |(2x + 1) T - (2i + 1) S| / 2T source pixels apart. Distances are kept times 2T, in whole
    numbers, so that no rounding depends on where a window starts.
    """

    source: int
    target: int

    @property
    def reach(self) -> int:
        """Half the filter's width, in units of half a target's share of a source pixel."""
        return 2 * max(self.source, self.target)

    @property
    def taps(self) -> int:
        """How many source pixels may have a part in a target pixel."""
        return -(-self.reach // self.target)

    def first(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first source pixel, it may lie outside, with a part in each target pixel."""
        start = (2 * pixels + 1) * self.source - self.reach - self.target
        return start // (2 * self.target) + 1

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Source pixels that make the target pixels from `start` to before `stop`."""
        first = int(self.first(np.array([start]))[0])
        end = (2 * stop - 1) * self.source + self.reach - self.target
        return max(0, first), min(self.source, -(-end // (2 * self.target)))

    def weights(self, start: int, stop: int, tap: int) -> tuple[NDArray[np.int64], Pixels]:
        """The source pixel that is number `tap` for each target pixel, and its weight, 0 to 1."""
        pixels = np.arange(start, stop)
        places = self.first(pixels) + tap
        apart = np.abs((2 * places + 1) * self.target - (2 * pixels + 1) * self.source)
        weights = np.maximum(0, self.reach - apart) / self.reach
        weights[(places < 0) | (places >= self.source)] = 0
        return places, weights


@dataclass(frozen=True)
class Resampling:
    """Bilinear resampling, antialiased where the target is coarser (as Pillow does it).

    Attributes:
        source: Rows and columns of what is read.
        target: Rows and columns, over the same ground, of what is made.
    """

    source: tuple[int, int]
    target: tuple[int, int]

    @cached_property
    def _axes(self) -> tuple[_Axis, _Axis]:
        return (
            _Axis(self.source[0], self.target[0]),
            _Axis(self.source[1], self.target[1]),
        )

    def pieces(self, window: Window) -> Iterator[Window]:
        """Cuts a window of the target into pieces that few source pixels are read for.

        A source that is ten times as fine has a hundred pixels for each of the target's.
        """
        least = min(
            _SOURCE_AT_ONCE * target // source
            for source, target in zip(self.source, self.target, strict=True)
        )
        for piece in split(window.height, window.width, max(1, least)):
            yield Window(
                window.row + piece.row, window.column + piece.column, piece.height, piece.width
            )

    def source_window(self, window: Window) -> Window:
        """The source pixels that a window of the target is made of."""
        down, across = self._axes
        top, bottom = down.span(window.row, window.bottom)
        left, right = across.span(window.column, window.right)
        return Window(top, left, bottom - top, right - left)

    def __call__(
        self, pixels: Pixels, valid: Valid, window: Window
    ) -> tuple[NDArray[np.float32], Valid]:
        """Makes a window of the target; its pixels are the same, to the bit, in any window.

        Args:
            pixels: Of `source_window(window)` [bands, h, w].
            valid: Which of them are there [h, w]; the others have no part in any pixel.
            window: Of the target.

        Returns:
            Pixels [bands, window.height, window.width], 0 where there are none, and which are
            there: those with a source pixel that is.
        """
        bands = len(pixels)
        made = np.empty((bands, window.height, window.width), np.float32)
        there = np.empty((window.height, window.width), bool)
        source = self.source_window(window)
        for first in range(0, window.height, _ROWS_AT_ONCE):
            height = min(_ROWS_AT_ONCE, window.height - first)
            strip = Window(window.row + first, window.column, height, window.width)
            needed = self.source_window(strip)
            rows, _ = needed.slices(source)
            inside = slice(first, first + height)
            weight = self._filtered(valid[rows], strip, needed)
            np.greater(weight, 0, out=there[inside])
            weight[weight == 0] = 1
            for band in range(bands):
                known = np.where(valid[rows], pixels[band, rows], 0)
                made[band, inside] = self._filtered(known, strip, needed) / weight
        return made, there

    def _filtered(self, plane: Pixels, window: Window, source: Window) -> NDArray[np.float64]:
        """Weighted sums [h, w] of a plane that starts where `source` does."""
        down, across = self._axes
        rows = np.zeros((window.height, source.width))
        for tap in range(down.taps):
            places, weights = down.weights(window.row, window.bottom, tap)
            nearest = (places - source.row).clip(0, source.height - 1)
            rows += plane[nearest] * weights[:, None]
        columns = np.zeros((window.height, window.width))
        for tap in range(across.taps):
            places, weights = across.weights(window.column, window.right, tap)
            nearest = (places - source.column).clip(0, source.width - 1)
            columns += rows[:, nearest] * weights
        return columns


class ResampledScene(WrappedScene):
    """A scene at another size, over the same ground.

    Args:
        scene: What is resampled.
        height: Rows wanted.
        width: Columns wanted.
    """

    def __init__(self, scene: Scene, height: int, width: int) -> None:
        super().__init__(scene)
        self.resampling = Resampling((scene.height, scene.width), (height, width))

    @property
    def height(self) -> int:
        """See `Scene`."""
        return self.resampling.target[0]

    @property
    def width(self) -> int:
        """See `Scene`."""
        return self.resampling.target[1]

    @property
    def transform(self) -> Affine:
        """See `Scene`."""
        inner = self.scene.transform
        down, across = self.scene.height / self.height, self.scene.width / self.width
        return Affine(
            inner.a * across, inner.b * down, inner.c, inner.d * across, inner.e * down, inner.f
        )

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`; whole numbers are rounded."""
        pixels = np.empty((self.bands, window.height, window.width), self.dtype)
        there = np.empty((window.height, window.width), bool)
        for target in self.resampling.pieces(window):
            piece = target.slices(window)
            made, valid = self.resampling(
                *self.scene.read(self.resampling.source_window(target)), target
            )
            pixels[:, *piece] = _as_type(made, self.dtype)
            there[piece] = valid
        return pixels, there


def _as_type(pixels: NDArray[np.float32], dtype: np.dtype[Any]) -> Pixels:
    """A mean lies between its values, so none leaves the range of the type they were of."""
    return (np.rint(pixels) if dtype.kind in "iu" else pixels).astype(dtype, copy=False)
