"""Relaxed precision and recall: a pixel may match one nearby (Mnih, 2013, section 6.1).

Precision is the share of predicted pixels with a labelled one within rho, recall the share of
labelled pixels with a predicted one within rho. Both are exact at every threshold: a labelled
pixel is found at the thresholds up to the highest level within rho of it.
"""

from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

from pipelines.scores.curve import LEVELS, Curve
from pipelines.scores.histogram import Counts, Histogram, curve_of
from tiling.blend import NODATA
from tiling.window import Window


@dataclass(frozen=True)
class Disc:
    """The pixels within a Euclidean distance of one.

    Attributes:
        rho: The distance in pixels; 0 is the pixel alone.
    """

    rho: float

    @property
    def margin(self) -> int:
        """Pixels around a window that its counts depend on."""
        return floor(self.rho)

    def highest(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The highest value within the distance of each pixel [h, w]; there is none outside."""
        height, width = values.shape
        margin = self.margin
        padded = np.pad(values, margin)
        # The highest in each run of 2 n + 1 pixels of a row, for the run that is added last.
        run = padded[:, margin : margin + width].copy()
        found, reach = values.copy(), 0
        # A disc is a stack of runs: from its outermost row, which is the shortest, to the middle.
        for away in range(margin, -1, -1):
            half = floor((self.rho**2 - away**2) ** 0.5)
            while reach < half:
                reach += 1
                for start in (margin - reach, margin + reach):
                    np.maximum(run, padded[:, start : start + width], out=run)
            for start in {margin - away, margin + away}:
                np.maximum(found, run[start : start + height], out=found)
        return found


class RelaxedHistogram:
    """Counts of a scene, window by window.

    Args:
        disc: What is near.

    Attributes:
        near: Pixels by whether a labelled one is near (0 no, 1 yes) and their level.
        reached: Labelled pixels by the highest level near them [255].
    """

    def __init__(self, disc: Disc) -> None:
        self._disc = disc
        self.near = Histogram()
        self.reached: Counts = np.zeros(LEVELS, np.int64)

    def add(
        self, levels: NDArray[np.uint8], label: NDArray[np.bool_], window: Window, around: Window
    ) -> None:
        """Counts the pixels of a window.

        Args:
            levels: Probability levels [h, w] of `around`; what is 255 neither counts nor matches.
            label: True where the label is foreground [h, w].
            window: What is counted.
            around: The same, grown by the margin and cut off at the scene's border.
        """
        inside = window.slices(around)
        counted = levels != NODATA
        labelled = label & counted
        near = self._disc.highest(labelled.astype(np.uint8)) > 0
        self.near.add(levels[inside], near[inside])
        reached = self._disc.highest(np.where(counted, levels, np.uint8(0)))
        self.reached += np.bincount(reached[inside][labelled[inside]], minlength=LEVELS)


def relaxed_curve_of(near: Counts, reached: Counts) -> Curve:
    """The curve of counts [..., 2, 255] and [..., 255]."""
    of_predicted = curve_of(near)
    tail = reached[..., ::-1].cumsum(axis=-1)[..., ::-1].astype(np.float64)
    found = np.concatenate([tail, np.zeros((*tail.shape[:-1], 1))], axis=-1)
    return Curve(of_predicted.right, of_predicted.predicted, found, found[..., 0])
