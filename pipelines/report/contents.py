"""What a run has to tell, as plain data: `report.json`. Its schema is in docs/report.md."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from os.path import commonpath
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.scoring import ScoringSettings
from pipelines.models.weights import Model, steps_taken
from pipelines.report.made_with import made_with
from pipelines.results.outcome import SceneOutcome
from pipelines.scores.counts import SceneCounts, combined
from pipelines.scores.curve import HALF, LEVELS, Values, mean_of_defined
from pipelines.scores.histogram import curve_of
from pipelines.scores.intervals import Difference, intervals
from pipelines.scores.relaxed import relaxed_curve_of
from pipelines.scores.scores import Scores, as_dict, flat, per_scene, scores_of
from pipelines.scores.topology import TopologyCounts
from tiling.blend import TOP
from tiling.mask import threshold_level

SCHEMA = 2
"""Raised when a field of `report.json` changes its meaning or goes."""


IN_FIELD = "pixels inside the field of view"


THERE = "pixels that are not missing"


_DIGITS = 6
"""Of the points of the curve."""


def _nothing() -> SceneCounts:
    """The counts of no pixel."""
    zero = np.zeros
    topology = TopologyCounts()
    return SceneCounts(
        zero((1, 2, LEVELS)), zero((1, 2, LEVELS)), zero((1, LEVELS)), zero((2, 2)),
        zero(len(astuple(topology))), 0.0, graded=True,
    )  # fmt: skip


PATHS = tuple(flat(scores_of(_nothing(), HALF)))
"""The numbers of scores by their path in `report.json`: the columns of `scores.csv`."""


_GROUPS = [field.name for field in fields(Scores)]


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same scenes.

    Attributes:
        a: What the first is called.
        b: What the second is called.
        differences: By the scores' paths.
        f1: Name of each scene, and its F1 in both, nan where undefined.
        unpaired: Scenes that only one of the two has, or that could be scored in one only.
        unlike: Scenes in which the two do not count the same pixels.
    """

    a: str
    b: str
    differences: Mapping[str, Difference]
    f1: Sequence[tuple[str, float, float]]
    unpaired: Sequence[str] = ()
    unlike: Sequence[str] = ()


def build_report(
    outcomes: Sequence[SceneOutcome],
    settings: ScoringSettings,
    models: Sequence[Model] = (),
    *,
    counted: str,
    classes: Sequence[str] = (),
    seconds: float | None = None,
    step_seconds: Sequence[float] = (),
    comparison: Comparison | None = None,
) -> dict[str, Any]:
    """Gathers a run's results as plain data.

    Args:
        outcomes: What came of each scene.
        settings: What the run was asked for.
        models: What predicted, where that is known; several were averaged.
        counted: Which pixels were, in words.
        classes: Names of the foreground classes.
        seconds: Wall time of the run.
        step_seconds: Per megapixel, up to and with each recurrent step, where they were timed.
        comparison: Of two runs.

    Returns:
        What `report.json` holds.
    """
    level = threshold_level(settings.threshold)

    def scored(counts: SceneCounts) -> Scores:
        return scores_of(counts, level, classes)

    def summed(counts: Sequence[SceneCounts]) -> dict[str, Any]:
        """Of several scenes."""
        spread = per_scene(counts, level, classes) if counts else {}
        return {
            "pooled": as_dict(scored(combined(counts))) if counts else None,
            "mean": _by_column({path: _number(mean_of_defined(of)) for path, of in spread.items()}),
            "sd": _by_column({path: _deviation(of) for path, of in spread.items()}),
            "intervals": _intervals(counts, level, classes),
        }

    done = [outcome for outcome in outcomes if outcome.error is None]
    counts = [outcome.counts for outcome in done if outcome.counts is not None]
    drawings = [(one.name, one.second) for one in done if one.second is not None]
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version("rurnet"),
        "data": _common_folder([outcome.source for outcome in outcomes]),
        "model": _model(models, settings),
        "settings": settings.model_dump(mode="json"),
        "scoring": {
            "threshold": settings.threshold,
            "rho": settings.rho,
            "ignore": list(settings.ignored_values),
            "counted": counted,
            "scored": "the rasters as written, in levels of 1/254; at 0.5 means from level 127 on",
        },
        **summed(counts),
        "second_observer": {
            **summed([second for _, second in drawings]),
            "scenes": [{"name": name, **as_dict(scored(second))} for name, second in drawings],
        }
        if drawings
        else None,
        "steps": _steps(
            [outcome.steps for outcome in done if outcome.counts is not None],
            step_seconds,
            level,
            classes,
        ),
        "comparison": None if comparison is None else _compared(comparison),
        "curve": _curve(combined(counts)) if counts else None,
        "scenes": [_scene(outcome, scored) for outcome in done],
        "failed": [
            {"input": outcome.source, "error": outcome.error}
            for outcome in outcomes
            if outcome.error is not None
        ],
        "made_with": made_with(seconds),
    }


