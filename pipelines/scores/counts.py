"""All that is counted of a scene: it adds up over scenes, and every score is taken from it."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.scores.curve import HALF
from pipelines.scores.histogram import Histogram
from pipelines.scores.relaxed import Disc, RelaxedHistogram
from pipelines.scores.topology import TopologyCounts
from tiling.blend import NODATA, TOP
from tiling.masks.mask import class_mask
from tiling.window import Window


@dataclass(frozen=True)
class OwnThreshold:
    """The foreground as a whole at thresholds that scenes have for themselves.

    Attributes:
        level: The threshold, or the mean of several scenes' [...].
        strict: Pixels by label, and by whether they are below or from the level on [..., 2, 2].
        near: Pixels by whether a labelled one is near, and the same [..., 2, 2].
        reached: Labelled pixels by whether one from the level on is near [..., 2].
    """

    level: NDArray[Any]
    strict: NDArray[Any]
    near: NDArray[Any]
    reached: NDArray[Any]


@dataclass(frozen=True)
class SceneCounts:
    """Counts of a scene, or of several added up.

    Of `targets` the first is the foreground as a whole; with several foreground classes each of
    them follows. Arrays may have any shape in front, see `pipelines.scores.curve`.

    Attributes:
        strict: Pixels by label and level [..., targets, 2, 255].
        near: Pixels by whether a labelled one is near and level [..., targets, 2, 255].
        reached: Labelled pixels by the highest level near [..., targets, 255].
        confusion: Pixels by label's and predicted class at 0.5 [..., classes, classes].
        topology: `TopologyCounts` as numbers [..., fields]; None where not asked for.
        rho: What is near, in pixels.
        graded: Whether levels are probabilities; a drawing has no threshold that could be moved.
        own: At the scenes' own thresholds; None where all have one.
    """

    strict: NDArray[Any]
    near: NDArray[Any]
    reached: NDArray[Any]
    confusion: NDArray[Any]
    topology: NDArray[Any] | None
    rho: float
    graded: bool
    own: OwnThreshold | None = None


def combined(counts: Sequence[SceneCounts], times: NDArray[Any] | None = None) -> SceneCounts:
    """Adds up scenes.

    Args:
        counts: Of scenes scored alike.
        times: How often each scene is taken [..., scenes]; None takes each once.
    """
    weights = np.ones(len(counts)) if times is None else times.astype(np.float64)

    def total(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.tensordot(weights, np.stack(arrays).astype(np.float64), axes=1)

    topologies = [one.topology for one in counts if one.topology is not None]
    owns = [one.own for one in counts if one.own is not None]
    own = None
    if len(owns) == len(counts):
        own = OwnThreshold(
            total([one.level for one in owns]) / weights.sum(axis=-1),
            total([one.strict for one in owns]),
            total([one.near for one in owns]),
            total([one.reached for one in owns]),
        )
    return SceneCounts(
        total([one.strict for one in counts]),
        total([one.near for one in counts]),
        total([one.reached for one in counts]),
        total([one.confusion for one in counts]),
        total(topologies) if len(topologies) == len(counts) else None,
        counts[0].rho,
        all(one.graded for one in counts),
        own,
    )


class Counter:
    """Counts a scene window by window, in any order.

    Args:
        classes: How many there are, background included.
        disc: What is near.
    """

    def __init__(self, classes: int, disc: Disc) -> None:
        self._classes = classes
        self._disc = disc
        targets = 1 if classes == 2 else classes
        self._strict = [Histogram() for _ in range(targets)]
        self._relaxed = [RelaxedHistogram(disc) for _ in range(targets)]
        self._confusion = np.zeros((classes, classes), np.int64)

    def add(
        self, levels: NDArray[np.uint8], label: NDArray[np.uint8], window: Window, around: Window
    ) -> None:
        """Counts the pixels of a window.

        Args:
            levels: Of the foreground classes [classes - 1, h, w] in `around`; 255 does not count.
            label: Classes [h, w], or `IGNORE_INDEX`.
            window: What is counted.
            around: The same with what may lie near, cut off at the scene's border.
        """
        inside = window.slices(around)
        left_out = (levels[0] == NODATA) | (label == IGNORE_INDEX)
        targets = [(together(levels), label > 0)]
        if self._classes > 2:
            targets += [(band, label == index) for index, band in enumerate(levels, start=1)]
            classes = class_mask(levels[:, *inside], HALF)
            kept = ~left_out[inside]
            pairs = label[inside][kept].astype(np.int64) * self._classes + classes[kept]
            self._confusion += np.bincount(pairs, minlength=self._confusion.size).reshape(
                self._confusion.shape
            )
        for strict, relaxed, (of_target, truth) in zip(
            self._strict, self._relaxed, targets, strict=True
        ):
            of_target = np.where(left_out, np.uint8(NODATA), of_target)
            strict.add(of_target[inside], truth[inside])
            relaxed.add(of_target, truth, window, around)

    def counts(
        self, topology: TopologyCounts | None, *, graded: bool, level: int | None = None
    ) -> SceneCounts:
        """What was counted.

        Args:
            topology: See `SceneCounts`.
            graded: See `SceneCounts`.
            level: The scene's own threshold; None where all scenes have one.
        """
        strict = np.stack([histogram.counts for histogram in self._strict])
        confusion = self._confusion
        if self._classes == 2:
            by_label = strict[0]
            above = by_label[:, HALF:].sum(axis=1)
            confusion = np.stack([by_label.sum(axis=1) - above, above], axis=1)
        own = None
        if level is not None:
            first = self._relaxed[0]
            own = OwnThreshold(
                np.asarray(level, np.float64),
                _cut(strict[0], level),
                _cut(first.near.counts, level),
                _cut(first.reached, level),
            )
        return SceneCounts(
            strict,
            np.stack([relaxed.near.counts for relaxed in self._relaxed]),
            np.stack([relaxed.reached for relaxed in self._relaxed]),
            confusion,
            None if topology is None else np.array(astuple(topology)),
            self._disc.rho,
            graded,
            own,
        )


def _cut(counts: NDArray[Any], level: int) -> NDArray[Any]:
    """Counts by level [..., 255] as those below a level and those from it on [..., 2]."""
    return np.stack([counts[..., :level].sum(axis=-1), counts[..., level:].sum(axis=-1)], axis=-1)


def together(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Levels [h, w] of the foreground as a whole, from those of its classes [classes, h, w]."""
    if len(levels) == 1:
        only: NDArray[np.uint8] = levels[0]
        return only
    total = np.minimum(levels.sum(axis=0, dtype=np.int64), TOP)
    whole: NDArray[np.uint8] = np.where(levels[0] == NODATA, NODATA, total).astype(np.uint8)
    return whole
