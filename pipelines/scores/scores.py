"""Every score of a scene, or of several added up."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.scores.counts import SceneCounts, combined
from pipelines.scores.curve import HALF, Best, BreakEven, Values, mean_of_defined, ratio
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

_COUNTED = ("pixels", "components", "label_components", "loops", "label_loops", "parts")
"""Scores that are whole numbers."""


@dataclass(frozen=True)
class AtThreshold(Foreground):
    """Scores at a chosen threshold.

    Attributes:
        threshold: The probability.
    """

    threshold: Values


@dataclass(frozen=True)
class ClassMean:
    """Means over all classes, background included, as in the tables of the recurrent U-Net's paper.

    A class whose score is undefined is left out of its mean. The first four are at 0.5 (with
    several foreground classes: of the likeliest class), `break_even` is the mean of the classes'
    own.
    """

    iou: Values
    recall: Values
    precision: Values
    f1: Values
    break_even: Values


@dataclass(frozen=True)
class Relaxed:
    """Scores where a pixel may match one within `rho` pixels, at the chosen threshold."""

    rho: float
    precision: Values
    recall: Values
    f1: Values
    break_even: Values


@dataclass(frozen=True)
class ClassScores:
    """One class against all others; `foreground` is at probability 0.5 of this class."""

    foreground: Foreground
    best: Best
    break_even: BreakEven
    roc_auc: Values
    average_precision: Values


@dataclass(frozen=True)
class Scores:
    """All scores. Each is a number for each set of counts [...], nan where it is undefined.

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
        class_mean: Over all classes.
        classes: By name, where there are several foreground classes.
        relaxed: Within rho pixels.
        topology: None where it was not asked for.
    """

    pixels: Values
    foreground_share: Values
    foreground: Foreground
    at_threshold: AtThreshold
    best: Best
    break_even: BreakEven
    roc_auc: Values
    average_precision: Values
    calibration: Calibration
    class_mean: ClassMean
    classes: dict[str, ClassScores]
    relaxed: Relaxed
    topology: Topology | None


def scores_of(counts: SceneCounts, level: int, classes: Sequence[str] = ()) -> Scores:
    """Every score.

    Args:
        counts: Of any shape in front.
        level: The chosen threshold, 1 to 254.
        classes: Names of the foreground classes; needed where there are several.
    """
    whole = counts.strict[..., 0, :, :]
    # An array even where there is nothing in front, as all other scores are.
    pixels = np.asarray(whole.sum(axis=(-2, -1)), np.float64)
    near, reached = counts.near[..., 0, :, :], counts.reached[..., 0, :]
    relaxed = relaxed_curve_of(near, reached)
    each = [
        _class_scores(counts, counts.strict[..., target, :, :])
        for target in range(counts.strict.shape[-3])
    ]
    first = each[0]
    return Scores(
        pixels=pixels,
        foreground_share=ratio(whole[..., 1, :].sum(axis=-1).astype(np.float64), pixels),
        foreground=first.foreground,
        at_threshold=AtThreshold(
            **vars(foreground_at(whole, level)), threshold=np.full(pixels.shape, level / TOP)
        ),
        best=first.best,
        break_even=first.break_even,
        roc_auc=first.roc_auc,
        average_precision=first.average_precision,
        calibration=calibration(_movable(counts, whole)),
        class_mean=_class_mean(counts, each),
        classes=dict(zip(classes, each[1:], strict=True)) if len(each) > 1 else {},
        relaxed=Relaxed(
            counts.rho,
            relaxed.precision()[..., level],
            relaxed.recall()[..., level],
            relaxed.f1()[..., level],
            relaxed_curve_of(_movable(counts, near), _movable(counts, reached)).break_even().value,
        ),
        topology=None
        if counts.topology is None
        else TopologyCounts(*np.moveaxis(counts.topology, -1, 0)).scores(),
    )


def flat(scores: Scores) -> dict[str, Values]:
    """The scores that are one number, by their path: "foreground.f1", "topology.cldice", ..."""
    found: dict[str, Values] = {}

    def walk(value: Any, path: str) -> None:
        if is_dataclass(value):
            for field in fields(value):
                walk(getattr(value, field.name), f"{path}.{field.name}" if path else field.name)
        elif isinstance(value, np.ndarray) and value.shape == scores.pixels.shape:
            found[path] = value

    walk(scores, "")
    return found


def per_scene(
    counts: Sequence[SceneCounts], level: int, classes: Sequence[str] = ()
) -> dict[str, Values]:
    """The scores of each scene [scenes] by their path, see `flat`."""
    return flat(scores_of(combined(counts, np.eye(len(counts))), level, classes))


def as_dict(scores: Any) -> dict[str, Any]:
    """Scores of one set of counts, or a part of them, as nested plain values.

    What is undefined is None; the bins of the calibration stand one by one.
    """

    def plain(name: str, value: Any) -> Any:
        if isinstance(value, Calibration):
            bins = zip(value.probability, value.share, value.pixels, strict=True)
            keys = ("probability", "share", "pixels")
            return {
                "ece": plain("ece", value.ece),
                "bins": [{k: plain(k, v) for k, v in zip(keys, of, strict=True)} for of in bins],
            }
        if is_dataclass(value):
            return {field.name: plain(field.name, getattr(value, field.name))
                    for field in fields(value)}  # fmt: skip
        if isinstance(value, dict):
            return {key: plain(key, inner) for key, inner in value.items()}
        if value is None or np.isnan(value):
            return None
        return int(value) if name in _COUNTED else float(value)

    result: dict[str, Any] = plain("", scores)
    return result


def _movable(counts: SceneCounts, array: NDArray[Any]) -> NDArray[Any]:
    """Counts that scores over all thresholds are taken from: a drawing has none."""
    return array if counts.graded else np.full(array.shape, np.nan)


def _class_scores(counts: SceneCounts, strict: NDArray[Any]) -> ClassScores:
    movable = _movable(counts, strict)
    curve = curve_of(movable)
    return ClassScores(
        foreground_at(strict, HALF),
        curve.best(),
        curve.break_even(),
        roc_auc(movable),
        curve.average_precision(),
    )


def _class_mean(counts: SceneCounts, each: Sequence[ClassScores]) -> ClassMean:
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
