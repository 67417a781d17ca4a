"""Inference over a batch of scenes, from configuration to report."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from glob import glob
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

from pipelines.backends.choice import openvino_here
from pipelines.config.base import AUTO
from pipelines.config.inference import (
    FUNDUS_INBOX,
    ROADS_INBOX,
    InferDrive,
    InferRoads,
    PredictionSettings,
)
from pipelines.dicom.results import with_dicom_results
from pipelines.errors import DataError, PipelineError
from pipelines.inbox.job import Noting, job_over, quarantined_in
from pipelines.inference.asked import check_asked, check_output
from pipelines.inference.batch import run_batch, run_scenes, some_inside
from pipelines.inference.estimate import estimate_batch
from pipelines.inference.items import items_of
from pipelines.inference.measuring import measured
from pipelines.inference.predictor import predictor_for
from pipelines.inputs.discovery import check_names, rasters_in
from pipelines.inputs.scene_input import SceneInput
from pipelines.lines.joining import with_joined
from pipelines.measurements.zones import Disc, discs_of
from pipelines.models.weights import Model, Task, foreground_weight_of, load
from pipelines.report.build import IN_FIELD, THERE, build_report, failures
from pipelines.report.write import write_report
from pipelines.results.estimate import SceneEstimate
from pipelines.results.levels import open_levels
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Progress
from pipelines.results.report import Report
from pipelines.results.result import Result
from pipelines.results.this_run import Failure
from tiling.dicom.folders import dicom_files
from tiling.scenes.names import kind_of, shown

_PART_IN_TIME = 1280
"""Side of the parts, at most, of a run that has to be over in time."""


def infer_roads(config: InferRoads, progress: Progress) -> Result:
    """Finds the roads in scenes.

    An empty inbox (the default of `scenes`) is no error: there is nothing to do.

    Raises:
        DataError: A folder or glob holds no scene, or the labels' folder is missing.
        WeightsError: The weights cannot be used for roads.
        PipelineError: Nothing was run: see `pipelines.inference.batch.run_batch`.
    """
    check_asked(config)
    return _infer(config, "roads", ROADS_INBOX, progress)


def infer_drive(config: InferDrive, progress: Progress) -> Result:
    """Finds the vessels in fundus images.

    An empty inbox (the default of `scenes`) is no error: there is nothing to do.

    Raises:
        DataError: A folder or glob holds no image, or the labels' folder is missing.
        WeightsError: The weights cannot be used for vessels.
        PipelineError: Nothing was run: see `pipelines.inference.batch.run_batch`.
    """
    check_asked(config)
    source = config.field_source
    if isinstance(source, Path) and not source.is_dir():
        raise DataError(
            f"{source}: no such folder of masks; check --field, or give whole or derived"
        )
    return _infer(config, "vessels", FUNDUS_INBOX, progress)


def _beginning(config: InferRoads | InferDrive) -> list[str]:
    """The scenes that are asked for; of an inbox job without folders and globs that are empty."""

    def is_empty(source: str) -> bool:
        if kind_of(source) == "glob":
            return not glob(source)
        folder = Path(source)
        return folder.is_dir() and not rasters_in(folder) and not dicom_files(folder)

    return [one for one in config.scenes if not (config.inbox and is_empty(one))]


def _nothing_in(scenes: list[str], asked: list[str], inbox: str) -> str | None:
    """Why there is nothing to do: inboxes are empty, or the default one is, or is not there."""
    folder, why = Path(inbox), "which is empty"
    if scenes:
        if scenes != [inbox] or folder.is_file():
            return None
        if not folder.exists():
            why = "which was not there"
        elif any(path for path in folder.glob("*") if not path.name.startswith(".")):
            return None
    said = " and ".join(map(shown, asked))
    return f"Nothing was done: no scenes in {said}, {why}. Put scenes there, or name some."


def _infer(
    config: InferRoads | InferDrive,
    task: Task,
    inbox: str,
    progress: Progress,
) -> Result:
    start = time.perf_counter()
    models = [load(model, task) for model in config.model]
    _check_bands(config, models)
    if config.noted_threshold:
        noted = fmean(model.card.threshold for model in models)
        config = config.model_copy(update={"threshold": noted, "noted_threshold": False})
    if config.limited:
        # Parts are the smallest pieces between which the number of steps can change.
        part_size = min(config.part_size, _PART_IN_TIME)
        config = config.model_copy(update={"steps": AUTO, "part_size": part_size})
    scenes = _beginning(config)
    nothing = _nothing_in(scenes, config.scenes, inbox)
    items = [] if nothing else items_of(config, models, scenes)
    if config.dry_run:
        left = {}
        if config.inbox:
            left = quarantined_in(config, items, _made_with(config, models))
        due = [item for item in items if item.name not in left]
        estimates = estimate_batch(due, models, config, config.output)
        estimates += [SceneEstimate(name, skipped=why) for name, why in left.items()]
        failed = [Failure(one.name, one.error) for one in estimates if one.error is not None]
        report = report_of([], models, config, failed=failed)
        return Result(
            report, config.output, failed, estimates=estimates, reported=False, nothing=nothing
        )
    if nothing:
        if config.scenes == [inbox]:
            Path(inbox).mkdir(parents=True, exist_ok=True)
        report = report_of([], models, config)
        return Result(report, config.output, [], reported=False, nothing=nothing)
    discs = discs_of(
        config.disc if isinstance(config, InferDrive) else None, [item.name for item in items]
    )
    if config.inbox:
        return _infer_inbox(config, models, items, discs, progress, start)
    outcomes = run_batch(items, models, config, config.output, progress)
    if config.measurements:
        outcomes = _measured(outcomes, models, discs)
    outcomes = _with_dicom(outcomes, config, models)
    report = report_of(outcomes, models, config, time.perf_counter() - start)
    report = _joined(report, outcomes, models, config)
    if (config.output / "report.json").exists() and outcomes and not report.scenes:
        # What is there tells of more.
        return Result(report, config.output, report.failed, reported=False)
    return _reported(config, report, outcomes, report.failed)


def _measured(
    outcomes: Sequence[SceneOutcome], models: Sequence[Model], discs: Mapping[str, Disc]
) -> list[SceneOutcome]:
    return measured(outcomes, models[0].card.classes[1:], discs, foreground_weight_of(models))


def _infer_inbox(
    config: InferRoads | InferDrive,
    models: list[Model],
    items: list[SceneInput],
    discs: Mapping[str, Disc],
    progress: Progress,
    start: float,
) -> Result:
    """Does what earlier runs have left; the report is that of the whole outbox."""
    check_names(items)
    check_output(config.output)
    by_name = {item.name: item for item in items}
    with job_over(config, items, _made_with(config, models), progress.run) as job:
        due = [by_name[name] for name in job.due]
        now = []
        if due:
            now = run_scenes(due, models, config, config.output, Noting(job, progress))
        if not (now := job.ended(now)):
            report = replace(report_of([], models, config), this_run=job.this_run())
            return Result(report, config.output, [], reported=False, nothing=job.nothing)
        if config.measurements:
            now = _measured(now, models, discs)
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
            return _reported(config, report, every, failed)


def _joined(
    report: Report,
    outcomes: Sequence[SceneOutcome],
    models: Sequence[Model],
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
    outcomes: list[SceneOutcome], config: InferRoads | InferDrive, models: Sequence[Model]
) -> list[SceneOutcome]:
    """The outcomes, with files in DICOM where they are wanted."""
    if isinstance(config, InferDrive) and config.dicom_results:
        return with_dicom_results(outcomes, models, config.steps)
    return outcomes


def _made_with(config: InferRoads | InferDrive, models: Sequence[Model]) -> str:
    """Stands for all that a report of several runs must have in common."""
    values = {
        **config.of_the_report(),
        "model": [f"{model.name} {model.digest}" for model in models],
        "version": version("rurnet"),
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _reported(
    config: InferRoads | InferDrive,
    report: Report,
    outcomes: Sequence[SceneOutcome],
    failed: Sequence[Failure],
) -> Result:
    """Writes the report; where the disk refuses that, it is one more failure."""
    try:
        write_report(config.output, report, outcomes)
    except PipelineError as error:
        # After the scenes' own failures: a full disk stops them first, and those say more.
        failed = [*failed, Failure(str(config.output), str(error))]
        return Result(report, config.output, failed, reported=False)
    return Result(report, config.output, failed)


def report_of(
    outcomes: Sequence[SceneOutcome],
    models: Sequence[Model],
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


def _check_bands(config: InferRoads | InferDrive, models: list[Model]) -> None:
    """Whether as many bands are chosen as the network takes.

    Raises:
        PipelineError: More or fewer.
    """
    wanted = len(models[0].card.mean)
    if config.band_indexes is not None and len(config.band_indexes) != wanted:
        raise PipelineError(
            f"--bands {config.bands}: {len(config.band_indexes)} bands, but {models[0].name} "
            f"takes {wanted}"
        )
