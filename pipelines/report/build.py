"""Builds the report of a run from the outcomes of its scenes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from os.path import commonpath
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.config.base import AUTO
from pipelines.config.scoring import ScoringSettings
from pipelines.models.weights import ModelFacts, steps_taken
from pipelines.report.made_with import made_with
from pipelines.report.measured import measured_of, uncertain_of
from pipelines.results.outcome import SceneOutcome
from pipelines.results.report import (
    SCHEMA,
    Comparison,
    CurvePoints,
    DrawnScene,
    ModelUsed,
    Report,
    SceneEntry,
    Scoring,
    SecondObserver,
    StepSummary,
    Summary,
)
from pipelines.results.this_run import Failure
from pipelines.scores.counts import SceneCounts, combined
from pipelines.scores.curve import HALF, Number, Values, mean_of_defined, sd_of_defined
from pipelines.scores.histogram import curve_of
from pipelines.scores.intervals import Interval, intervals
from pipelines.scores.relaxed import relaxed_curve_of
from pipelines.scores.scores import PATHS, Scores, per_scene, plain, scores_of
from tiling.blend import TOP
from tiling.masks.mask import threshold_level
from tiling.scenes.names import shown

IN_FIELD = "pixels inside the field of view"


THERE = "pixels that are not missing"


_DIGITS = 6
"""Of the points of the curve."""


_Of = TypeVar("_Of")


def build_report(
    outcomes: Sequence[SceneOutcome],
    settings: ScoringSettings,
    models: Sequence[ModelFacts] = (),
    *,
    counted: str,
    classes: Sequence[str] = (),
    seconds: float | None = None,
    step_seconds: Sequence[float] = (),
    comparison: Comparison | None = None,
    failed: Sequence[Failure] = (),
) -> Report:
    """Builds the report of a run.

    Args:
        outcomes: Of each scene.
        settings: The options of the run.
        models: The weights that predicted, where they are known; several were averaged.
        counted: Which pixels were counted, in words.
        classes: Names of the foreground classes.
        seconds: Wall time of the run.
        step_seconds: Per megapixel, up to and with each recurrent step, where they were timed.
        comparison: Of two runs.
        failed: What failed besides the scenes among `outcomes`.
    """
    level = None if settings.threshold == AUTO else threshold_level(settings.threshold)
    done = [outcome for outcome in outcomes if outcome.done]
    scored = [outcome.scores for outcome in done if outcome.scores is not None]
    counts = [one.counts for one in scored]
    summary = _summary(counts, level, classes)
    return Report(
        schema=SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("rurnet"),
        data=_common_folder([outcome.source for outcome in outcomes]),
        model=_model(models, settings) if models else None,
        settings=shown_settings(settings.model_dump(mode="json")),
        scoring=Scoring(
            threshold=settings.threshold,
            rho=settings.rho,
            ignore=settings.ignored_values,
            counted=counted,
            scored="the rasters as written, in levels of 1/254; at 0.5 means from level 127 on",
        ),
        pooled=summary.pooled,
        mean=summary.mean,
        sd=summary.sd,
        intervals=summary.intervals,
        second_observer=_second_observer(done, level or HALF, classes),
        steps=_steps([one.steps for one in scored], step_seconds, level, classes),
        comparison=comparison,
        curve=_curve(combined(counts)) if counts else None,
        scenes=[_scene(outcome, level, classes) for outcome in done],
        failed=[*failures(outcomes), *failed],
        skipped=[Failure(o.source, o.skipped) for o in outcomes if o.skipped is not None],
        made_with=made_with(seconds, _backends(done)),
        measurements=measured_of([one.measures for one in done if one.measures is not None]),
    )


def _backends(outcomes: Sequence[SceneOutcome]) -> list[str]:
    """What computed scenes, if not torch alone."""
    found = {one.prediction.backend for one in outcomes if one.prediction is not None}
    return sorted(backend or "eager" for backend in found) if found - {None} else []


def shown_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run without what is secret in the URLs among them."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, list):
            return [cleaned(one) for one in value]
        return shown(value) if isinstance(value, str) else value

    return {name: cleaned(value) for name, value in values.items()}


def failures(outcomes: Sequence[SceneOutcome]) -> list[Failure]:
    """The scenes that failed, and why."""
    return [Failure(one.source, one.error) for one in outcomes if one.error is not None]


def _scores(counts: SceneCounts, level: int | None, classes: Sequence[str]) -> Scores[Number]:
    scores: Scores[Number] = plain(scores_of(counts, level, classes))
    return scores


def _summary(counts: Sequence[SceneCounts], level: int | None, classes: Sequence[str]) -> Summary:
    if not counts:
        return Summary(None, None, None, None)
    spread = per_scene(counts, level, classes)
    return Summary(
        pooled=_scores(combined(counts), level, classes),
        mean=_every({path: _number(mean_of_defined(values)) for path, values in spread.items()}),
        sd=_every({path: _number(sd_of_defined(values)) for path, values in spread.items()}),
        intervals=_intervals(counts, level, classes),
    )


def _second_observer(
    done: Sequence[SceneOutcome], level: int, classes: Sequence[str]
) -> SecondObserver | None:
    drawn = {
        outcome.name: outcome.scores.second
        for outcome in done
        if outcome.scores is not None and outcome.scores.second is not None
    }
    if not drawn:
        return None
    return SecondObserver(
        **vars(_summary(list(drawn.values()), level, classes)),
        scenes=[DrawnScene(name, _scores(one, level, classes)) for name, one in drawn.items()],
    )


def _model(models: Sequence[ModelFacts], settings: ScoringSettings) -> ModelUsed:
    card = models[0].card
    return ModelUsed(
        name=" + ".join(model.name for model in models),
        task=card.task,
        bands=len(card.mean),
        classes=card.classes,
        network=" + ".join(dict.fromkeys(model.card.network for model in models)),
        steps=steps_taken(models, getattr(settings, "steps", None)),
        weights_sha256=",".join(model.digest for model in models),
    )


def _scene(outcome: SceneOutcome, level: int | None, classes: Sequence[str]) -> SceneEntry:
    prediction, scores = outcome.prediction, outcome.scores
    return SceneEntry(
        name=outcome.name,
        input=outcome.source,
        label=outcome.label,
        label_left_out=_number(scores.label_left_out, _DIGITS) if scores else None,
        height=outcome.height,
        width=outcome.width,
        tiles=prediction.tiles if prediction else None,
        parts=prediction.parts if prediction else None,
        parts_computed=prediction.computed if prediction else None,
        seconds=round(prediction.seconds, 3) if prediction else None,
        threshold=prediction.threshold if prediction else None,
        mean_steps=_number(prediction.steps, _DIGITS) if prediction else None,
        files={kind: shown(path) for kind, path in outcome.files.items()},
        pixel_size=[outcome.pixel.height, outcome.pixel.width] if outcome.pixel else None,
        seen=outcome.seen,
        remarks=outcome.remarks,
        field=outcome.field,
        laterality=outcome.laterality,
        micrometres=outcome.micrometres,
        scores=_scores(scores.counts, level, classes) if scores else None,
        lines=outcome.lines,
        measurements=outcome.measures.numbers if outcome.measures else None,
        uncertain=uncertain_of(outcome.measures) if outcome.measures else (),
        stac_item=outcome.stac_item,
        updated=prediction.updated if prediction else None,
    )


def _steps(
    scenes: Sequence[Sequence[SceneCounts]],
    seconds: Sequence[float],
    level: int | None,
    classes: Sequence[str],
) -> list[StepSummary]:
    """All scenes after each step; empty where steps were not kept of every scene with a label."""
    kept = min((len(steps) for steps in scenes), default=0)
    found = []
    for step in range(kept):
        counts = [steps[step] for steps in scenes]
        found.append(
            StepSummary(
                step=step + 1,
                seconds_per_megapixel=round(seconds[step], 4) if seconds else None,
                pooled=_scores(combined(counts), level, classes),
                intervals=_intervals(counts, level, classes),
            )
        )
    return found


def _intervals(
    counts: Sequence[SceneCounts], level: int | None, classes: Sequence[str]
) -> Mapping[str, Interval | None] | None:
    found = intervals(counts, level, classes)
    return _every(found) if found else None


def _every(values: Mapping[str, _Of]) -> dict[str, _Of | None]:
    """A value for each path, None where there is none."""
    return {path: values.get(path) for path in PATHS}


def _curve(counts: SceneCounts) -> CurvePoints | None:
    if not counts.graded:
        return None
    strict = curve_of(counts.strict[0])
    relaxed = relaxed_curve_of(counts.near[0], counts.reached[0])

    def points(values: Values) -> list[Number]:
        return [_number(value, _DIGITS) for value in values[: TOP + 1]]

    return CurvePoints(
        threshold=points(np.arange(TOP + 1) / TOP),
        precision=points(strict.precision()),
        recall=points(strict.recall()),
        relaxed_precision=points(relaxed.precision()),
        relaxed_recall=points(relaxed.recall()),
    )


def _number(value: float | NDArray[np.float64], digits: int | None = None) -> Number:
    number = float(value)
    if np.isnan(number):
        return None
    return number if digits is None else round(number, digits)


def _common_folder(sources: Sequence[str]) -> str | None:
    """The folder that all inputs lie in; None where there is no input."""
    parents = [str(PurePath(source).parent) for source in sources]
    try:
        return PurePath(commonpath(parents)).as_posix()
    except ValueError:  # None at all, or absolute and relative ones.
        return parents[0] if parents else None
