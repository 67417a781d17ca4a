"""One job of inference: predicts the scenes, measures what was found, and reports."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from pipelines.backends.choice import openvino_here
from pipelines.config.base import AUTO
from pipelines.config.inference import InferDrive, InferRoads, PredictionSettings
from pipelines.dicom.results import with_dicom_results
from pipelines.errors import PipelineError
from pipelines.inbox.job import Noting, job_over
from pipelines.inbox.plan import is_finished
from pipelines.inference.batch import run_batch, run_scenes, some_inside
from pipelines.inference.items import items_of
from pipelines.inference.measuring import measured, with_doubtful_thresholds
from pipelines.inference.planning.asked import check_output
from pipelines.inference.planning.settled import made_with, settled
from pipelines.inference.predictor import predictor_for
from pipelines.inputs.discovery import check_names
from pipelines.inputs.scene_input import SceneInput
from pipelines.lines.joining import with_joined
from pipelines.measurements.zones import Disc, discs_of
from pipelines.models.outline import known
from pipelines.models.weights import ModelFacts, Task, foreground_weight_of
from pipelines.report.build import IN_FIELD, THERE, build_report, failures
from pipelines.report.write import write_report
from pipelines.results.levels import open_levels
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Progress
from pipelines.results.report import Report
from pipelines.results.result import Result
from pipelines.results.this_run import Failure
from pipelines.runtime.memory import give_back_freed


def run_job(
    config: InferRoads | InferDrive,
    task: Task,
    scenes: Sequence[str],
    nothing: str | None,
    progress: Progress,
) -> Result:
    """Predicts scenes and reports on them.

    Args:
        config: What is asked for.
        task: What the weights must find.
        scenes: Those of `config`, or some of them.
        nothing: Why there is nothing to do; None where there is something.
        progress: Who is told.

    Raises:
        PipelineError: Nothing was run: see `pipelines.inference.run.infer_roads`.
    """
    start = time.perf_counter()
    models: list[ModelFacts] = [known(model, task) for model in config.model]
    config = settled(config, models)
    if nothing is not None:
        report = report_of([], models, config)
        return Result(report, config.output, [], reported=False, nothing=nothing)
    items = items_of(config, models, scenes)
    discs = discs_of(
        config.disc if isinstance(config, InferDrive) else None, [item.name for item in items]
    )
    if config.inbox:
        return _infer_inbox(config, models, items, discs, progress, start)
    outcomes = run_batch(items, models, config, config.output, progress)
    if config.measurements:
        outcomes = _measured(outcomes, models, discs, config)
    outcomes = _with_dicom(outcomes, config, models)
    report = report_of(outcomes, models, config, time.perf_counter() - start)
    report = _joined(report, outcomes, models, config)
    if (config.output / "report.json").exists() and outcomes and not report.scenes:
        # What is there tells of more.
        return Result(report, config.output, report.failed, reported=False)
    return _reported(config, report, outcomes, report.failed)


def _measured(
    outcomes: Sequence[SceneOutcome],
    models: Sequence[ModelFacts],
    discs: Mapping[str, Disc],
    config: InferRoads | InferDrive,
) -> list[SceneOutcome]:
    classes, weight = models[0].card.classes[1:], foreground_weight_of(models)
    found = measured(outcomes, classes, discs, weight)
    return with_doubtful_thresholds(found) if config.threshold == AUTO else found


def _infer_inbox(
    config: InferRoads | InferDrive,
    models: list[ModelFacts],
    items: list[SceneInput],
    discs: Mapping[str, Disc],
    progress: Progress,
    start: float,
) -> Result:
    """Does what earlier runs have left; the report is that of the whole outbox."""
    check_names(items)
    check_output(config.output)
    by_name = {item.name: item for item in items}
    with job_over(config, items, made_with(config, models), progress.run) as job:
        due = [by_name[name] for name in job.due]
        now = []
        if due:
            frames: list[str] = []
            if config.sequence:
                names = {one.name for one in due}
                frames = [
                    one.name
                    for one in items
                    if one.name in names or is_finished(config.output / one.name)
                ]
            now = run_scenes(due, models, config, config.output, Noting(job, progress), frames)
        if not (now := job.ended(now)):
            report = replace(report_of([], models, config), this_run=job.this_run())
            return Result(report, config.output, [], reported=False, nothing=job.nothing)
        if config.measurements:
            now = _measured(now, models, discs, config)
        now = _with_dicom(now, config, models)
        with job.reporting(now) as every:
            every = some_inside(every)
            report = report_of(every, models, config, time.perf_counter() - start)
            report = replace(report, this_run=job.this_run())
            there = len(report.failed)
            report = _joined(report, every, models, config)
            names = {one.name for one in now}
            failed = failures([one for one in every if one.name in names])
            failed += report.failed[there:]
            result = _reported(config, report, every, failed)
            if result.reported:
                job.keep(now)
            return result


def _joined(
    report: Report,
    outcomes: Sequence[SceneOutcome],
    models: Sequence[ModelFacts],
    config: InferRoads | InferDrive,
) -> Report:
    """The report with the lines of all scenes, where they are asked for."""
    if not isinstance(config, InferRoads) or not config.join:
        return report
    opened = partial(open_levels, classes=tuple(models[0].card.classes[1:]))
    return with_joined(
        report, outcomes, config, 0.5, config.output, opened, config.pixel_size,
        overwrite=config.overwrite,
    )  # fmt: skip


def _with_dicom(
    outcomes: list[SceneOutcome], config: InferRoads | InferDrive, models: Sequence[ModelFacts]
) -> list[SceneOutcome]:
    """The outcomes, with files in DICOM where they are wanted."""
    if isinstance(config, InferDrive) and config.dicom_results:
        return with_dicom_results(outcomes, models, config.steps)
    return outcomes


def _reported(
    config: InferRoads | InferDrive,
    report: Report,
    outcomes: Sequence[SceneOutcome],
    failed: Sequence[Failure],
) -> Result:
    """Writes the report; where the disk refuses that, it is one more failure."""
    give_back_freed()  # What was left of predicting and measuring.
    try:
        write_report(config.output, report, outcomes)
    except PipelineError as error:
        # After the scenes' own failures: a full disk stops them first, and those say more.
        failed = [*failed, Failure(str(config.output), str(error))]
        return Result(report, config.output, failed, reported=False)
    return Result(report, config.output, failed)


def report_of(
    outcomes: Sequence[SceneOutcome],
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    seconds: float | None = None,
    *,
    averaged: bool = True,
    failed: Sequence[Failure] = (),
) -> Report:
    """Builds the report of predicted scenes; steps that were kept and scored are timed.

    Args:
        outcomes: Of each scene.
        models: The weights that predicted.
        settings: The options of the run.
        seconds: Wall time of the run.
        averaged: Whether all models predicted each scene together, rather than each some of them.
        failed: What failed besides the scenes among `outcomes`.
    """
    card = models[0].card
    # Other weights may be used for fundi too.
    in_field = card.task == "vessels" or isinstance(settings, InferDrive)
    # Nothing took as long as several models that each predicted something else.
    kept = any(one.scores is not None and one.scores.steps for one in outcomes)
    timed = kept and (averaged or len(models) == 1)
    used = {one.prediction.backend for one in outcomes if one.prediction is not None}
    backend = openvino_here() if used == {str(openvino_here())} else None
    return build_report(
        outcomes,
        settings,
        models,
        counted=IN_FIELD if in_field else THERE,
        classes=card.classes[1:],
        seconds=seconds,
        step_seconds=predictor_for(models, settings, backend).seconds_per_step(settings.tile)
        if timed
        else (),
        failed=failed,
    )