def flattened(scores: Mapping[str, Any] | None) -> dict[str, float | int | None]:
    """The numbers of `as_dict` by their path, as in `scores.csv`: "foreground.f1" and so on."""
    found: dict[str, float | int | None] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key)
        elif path in PATHS:
            found[path] = value

    walk(scores or {}, "")
    return {path: found.get(path) for path in PATHS}


def _model(models: Sequence[Model], settings: ScoringSettings) -> dict[str, Any] | None:
    if not models:
        return None
    first = models[0]
    return {
        "name": " + ".join(model.name for model in models),
        "task": first.card.task,
        "bands": len(first.card.mean),
        "classes": list(first.card.classes),
        "network": " + ".join(dict.fromkeys(model.card.network for model in models)),
        "steps": steps_taken(models, getattr(settings, "steps", None)),
        "weights_sha256": ",".join(model.digest for model in models),
    }


def _scene(outcome: SceneOutcome, scored: Callable[[SceneCounts], Scores]) -> dict[str, Any]:
    prediction = outcome.prediction
    scores = dict.fromkeys(_GROUPS) if outcome.counts is None else as_dict(scored(outcome.counts))
    return {
        "name": outcome.name,
        "input": outcome.source,
        "label": outcome.label,
        "height": outcome.height,
        "width": outcome.width,
        "tiles": prediction.tiles if prediction else None,
        "parts": prediction.parts if prediction else None,
        "parts_computed": prediction.computed if prediction else None,
        "seconds": round(prediction.seconds, 3) if prediction else None,
        "files": {kind: str(path) for kind, path in outcome.files.items()},
        **scores,
    }


def _steps(
    outcomes: Sequence[Sequence[SceneCounts]],
    seconds: Sequence[float],
    level: int,
    classes: Sequence[str],
) -> list[dict[str, Any]]:
    """Scores after each step; empty where steps were not kept of every scene with a label."""
    kept = min((len(steps) for steps in outcomes), default=0)
    found = []
    for step in range(kept):
        counts = [steps[step] for steps in outcomes]
        found.append(
            {
                "step": step + 1,
                "seconds_per_megapixel": round(seconds[step], 4) if seconds else None,
                "pooled": as_dict(scores_of(combined(counts), level, classes)),
                "intervals": _intervals(counts, level, classes),
            }
        )
    return found


def _intervals(
    counts: Sequence[SceneCounts], level: int, classes: Sequence[str]
) -> dict[str, Any] | None:
    found = intervals(counts, level, classes)
    return _by_column({path: list(interval) for path, interval in found.items()})


def _by_column(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of every column of `scores.csv`, None where it has no value; None of no values at all."""
    return {path: values.get(path) for path in PATHS} if values else None


def _curve(counts: SceneCounts) -> dict[str, list[float | None]] | None:
    if not counts.graded:
        return None
    strict = curve_of(counts.strict[0])
    relaxed = relaxed_curve_of(counts.near[0], counts.reached[0])

    def points(values: NDArray[Any]) -> list[float | None]:
        return [_number(value, _DIGITS) for value in values[: TOP + 1]]

    return {
        "threshold": points(np.arange(TOP + 1) / TOP),
        "precision": points(strict.precision()),
        "recall": points(strict.recall()),
        "relaxed_precision": points(relaxed.precision()),
        "relaxed_recall": points(relaxed.recall()),
    }


def _compared(comparison: Comparison) -> dict[str, Any]:
    return {
        "a": comparison.a,
        "b": comparison.b,
        "scenes": len(comparison.f1),
        "unpaired": list(comparison.unpaired),
        "unlike": list(comparison.unlike),
        "rows": [
            {
                "column": path,
                "a": _number(difference.a),
                "b": _number(difference.b),
                "difference": _number(difference.difference),
                **_ends(difference.interval, "low", "high"),
                "mean": _number(difference.mean),
                **_ends(difference.mean_interval, "mean_low", "mean_high"),
            }
            for path, difference in comparison.differences.items()
        ],
        "paired": [
            {"scene": scene, "a": _number(a), "b": _number(b), "difference": _number(b - a)}
            for scene, a, b in comparison.f1
        ],
    }


def _ends(interval: tuple[float, float] | None, low: str, high: str) -> dict[str, float | None]:
    return dict(zip((low, high), interval or (None, None), strict=True))


def _deviation(values: Values) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else None


def _number(value: Any, digits: int | None = None) -> float | None:
    number = float(value)
    if np.isnan(number):
        return None
    return number if digits is None else round(number, digits)


def _common_folder(sources: Sequence[str]) -> str | None:
    """The folder that all inputs lie in; None of none."""
    parents = [str(PurePath(source).parent) for source in sources]
    try:
        return PurePath(commonpath(parents)).as_posix()
    except ValueError:  # None at all, or absolute and relative ones.
        return parents[0] if parents else None
