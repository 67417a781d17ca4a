"""How far scores would move with other images of the same kind: bootstrap over scenes.

Scenes are drawn with replacement and their counts added up anew (percentile bootstrap; Efron and
Tibshirani, 1993, chapter 13). Pixels of one scene depend on each other, so they are never drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.scores.counts import SceneCounts, combined
from pipelines.scores.curve import Values, mean_of_defined, ratio
from pipelines.scores.scores import by_path, per_scene, scores_of

DRAWS = 2000
"""How often the scenes are drawn."""


_ENDS = (2.5, 97.5)


_DEFINED = 0.95
"""Share of the draws in which a score must be defined, else it has no interval."""


Interval = tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """A score of two runs on the same scenes, second minus first.

    Attributes:
        a: Of the first, all scenes pooled.
        b: Of the second.
        difference: b - a.
        interval: 95 % interval of the difference; None where it has none.
        mean: Mean of the scenes' own differences.
        mean_interval: Its 95 % interval.
    """

    a: float
    b: float
    difference: float
    interval: Interval | None
    mean: float
    mean_interval: Interval | None


def intervals(
    counts: Sequence[SceneCounts], level: int | None, classes: Sequence[str] = ()
) -> dict[str, Interval]:
    """95 % intervals of the pooled scores, by their path; none with fewer than two scenes.

    Args:
        counts: Of each scene.
        level: The chosen threshold; None for the scenes' own.
        classes: Names of the foreground classes.
    """
    if len(counts) < 2:
        return {}
    drawn = by_path(scores_of(combined(counts, draws_of(len(counts))), level, classes))
    found = {path: interval_of(values) for path, values in drawn.items()}
    return {path: interval for path, interval in found.items() if interval is not None}


def differences(
    first: Sequence[SceneCounts],
    second: Sequence[SceneCounts],
    level: int,
    classes: Sequence[str] = (),
) -> dict[str, Difference]:
    """Scores of two runs on the same scenes, by their path.

    Both take the same scenes in every draw, so what makes a scene hard for both cancels out.

    Args:
        first: Counts of each scene.
        second: Of the same scenes in the same order.
        level: The chosen threshold.
        classes: Names of the foreground classes.
    """
    draws = draws_of(len(first))

    def of(counts: Sequence[SceneCounts], times: NDArray[np.int64] | None) -> dict[str, Values]:
        return by_path(scores_of(combined(counts, times), level, classes))

    whole, drawn = ((of(first, times), of(second, times)) for times in (None, draws))
    each = per_scene(first, level, classes), per_scene(second, level, classes)
    found = {}
    for path in whole[0]:
        a, b = (float(of_run[path]) for of_run in whole)
        own = each[1][path] - each[0][path]
        defined = ~np.isnan(own)
        means = ratio(draws[:, defined] @ own[defined], draws[:, defined].sum(axis=1).astype(float))
        several = len(own) > 1
        found[path] = Difference(
            a,
            b,
            b - a,
            interval_of(drawn[1][path] - drawn[0][path]) if several else None,
            float(mean_of_defined(own)),
            interval_of(means) if several else None,
        )
    return found


def draws_of(scenes: int) -> NDArray[np.int64]:
    """How often each scene is drawn [DRAWS, scenes]; always the same."""
    return np.random.default_rng(0).multinomial(scenes, np.full(scenes, 1 / scenes), DRAWS)


def interval_of(values: Values) -> Interval | None:
    """95 % interval of a score that was drawn; None where it is undefined in too many draws."""
    defined = values[~np.isnan(values)]
    if len(defined) < _DEFINED * len(values):
        return None
    low, high = np.percentile(defined, _ENDS)
    return float(low), float(high)
