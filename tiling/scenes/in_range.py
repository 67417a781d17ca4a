"""A scene whose values stay within a range."""

from math import ceil, floor

import numpy as np

from tiling.scenes.scene import Pixels, Scene, Valid, WrappedScene
from tiling.window import Window

SENTINELS = (-9999, -32767, -32768)
"""Values that many programs write for missing pixels, declared or not."""


class InRangeScene(WrappedScene):
    """A scene whose values beyond an end of a range become that end.

    Below the range, what lies lower by more than the whole range is no measurement, nor is one of
    `SENTINELS`: a pixel that has such a value in any band is missing.

    Args:
        scene: The scene.
        low: Smallest value; of whole numbers, rounded down.
        high: Largest value; of whole numbers, rounded up.
    """

    def __init__(self, scene: Scene, low: float, high: float) -> None:
        super().__init__(scene)
        self._far_below = low - (high - low)
        self._sentinels = [value for value in SENTINELS if self._far_below <= value < low]
        if self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            low, high = max(limits.min, floor(low)), min(limits.max, ceil(high))
        self._low, self._high = self.dtype.type(low), self.dtype.type(high)

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`."""
        pixels, valid = self.scene.read(window)
        clipped = pixels.clip(self._low, self._high)
        if self.dtype.kind != "u":
            valid = valid & ~(pixels < self._far_below).any(axis=0)
            for value in self._sentinels:
                valid &= ~(pixels == value).any(axis=0)
        return clipped, valid
