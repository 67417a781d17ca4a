"""Precision and recall at every threshold, and what is read off their curve.

Every array may have any shape in front: [..., 256] are as many curves as the front has elements,
one for each scene or each resampling of scenes. A number that is undefined is nan.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiling.blend import TOP

Values = NDArray[np.float64]
"""A number for each set of counts [...], nan where it is undefined."""


Number = float | None
"""A score of a single set of counts; None where it is undefined."""


Score = TypeVar("Score")
"""`Values` where scores are computed, `Number` where they are reported."""


LEVELS = TOP + 1
"""Number of probability levels, 0 to 254."""


HALF = 127
"""The level of probability 0.5: from it on a pixel is foreground."""


@dataclass(frozen=True)
class BreakEven(Generic[Score]):
    """Where precision equals recall.

    Attributes:
        value: Precision and recall there.
        threshold: The probability there.
    """

    value: Score
    threshold: Score


@dataclass(frozen=True)
class Best(Generic[Score]):
    """Where F1 is highest.

    Attributes:
        f1: The highest of all thresholds.
        threshold: The lowest probability that gives it.
    """

    f1: Score
    threshold: Score


@dataclass(frozen=True)
class Curve:
    """Counts by threshold: elements 0 to 254 threshold at that level, 255 predicts nothing.

    Strict scores match a pixel with itself, so `right` and `found` are the true positives both.
    Relaxed ones match it with its neighbours.

    Attributes:
        right: Predicted pixels that a labelled one matches [..., 256].
        predicted: Predicted pixels [..., 256].
        found: Labelled pixels that a predicted one matches [..., 256].
        labelled: Labelled pixels [...].
    """

    right: Values
    predicted: Values
    found: Values
    labelled: Values

    def precision(self) -> Values:
        """Share of what is predicted that is right [..., 256]; undefined where nothing is."""
        return ratio(self.right, self.predicted)

    def recall(self) -> Values:
        """Share of what is labelled that is found [..., 256]; undefined where nothing is."""
        return ratio(self.found, self.labelled[..., None])

    def f1(self) -> Values:
        """Harmonic mean of precision and recall [..., 256].

        0 where only one of prediction and label is empty, undefined where both are.
        """
        labelled = self.labelled[..., None]
        whole = self.right * labelled + self.found * self.predicted
        some = (self.predicted > 0) | (labelled > 0)
        return np.where(
            whole > 0, ratio(2 * self.right * self.found, whole), np.where(some, 0.0, np.nan)
        )

    def best(self) -> Best[Values]:
        """The highest F1 of the thresholds that predict less than everything, from level 1 on."""
        f1 = self.f1()[..., 1:LEVELS]
        level = np.nan_to_num(f1, nan=-1.0).argmax(axis=-1)
        value = np.take_along_axis(f1, level[..., None], axis=-1)[..., 0]
        # Where nothing is ever found, no threshold is better than another.
        return Best(value, np.where(value > 0, (level + 1) / TOP, np.nan))

    def break_even(self) -> BreakEven[Values]:
        """Where precision equals recall, at the lowest threshold if at several.

        Between two levels the counts are interpolated linearly, as if the pixels of a level
        left one after the other. Undefined where nothing is labelled.
        """
        labelled = self.labelled[..., None]
        # Precision is below recall where this is negative; at the end nothing is predicted.
        balance = self.right * labelled - self.found * self.predicted
        after = (balance >= 0).argmax(axis=-1)[..., None]
        before = np.maximum(after - 1, 0)
        (right, right_step), (predicted, predicted_step), (found, found_step) = (
            (start, np.take_along_axis(values, after, -1) - start)
            for values in (self.right, self.predicted, self.found)
            for start in [np.take_along_axis(values, before, -1)]
        )
        # Precision equals recall: right labelled = found predicted, each a step s further.
        part = _first_root(
            -found_step * predicted_step,
            right_step * labelled - found * predicted_step - found_step * predicted,
            right * labelled - found * predicted,
        )
        value = ratio(found + part * found_step, labelled)[..., 0]
        threshold = np.minimum(1.0, (before + part * (after - before)) / TOP)[..., 0]
        return BreakEven(value, np.where(np.isnan(value), np.nan, threshold))

    def average_precision(self) -> Values:
        """Mean of precision, weighted by what recall gains at each threshold (no interpolation)."""
        gained = -np.diff(self.recall(), axis=-1)
        area = np.where(gained > 0, gained * self.precision()[..., :-1], 0.0).sum(axis=-1)
        return np.where(self.labelled > 0, area, np.nan)


def ratio(part: Values | float, whole: Values | float) -> Values:
    """Quotients; nan where the denominator is zero."""
    part, whole = np.broadcast_arrays(part, whole)
    quotient: Values = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
    return quotient


def mean_of_defined(values: Values) -> Values:
    """Means over the last axis of what is defined; nan where nothing is."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(float))


def sd_of_defined(values: Values) -> Values:
    """Standard deviation of what is defined [n], with n - 1; nan with fewer than two."""
    defined = values[~np.isnan(values)]
    return np.asarray(defined.std(ddof=1) if len(defined) > 1 else np.nan)


def _first_root(a: Values, b: Values, c: Values) -> Values:
    """The smallest s in 0..1 with a s^2 + b s + c = 0, where c <= 0 <= a + b + c; else 1."""
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))
    # The form of the quadratic formula that never subtracts two numbers of a size.
    q = -0.5 * (b + np.where(b >= 0, root, -root))
    both = np.stack(np.broadcast_arrays(ratio(q, a), ratio(c, q)))
    inside = (both >= -1e-9) & (both <= 1 + 1e-9)
    first: Values = np.where(inside, both, 1.0).min(axis=0).clip(0.0, 1.0)
    return first
