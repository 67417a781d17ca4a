"""Scores from counts of (label, probability level), exact at every threshold.

Levels are those of `probability.tif`: 0 to 254, level = round(254 * p). Counts add up over
tiles, scenes and workers, so a score needs no pixel to be kept.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import LabelError

LEVELS = 255
"""Number of levels, 0 to 254."""

HALF = 127
"""The level of probability 0.5: from it on a pixel is foreground."""


@dataclass(frozen=True)
class Foreground:
    """Scores of the foreground class at one threshold, each 0 to 1, or nan where undefined."""

    precision: float
    recall: float
    f1: float
    iou: float


@dataclass(frozen=True)
class BreakEven:
    """Where precision equals recall.

    Attributes:
        value: Precision and recall there.
        threshold: The probability there.
    """

    value: float
    threshold: float


@dataclass(frozen=True)
class ClassMean:
    """Means over background and foreground, as in the tables of the recurrent U-Net's paper."""

    iou: float
    recall: float
    precision: float
    f1: float
    break_even: float


@dataclass(frozen=True)
class Scores:
    """All scores of a scene or of several pooled.

    Attributes:
        foreground: At probability 0.5.
        break_even: Of the foreground.
        class_mean: At 0.5, and at the break-even.
        pixels: How many were counted.
        foreground_share: Share of them that is foreground in the label.
    """

    foreground: Foreground
    break_even: BreakEven
    class_mean: ClassMean
    pixels: int
    foreground_share: float

    def as_dict(self) -> dict[str, Any]:
        """Nested dictionaries of plain numbers; None in place of what is undefined."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: plain(inner) for key, inner in value.items()}
            return None if isinstance(value, float) and np.isnan(value) else value

        result: dict[str, Any] = plain(asdict(self))
        return result


class Histogram:
    """Counts [2, 255] of pixels by label (0 background, 1 foreground) and level.

    Args:
        counts: [2, 255] to start from; zeros where None.
    """

    def __init__(self, counts: NDArray[np.int64] | None = None) -> None:
        self.counts = np.zeros((2, LEVELS), np.int64) if counts is None else counts

    def __add__(self, other: "Histogram") -> "Histogram":
        return Histogram(self.counts + other.counts)

    def add(
        self,
        levels: NDArray[np.uint8],
        label: NDArray[np.bool_],
        counted: NDArray[np.bool_] | None = None,
    ) -> None:
        """Counts pixels.

        Args:
            levels: Probability levels of any shape; 255 (nodata) is not counted.
            label: True where the label is foreground, same shape.
            counted: False where a pixel is left out, same shape; None counts all.

        Raises:
            LabelError: The shapes differ.
        """
        if levels.shape != label.shape:
            raise LabelError(f"label is {label.shape}, but the prediction is {levels.shape}")
        kept = levels < LEVELS
        if counted is not None:
            kept &= counted
        index = levels[kept].astype(np.int64) + LEVELS * label[kept]
        self.counts += np.bincount(index, minlength=2 * LEVELS).reshape(2, LEVELS)

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Precision and recall [255] of the foreground, thresholded from level 0 to level 254.

        Precision is nan where nothing is predicted, recall where nothing is labelled.
        """
        true, predicted, labelled = self._positives()
        with np.errstate(invalid="ignore", divide="ignore"):
            return true / predicted, true / labelled if labelled else np.full(LEVELS, np.nan)

    def at(self, level: int) -> Foreground:
        """Foreground scores where pixels from `level` on count as foreground."""
        true, predicted, labelled = self._positives()
        return _foreground(int(true[level]), int(predicted[level]), labelled)

    def best_level(self) -> int:
        """The level whose threshold gives the highest foreground F1; 127 where none gives any."""
        f1 = np.nan_to_num([self.at(level).f1 for level in range(1, LEVELS)])
        return 1 + int(np.argmax(f1)) if f1.any() else HALF

    def break_even(self) -> BreakEven:
        """Where precision equals recall, between two levels by linear interpolation."""
        return self._break_even()[0]

    def scores(self) -> Scores:
        """Everything a report shows."""
        true, predicted, labelled = self._positives()
        total = int(self.counts.sum())
        t, p = int(true[HALF]), int(predicted[HALF])
        foreground = _foreground(t, p, labelled)
        background = _foreground(total - labelled - (p - t), total - p, total - labelled)
        point, error = self._break_even()
        background_labelled = total - labelled
        other = 1 - error / background_labelled if background_labelled else float("nan")
        both = (background, foreground)
        return Scores(
            foreground=foreground,
            break_even=point,
            class_mean=ClassMean(
                iou=_mean([c.iou for c in both]),
                recall=_mean([c.recall for c in both]),
                precision=_mean([c.precision for c in both]),
                f1=_mean([c.f1 for c in both]),
                break_even=_mean([other, point.value]),
            ),
            pixels=total,
            foreground_share=labelled / total if total else float("nan"),
        )

    def _positives(self) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """True positives and predicted positives by threshold level, and labelled positives."""
        tail = self.counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        return tail[1], tail.sum(axis=0), int(self.counts[1].sum())

    def _break_even(self) -> tuple[BreakEven, float]:
        """The break-even, and how many foreground pixels are missed there.

        Precision equals recall where as many pixels are predicted as are labelled: then the
        missed and the wrongly found are as many, and the background's precision equals its
        recall at the same threshold. So the class mean breaks even there too.
        """
        true, predicted, labelled = self._positives()
        if not labelled:
            return BreakEven(float("nan"), float("nan")), float("nan")
        # predicted falls with the threshold; a level past the last predicts nothing.
        found = np.append(true, 0).astype(float)
        amount = np.append(predicted, 0).astype(float)
        after = int(np.argmax(amount <= labelled))
        before = max(0, after - 1)
        step = amount[before] - amount[after]
        part = (amount[before] - labelled) / step if step > 0 else 0.0
        at_point = found[before] + part * (found[after] - found[before])
        threshold = (before + part * (after - before)) / (LEVELS - 1)
        return BreakEven(float(at_point / labelled), float(min(1.0, threshold))), float(
            labelled - at_point
        )


def _foreground(true: int, predicted: int, labelled: int) -> Foreground:
    """Scores from counts; nan where the denominator is zero."""
    union = predicted + labelled - true
    return Foreground(
        precision=_ratio(true, predicted),
        recall=_ratio(true, labelled),
        f1=_ratio(2 * true, predicted + labelled),
        iou=_ratio(true, union),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _mean(values: list[float]) -> float:
    """Mean of what is defined: a class that is neither labelled nor predicted is left out."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
