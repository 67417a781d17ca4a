"""Inference over a batch of scenes, from configuration to report."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from pipelines.config.base import AUTO
from pipelines.config.inference import (
    FUNDUS_INBOX,
    ROADS_INBOX,
    InferDrive,
    InferRoads,
    PredictionSettings,
)
from pipelines.errors import DataError, PipelineError
from pipelines.inference.asked import check_asked
from pipelines.inference.batch import run_batch
from pipelines.inference.estimate import estimate_batch
from pipelines.inference.measuring import measured
from pipelines.inference.predictor import predictor_for
from pipelines.inputs.discovery import fundus_inputs, road_inputs
from pipelines.inputs.labels import Labelling, labelling_of
from pipelines.inputs.normalisation import WantedRange
from pipelines.inputs.opening import Reading
from pipelines.inputs.scene_input import SceneInput
from pipelines.measurements.zones import discs_of
from pipelines.models.weights import Model, Task, load
from pipelines.report.build import IN_FIELD, THERE, build_report
from pipelines.report.write import write_report
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Progress
from pipelines.results.report import Failure, Report
from pipelines.results.result import Result


def infer_roads(config: InferRoads, progress: Progress) -> Result:
    """Finds the roads in scenes.

    An empty inbox (the default of `scenes`) is no error: there is nothing to do.

    Raises:
        DataError: A folder or glob holds no scene, or the labels' folder is missing.
        WeightsError: The weights cannot be used for roads.
        PipelineError: Nothing was run: see `pipelines.inference.batch.run_batch`.
    """
    check_asked(config)

    def items(models: list[Model]) -> list[SceneInput]:
        card = models[0].card
        reading = Reading(
            bands=config.band_indexes or len(card.mean),
            gsd=config.gsd or card.ground_sampling_distance,
            gsd_wanted=config.gsd is not None,
            pixel_told=config.pixel_size,
            any_scale=config.any_scale,
            area=config.aoi,
            white_is_nodata=config.white_is_nodata,
            labelling=_labelling(config, models),
            value_range=_value_range(config, models),
        )
        return road_inputs(config.scenes, config.labels, reading)

    return _infer(config, "roads", ROADS_INBOX, items, progress)


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

    def items(models: list[Model]) -> list[SceneInput]:
        card = models[0].card
        reading = Reading(
            bands=config.band_indexes or len(card.mean),
            field_diameters=card.field_diameters,
            scale=config.scale,
            field_source=source,
            labelling=_labelling(config, models),
            value_range=_value_range(config, models),
        )
        return fundus_inputs(config.scenes, config.labels, reading)

    return _infer(config, "vessels", FUNDUS_INBOX, items, progress)


def _nothing_in(scenes: list[str], inbox: str) -> str | None:
    """Why there is nothing to do, where only the default inbox was asked for and it is empty."""
    folder = Path(inbox)
    if scenes != [inbox] or folder.is_file():
        return None
    if not folder.exists():
        return f"Nothing was done: {folder} was not there. Put scenes there, or name some."
    if any(path for path in folder.glob("*") if not path.name.startswith(".")):
        return None
    return f"Nothing was done: {folder} is empty. Put scenes there, or name some."


def _infer(
    config: InferRoads | InferDrive,
    task: Task,
    inbox: str,
    items_for: Callable[[list[Model]], list[SceneInput]],
    progress: Progress,
) -> Result:
    start = time.perf_counter()
    models = [load(model, task) for model in config.model]
    _check_bands(config, models)
    if config.noted_threshold:
        noted = fmean(model.card.threshold for model in models)
        config = config.model_copy(update={"threshold": noted, "noted_threshold": False})
    nothing = _nothing_in(config.scenes, inbox)
    items = [] if nothing else items_for(models)
    if config.dry_run:
        estimates = estimate_batch(items, models, config, config.output)
        failed = [Failure(one.name, one.error) for one in estimates if one.error is not None]
        report = report_of([], models, config, failed=failed)
        return Result(
            report, config.output, failed, estimates=estimates, reported=False, nothing=nothing
        )
    if nothing:
        Path(inbox).mkdir(parents=True, exist_ok=True)
        report = report_of([], models, config)
        return Result(report, config.output, [], reported=False, nothing=nothing)
    told = config.disc if isinstance(config, InferDrive) else None
    discs = discs_of(told, [item.name for item in items])
    outcomes = run_batch(items, models, config, config.output, progress)
    if config.measurements:
        outcomes = measured(outcomes, models[0].card.classes[1:], discs)
    report = report_of(outcomes, models, config, time.perf_counter() - start)
    if (config.output / "report.json").exists() and outcomes and not report.scenes:
        # What is there tells of more.
        return Result(report, config.output, report.failed, reported=False)
    try:
        write_report(config.output, report, outcomes)
    except PipelineError as error:
        # After the scenes' own failures: a full disk stops them first, and those say more.
        failed = [*report.failed, Failure(str(config.output), str(error))]
        return Result(report, config.output, failed, reported=False)
    return Result(report, config.output, report.failed)


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
    return build_report(
        outcomes,
        settings,
        models,
        counted=IN_FIELD if in_field else THERE,
        classes=card.classes[1:],
        seconds=seconds,
        step_seconds=predictor_for(models, settings).seconds_per_step(settings.tile)
        if timed
        else (),
        failed=failed,
    )


def _labelling(config: InferRoads | InferDrive, models: list[Model]) -> Labelling:
    pixel_told = config.pixel_size if isinstance(config, InferRoads) else None
    return labelling_of(len(models[0].card.classes), config.ignored_values, config, pixel_told)


def _value_range(config: InferRoads | InferDrive, models: list[Model]) -> WantedRange:
    """The range that is asked for, or else the one that the weights were trained with."""
    if config.value_range == AUTO:
        return AUTO
    return config.value_ends or models[0].card.value_range


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
