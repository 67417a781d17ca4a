"""Every score of a scene, or of several added up.

The dataclasses here and in the modules below are the table of scores: each of their fields is one,
and its path ("foreground.f1") is its key in `report.json` and its column in `scores.csv`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Generic, Union, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from pipelines.scores.certainty import Certainty, certainty_of
from pipelines.scores.counts import SceneCounts, combined
from pipelines.scores.curve import (
    HALF,
    Best,
    BreakEven,
    Score,
    Values,
    mean_of_defined,
    ratio,
)
from pipelines.scores.histogram import (
    Calibration,
    Foreground,
    calibration,
    curve_of,
    foreground_at,
    roc_auc,
)
from pipelines.scores.relaxed import relaxed_curve_of
from pipelines.scores.topology import Topology, TopologyCounts
from tiling.blend import TOP

_WHOLE = {"pixels", "components", "label_components", "loops", "label_loops", "parts"}
"""Scores that are whole numbers."""


@dataclass(frozen=True)
class AtThreshold(Foreground[Score]):
    """Scores at a chosen threshold.

    Attributes:
        threshold: The probability.
    """

    threshold: Score


@dataclass(frozen=True)
class ClassMean(Generic[Score]):
    """Means over all classes, background included, as in the tables of the recurrent U-Net's paper.

    A class whose score is undefined is left out of its mean. The first four are at 0.5 (with
    several foreground classes: of the likeliest class), `break_even` is the mean of the classes'
    own.
    """

    iou: Score
    recall: Score
    precision: Score
    f1: Score
    break_even: Score


@dataclass(frozen=True)
class Relaxed(Generic[Score]):
    """Scores where a pixel may match one within `rho` pixels, at the chosen threshold."""

    rho: float
    precision: Score
    recall: Score
    f1: Score
    break_even: Score


@dataclass(frozen=True)
class ClassScores(Generic[Score]):
    """One class against all others; `foreground` is at probability 0.5 of this class."""

    foreground: Foreground[Score]
    best: Best[Score]
    break_even: BreakEven[Score]
    roc_auc: Score
    average_precision: Score


@dataclass(frozen=True)
class Scores(Generic[Score]):
    """All scores.

    Attributes:
        pixels: How many were counted.
        foreground_share: Share of them that is foreground in the label.
        foreground: At probability 0.5.
        at_threshold: At the chosen threshold.
        best: Where F1 is highest.
        break_even: Of the foreground.
        roc_auc: Area under the ROC curve.
        average_precision: Area under the P/R curve.
        calibration: Whether probabilities are what they say.
        certainty: Whether errors are where it is unsure.
        class_mean: Over all classes.
        classes: By name, where there are several foreground classes.
        relaxed: Within rho pixels.
        topology: None where it was not asked for.
    """

    pixels: Score
    foreground_share: Score
    foreground: Foreground[Score]
    at_threshold: AtThreshold[Score]
    best: Best[Score]
    break_even: BreakEven[Score]
    roc_auc: Score
    average_precision: Score
    calibration: Calibration[Score]
    certainty: Certainty[Score]
    class_mean: ClassMean[Score]
    classes: dict[str, ClassScores[Score]]
    relaxed: Relaxed[Score]
    topology: Topology[Score] | None


def scores_of(
    counts: SceneCounts, level: int | None, classes: Sequence[str] = ()
) -> Scores[Values]:
    """Every score.

    Args:
        counts: Of any shape in front.
        level: The chosen threshold, 1 to 254; None for the scenes' own.
        classes: Names of the foreground classes; needed where there are several.
    """
    whole = counts.strict[..., 0, :, :]
    # An array even where there is nothing in front, as all other scores are.
    pixels = np.asarray(whole.sum(axis=(-2, -1)), np.float64)
    near, reached = counts.near[..., 0, :, :], counts.reached[..., 0, :]
    chosen, cut = whole, level
    relaxed, threshold = relaxed_curve_of(near, reached), np.full(pixels.shape, (level or 0) / TOP)
    if cut is None:
        own = counts.own
        assert own is not None
        # Of two levels, the second is what is foreground.
        chosen, cut = own.strict, 1
        relaxed, threshold = relaxed_curve_of(own.near, own.reached), own.level / TOP
    each = [
        _class_scores(counts, counts.strict[..., target, :, :])
        for target in range(counts.strict.shape[-3])
    ]
    first = each[0]
    return Scores(
        pixels=pixels,
        foreground_share=ratio(whole[..., 1, :].sum(axis=-1).astype(np.float64), pixels),
        foreground=first.foreground,
        at_threshold=AtThreshold(**vars(foreground_at(chosen, cut)), threshold=threshold),
        best=first.best,
        break_even=first.break_even,
        roc_auc=first.roc_auc,
        average_precision=first.average_precision,
        calibration=calibration(_movable(counts, whole)),
        certainty=certainty_of(_movable(counts, whole)),
        class_mean=_class_mean(counts, each),
        classes=dict(zip(classes, each[1:], strict=True)) if len(each) > 1 else {},
        relaxed=Relaxed(
            counts.rho,
            relaxed.precision()[..., cut],
            relaxed.recall()[..., cut],
            relaxed.f1()[..., cut],
            relaxed_curve_of(_movable(counts, near), _movable(counts, reached)).break_even().value,
        ),
        topology=None
        if counts.topology is None
        else TopologyCounts(*np.moveaxis(counts.topology, -1, 0)).scores(),
    )


def _paths(group: Any) -> Iterator[str]:
    for field in fields(group):
        kind: Any = field.type
        if get_origin(kind) is Union:
            kind = get_args(kind)[0]  # A group that may be left out.
        if kind is Score:
            yield field.name
        elif is_dataclass(inner := get_origin(kind)):
            yield from (f"{field.name}.{path}" for path in _paths(inner))


PATHS = tuple(_paths(Scores))
"""The paths of all scores that are one number: "foreground.f1", "topology.cldice", ..."""


def score_at(scores: Any, path: str) -> Any:
    """The score under a path; None where it, or the group that it belongs to, is not there."""
    found = scores
    for name in path.split("."):
        found = None if found is None else getattr(found, name)
    return found


def by_path(scores: Scores[Score] | None) -> dict[str, Score]:
    """The scores that are there by their path, in the order of `PATHS`."""
    found = {path: score_at(scores, path) for path in PATHS}
    return {path: score for path, score in found.items() if score is not None}


def per_scene(
    counts: Sequence[SceneCounts], level: int | None, classes: Sequence[str] = ()
) -> dict[str, Values]:
    """The scores of each scene [scenes] by their path, see `by_path`."""
    return by_path(scores_of(combined(counts, np.eye(len(counts))), level, classes))


def plain(scores: Any) -> Any:
    """Scores of a single set of counts, or a group of them, with a `Number` in each field.

    What was counted is an int.
    """

    def number(name: str, value: Any) -> Any:
        if is_dataclass(value):
            inner = {one.name: number(one.name, getattr(value, one.name)) for one in fields(value)}
            return replace(value, **inner)  # type: ignore[type-var]
        if isinstance(value, tuple):
            return tuple(number(name, inner) for inner in value)
        if isinstance(value, dict):
            return {key: number(key, inner) for key, inner in value.items()}
        if value is None or np.isnan(value):
            return None
        return int(value) if name in _WHOLE else float(value)

    return number("", scores)


def _movable(counts: SceneCounts, array: NDArray[Any]) -> NDArray[Any]:
    """Counts that scores over all thresholds are taken from: a drawing has none."""
    return array if counts.graded else np.full(array.shape, np.nan)


def _class_scores(counts: SceneCounts, strict: NDArray[Any]) -> ClassScores[Values]:
    movable = _movable(counts, strict)
    curve = curve_of(movable)
    return ClassScores(
        foreground_at(strict, HALF),
        curve.best(),
        curve.break_even(),
        roc_auc(movable),
        curve.average_precision(),
    )


def _class_mean(counts: SceneCounts, each: Sequence[ClassScores[Values]]) -> ClassMean[Values]:
    confusion = counts.confusion.astype(np.float64)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    labelled, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    # Where precision equals recall as many foreground pixels are missed as are wrongly found:
    # precision equals recall of the background at the same threshold.
    whole = counts.strict[..., 0, :, :].sum(axis=-1).astype(np.float64)
    missed = whole[..., 1] * (1 - each[0].break_even.value)
    background = 1 - ratio(missed, whole[..., 0])
    foreground = [one.break_even.value for one in (each[1:] or each)]
    return ClassMean(
        iou=mean_of_defined(ratio(right, labelled + predicted - right)),
        recall=mean_of_defined(ratio(right, labelled)),
        precision=mean_of_defined(ratio(right, predicted)),
        f1=mean_of_defined(ratio(2 * right, labelled + predicted)),
        break_even=mean_of_defined(np.stack([background, *foreground], axis=-1)),
    )
