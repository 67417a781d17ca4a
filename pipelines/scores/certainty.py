"""Whether a prediction is wrong where it is unsure."""

from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from pipelines.scores.curve import HALF, LEVELS, Score, Values, ratio

LEAST_SURE = 0.05
"""Share of the pixels in which errors are looked for first."""


@dataclass(frozen=True)
class Certainty(Generic[Score]):
    """How well doubt tells errors, at probability 0.5.

    Attributes:
        aurc: Area under the risk-coverage curve (Geifman et al., *Bias-reduced uncertainty
            estimation for deep neural classifiers*, ICLR 2019): the share of errors among the
            surest pixels, as a mean over all numbers of them. 0 is best.
        errors_found: Share of all errors that are among the 5 % least sure pixels.
    """

    aurc: Score
    errors_found: Score


def certainty_of(counts: NDArray[Any]) -> Certainty[Values]:
    """How well the distance from one half tells errors.

    Args:
        counts: Pixels by label and level [..., 2, 255].
    """
    levels = np.arange(LEVELS)
    wrong = np.where(levels >= HALF, counts[..., 0, :], counts[..., 1, :]).astype(np.float64)
    # From one half to the ends: two levels each, but for one half itself.
    by_doubt = [_folded(one) for one in (counts.sum(axis=-2).astype(np.float64), wrong)]
    return told_by(*by_doubt)


def told_by(pixels: NDArray[Any], wrong: NDArray[Any]) -> Certainty[Values]:
    """How well some measure of doubt tells errors; pixels that it does not tell apart share them.

    Args:
        pixels: How many there are of each doubt, the least sure first [..., n].
        wrong: How many of them are wrong [..., n].
    """
    every, errors = pixels.sum(axis=-1), wrong.sum(axis=-1)
    # Before the pixels of a doubt come those that are surer.
    surer, surer_wrong = (
        one.sum(axis=-1, keepdims=True) - one.cumsum(axis=-1) for one in (pixels, wrong)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = wrong / pixels
        grown = (surer_wrong - rate * surer) * np.log((surer + pixels) / surer)
    # The integral of (surer_wrong + rate * (x - surer)) / x over the pixels of a doubt.
    area = np.where(pixels > 0, np.where(surer > 0, grown, 0.0) + wrong, 0.0).sum(axis=-1)
    first = pixels.cumsum(axis=-1) - pixels
    wanted = np.asarray(every)[..., None] * LEAST_SURE
    taken = np.clip(ratio(wanted - first, pixels), 0, 1)
    found = np.where(pixels > 0, taken * wrong, 0.0).sum(axis=-1)
    return Certainty(aurc=ratio(area, every), errors_found=ratio(found, errors))


def _folded(of_levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Levels that are equally far from one half together, the nearest first."""
    upper, lower = of_levels[..., HALF:], of_levels[..., : HALF + 1][..., ::-1].copy()
    lower[..., 0] = 0
    folded: NDArray[np.float64] = upper + lower
    return folded
