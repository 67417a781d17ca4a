"""Counts of (label, probability level), exact at every threshold.

Levels are those of `probability.tif`: 0 to 254, level = round(254 * p). Counts add up over
tiles, scenes and workers, so a score needs no pixel to be kept.
"""

from dataclasses import dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import LabelError
from pipelines.scores.curve import LEVELS, Curve, Score, Values, ratio
from tiling.blend import TOP

Counts = NDArray[np.int64]


BINS = 10
"""Number of bins of the reliability diagram."""


@dataclass(frozen=True)
class Foreground(Generic[Score]):
    """Scores of a class at one threshold.

    Attributes:
        precision: Share of the predicted pixels that is labelled.
        recall: Share of the labelled pixels that is predicted.
        f1: Their harmonic mean (Dice).
        iou: Share of the pixels predicted or labelled that is both (Jaccard).
        specificity: Share of the pixels not labelled that is not predicted.
        accuracy: Share of all pixels that is right.
        mcc: Matthews' correlation coefficient, -1 to 1.
    """

    precision: Score
    recall: Score
    f1: Score
    iou: Score
    specificity: Score
    accuracy: Score
    mcc: Score


@dataclass(frozen=True)
class Bin(Generic[Score]):
    """The pixels of one bin of the reliability diagram; undefined where it is empty.

    Attributes:
        probability: Mean of their predicted probabilities.
        share: Share of them that is foreground.
        pixels: How many they are.
    """

    probability: Score
    share: Score
    pixels: Score


@dataclass(frozen=True)
class Calibration(Generic[Score]):
    """Whether of the pixels predicted at 0.7 seven in ten are foreground.

    Attributes:
        ece: Expected calibration error: mean of |share - probability| over the pixels.
        bins: Of probabilities [0, 0.1], (0.1, 0.2], ..., (0.9, 1].
    """

    ece: Score
    bins: tuple[Bin[Score], ...]


class Histogram:
    """Counts [2, 255] of pixels by label (0 background, 1 foreground) and level."""

    def __init__(self) -> None:
        self.counts: Counts = np.zeros((2, LEVELS), np.int64)

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
        # Level 255 is counted too, in a bin of its own, for that is faster than to leave it out.
        index = levels.astype(np.int64)
        index[label] += LEVELS + 1
        every = index.ravel() if counted is None else index[counted]
        counts = np.bincount(every, minlength=2 * (LEVELS + 1)).reshape(2, LEVELS + 1)
        self.counts += counts[:, :LEVELS]


def curve_of(counts: Counts) -> Curve:
    """The strict curve of counts [..., 2, 255]."""
    tail = counts[..., ::-1].cumsum(axis=-1)[..., ::-1].astype(np.float64)
    ends = np.concatenate([tail, np.zeros((*tail.shape[:-1], 1))], axis=-1)
    true = ends[..., 1, :]
    return Curve(true, ends.sum(axis=-2), true, true[..., 0])


def foreground_at(counts: Counts, level: int) -> Foreground[Values]:
    """Scores of counts [..., 2, 255] where pixels from `level` on count as foreground."""
    below, above = (
        part.sum(axis=-1).astype(np.float64)
        for part in (counts[..., :level], counts[..., level:])
    )  # fmt: skip
    true, wrong = above[..., 1], above[..., 0]
    missed, rejected = below[..., 1], below[..., 0]
    # Factor by factor under the root: a product of four would leave the range where floats count.
    spread = np.sqrt(true + wrong) * np.sqrt(true + missed)
    spread = spread * np.sqrt(rejected + wrong) * np.sqrt(rejected + missed)
    return Foreground(
        precision=ratio(true, true + wrong),
        recall=ratio(true, true + missed),
        f1=ratio(2 * true, 2 * true + wrong + missed),
        iou=ratio(true, true + wrong + missed),
        specificity=ratio(rejected, rejected + wrong),
        accuracy=ratio(true + rejected, true + wrong + missed + rejected),
        mcc=ratio(true * rejected - wrong * missed, spread),
    )


def roc_auc(counts: Counts) -> Values:
    """Area under the ROC curve of counts [..., 2, 255]; a tie counts half.

    It is the chance that a foreground pixel has a higher level than a background pixel.
    """
    background, foreground = (counts[..., label, :].astype(np.float64) for label in (0, 1))
    lower = background.cumsum(axis=-1) - background / 2
    pairs = background.sum(axis=-1) * foreground.sum(axis=-1)
    return ratio((foreground * lower).sum(axis=-1), pairs)


def calibration(counts: Counts) -> Calibration[Values]:
    """The reliability diagram of counts [..., 2, 255].

    Of the foreground's probability (Naeini et al., AAAI 2015), not of that of the likelier class.
    """
    levels = np.arange(LEVELS)
    bins = np.maximum(-(-levels * BINS // TOP) - 1, 0)
    first = np.searchsorted(bins, np.arange(BINS))
    pixels = counts.sum(axis=-2).astype(np.float64)
    total = np.add.reduceat(pixels, first, axis=-1)
    probability = ratio(np.add.reduceat(pixels * (levels / TOP), first, axis=-1), total)
    share = ratio(np.add.reduceat(counts[..., 1, :].astype(np.float64), first, axis=-1), total)
    gap = np.where(total > 0, np.abs(np.nan_to_num(share - probability)) * total, 0.0)
    return Calibration(
        ratio(gap.sum(axis=-1), total.sum(axis=-1)),
        tuple(Bin(probability[..., i], share[..., i], total[..., i]) for i in range(BINS)),
    )
