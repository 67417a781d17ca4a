"""Scores predicted rasters, ours or another tool's, from configuration to report."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipelines.config.evaluation import Evaluate
from pipelines.errors import DataError, PipelineError, PredictionError
from pipelines.evaluation.annotations import annotations_of, field_of, within_field
from pipelines.evaluation.predictions import (
    PredictedRun,
    chosen_rasters,
    last_step,
    predicted_runs,
)
from pipelines.evaluation.scoring import AT_ONCE, score
from pipelines.inputs.label_checks import check_fits
from pipelines.inputs.labels import Labelling, open_label
from pipelines.report.contents import IN_FIELD, THERE, Comparison, build_report
from pipelines.report.result import Result
from pipelines.report.write import write_report
from pipelines.results.layout import steps_in
from pipelines.results.levels import Kind, open_levels
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Progress
from pipelines.scores.intervals import differences
from pipelines.scores.scores import per_scene
from tiling.errors import TilingError
from tiling.mask import threshold_level
from tiling.window import split


def evaluate(config: Evaluate, progress: Progress) -> Result:
    """Scores one run, or two and how they differ.

    Raises:
        DataError: A folder is missing or holds no raster, or two rasters are of one scene.
        PipelineError: The report cannot be written.
    """
    start = time.perf_counter()
    field_of.cache_clear()  # Of a run before, whose files may have changed since.
    for option, folder in (
        ("labels", config.labels), ("fov", config.fov), ("second", config.second),
        ("images", config.images),
    ):  # fmt: skip
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder}: no such folder; check --{option}")
    runs = predicted_runs(config.predictions)
    _make(config.output)
    classes = config.class_names or _classes(runs[0], config)
    # Of the second run neither steps nor observer are asked for.
    settings = [config, config.model_copy(update={"second": None})]
    every = [
        _evaluated(run, classes, of_run, progress)
        for run, of_run in zip([runs[0], *map(last_step, runs[1:])], settings, strict=False)
    ]
    comparison = None
    if len(runs) == 2:
        comparison = _comparison(runs, every, classes, threshold_level(config.threshold))
    report = build_report(
        every[0],
        config,
        counted=THERE if config.fov is None else IN_FIELD,
        classes=classes,
        seconds=time.perf_counter() - start,
        comparison=comparison,
    )
    for outcomes in every[1:]:
        report["failed"] += [
            {"input": outcome.source, "error": outcome.error}
            for outcome in outcomes
            if outcome.error is not None
        ]
    write_report(config.output, report, every[0])
    return Result(report, config.output)


def _make(folder: Path) -> None:
    """Makes the output's folder, before an hour of scoring ends with one that cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(
            f"{folder}: cannot be made ({error}); choose another --output"
        ) from error


def _classes(run: PredictedRun, config: Evaluate) -> tuple[str, ...]:
    """Names of the foreground classes, as the first raster that can be read has them."""
    for files in run.scenes.values():
        try:
            path = chosen_rasters(files, config)["probability"]
            with open_levels(path, config.kind, config.value_ends) as levels:
                return levels.classes
        except (TilingError, PipelineError):
            continue
    return ("foreground",)


def _kind(run: PredictedRun, classes: tuple[str, ...], config: Evaluate) -> Kind:
    """Whether a run holds masks: where not one of its rasters must be of probabilities.

    Asked of all of them together, for a scene with next to nothing in it looks like a mask.
    """
    if config.kind != "auto":
        return config.kind
    doubtful = False
    for files in run.scenes.values():
        try:
            opened = open_levels(files["probability"], "auto", config.value_ends, classes)
            with opened as levels:
                if levels.graded:
                    return "probability"
        except PredictionError:
            doubtful = True
        except TilingError:
            continue  # Said where it is scored.
    return "auto" if doubtful else "mask"


def _evaluated(
    run: PredictedRun, classes: tuple[str, ...], config: Evaluate, progress: Progress
) -> list[SceneOutcome]:
    """What comes of each scene of a run."""
    config = config.model_copy(update={"kind": _kind(run, classes, config)})
    outcomes = []
    for scene, every in run.scenes.items():
        files = chosen_rasters(every, config)
        outcome = SceneOutcome(scene, str(files["probability"]), files=files)
        try:
            _score(outcome, classes, config, progress)
        except (TilingError, PipelineError) as error:
            outcome.error = str(error)
        progress.finished(outcome)
        outcomes.append(outcome)
    return outcomes


def _score(
    outcome: SceneOutcome, classes: tuple[str, ...], config: Evaluate, progress: Progress
) -> None:
    opened = partial(open_levels, kind=config.kind, value_range=config.value_ends, classes=classes)
    # Opened first, or a mistyped name would be said to lack a label.
    with opened(outcome.files["probability"]) as levels:
        drawn, second, field = annotations_of(outcome, config)
        outcome.labelling = Labelling(len(classes) + 1, config.ignored_values)
        outcome.label = str(drawn)
        outcome.height, outcome.width = shape = levels.height, levels.width
        outcome.open_raster = (
            opened if field is None else partial(within_field, opened, field, shape)
        )
        with (
            open_label(drawn, outcome.labelling) as label,
            open_label(second, outcome.labelling) as other,
        ):
            assert label is not None
            for one in (label, other):
                if one is not None:
                    check_fits(one, levels)
            rasters = max(1, len(steps_in(outcome.files))) + (other is not None)
            windows = list(split(levels.height, levels.width, AT_ONCE))
            progress.scene(outcome.name, rasters * len(windows))
            scores = score(
                outcome.files, outcome.open_raster, label, other, config,
                partial(progress.tiles, outcome.name),
            )  # fmt: skip
            outcome.counts, outcome.second = scores.counts, scores.second
            outcome.steps = scores.steps


def _comparison(
    runs: Sequence[PredictedRun],
    every: Sequence[Sequence[SceneOutcome]],
    classes: Sequence[str],
    level: int,
) -> Comparison | None:
    """How the second run differs on the scenes that both have; None where there is none."""
    first, second = (
        {outcome.name: outcome.counts for outcome in outcomes if outcome.counts is not None}
        for outcomes in every
    )
    scenes = [scene for scene in first if scene in second]
    if not scenes:
        return None
    a, b = ([counts[scene] for scene in scenes] for counts in (first, second))
    f1 = (per_scene(counts, level, classes)["foreground.f1"].tolist() for counts in (a, b))
    return Comparison(
        runs[0].name, runs[1].name, differences(a, b, level, classes),
        list(zip(scenes, *f1, strict=True)),
        sorted({*runs[0].scenes, *runs[1].scenes} - {*scenes}),
        [s for s in scenes if first[s].strict[0].sum() != second[s].strict[0].sum()],
    )  # fmt: skip
