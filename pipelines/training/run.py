"""Runs the trainings, from data to weights and reports."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from pipelines.config.inference import PredictionSettings
from pipelines.config.training import TrainDrive, TrainRoads
from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.examples import Example, Source, TrainingData
from pipelines.datasets.folder import folder_data
from pipelines.datasets.fundus import vessel_data
from pipelines.datasets.massachusetts import road_data
from pipelines.errors import DataError, first_few
from pipelines.inference.batch import run_batch
from pipelines.inference.job import report_of
from pipelines.inputs.discovery import check_names
from pipelines.models.encoder_weights import file_name
from pipelines.models.weights import WeightsCard, load, save
from pipelines.report.write import write_report
from pipelines.results.progress import Progress
from pipelines.results.result import Result
from pipelines.results.training import TrainingEnd
from pipelines.runtime import processes as distributed
from pipelines.scores.curve import HALF, Number
from pipelines.scores.histogram import curve_of, foreground_at
from pipelines.scores.scores import Scores, plain
from pipelines.training.ending import ending_of
from pipelines.training.fit import train
from pipelines.training.leakage import check_apart
from pipelines.training.loaders import Tile, schedule_of
from pipelines.training.mlflow_logger import check_mlflow
from pipelines.training.objective import Objective, objective_of
from pipelines.training.run_folder import (
    HELD_OUT,
    Contained,
    agree_with_earlier,
    begun,
    check_inputs_stay,
    written,
)
from pipelines.training.splits import Split, Training, splits_of

_LOG = logging.getLogger("rurnet")


_KEPT_SCORES = ("pixels", "foreground", "break_even", "class_mean", "relaxed", "topology")
"""Scores of the test split that are stored in the weights' metadata."""


_NOT_NOTED = {
    "data",
    "images",
    "labels",
    "valid_images",
    "valid_labels",
    "test_images",
    "test_labels",
    "classes",
    "value_range",
    "group_by",
    "labelled_only",
    "held_out",
    "output",
    "name",
    "model",
    "network_arguments",
    "steps",
    "workers",
    "mlflow",
    "overwrite",
}
"""Settings that the weights' metadata stores elsewhere or does not need."""


def train_roads(config: TrainRoads, progress: Progress) -> Result:
    """Trains on Massachusetts Roads; see `pipelines.datasets.massachusetts` and `run_training`."""
    check_mlflow(config.mlflow)
    return run_training(config, road_data(config), progress)


def train_vessels(config: TrainDrive, progress: Progress) -> Result:
    """Trains on fundus folders; see `pipelines.datasets.fundus` and `run_training`."""
    check_mlflow(config.mlflow)
    return run_training(config, vessel_data(config), progress)


def train_folder(config: TrainFolder, progress: Progress) -> Result:
    """Trains on a user's own images; see `pipelines.datasets.folder` and `run_training`."""
    check_mlflow(config.mlflow)
    return run_training(config, folder_data(config), progress)


def run_training(config: Training, data: TrainingData, progress: Progress) -> Result:
    """Trains once or fold by fold, then predicts the held-out and the test images.

    Args:
        config: How it trains.
        data: On what.
        progress: Is told how far it is.

    Returns:
        The weights, and the report on the test images or, without these, on the held-out images.

    Raises:
        DataError: See `splits_of` and `check_apart`. Also if the training or the held-out images
            have no foreground.
        PipelineError: The folder holds a training with other settings or images, or cannot be
            written, or there are more processes than a batch has crops.
        WeightsError: See `pipelines.training.objective.objective_of`.
        TrainingError: See `pipelines.training.fit.train`.
        SystemExit: In all but the first of several processes, at the end of training.
    """
    start = time.perf_counter()
    splits = splits_of(config, data)
    check_names([one.scene_input for split in splits for one in split.held_out])
    check_names(data.tests)
    check_inputs_stay(config, data, splits)
    check_apart(splits, data.tests)
    if distributed.process() == 0:
        images = len({one.source for split in splits for one in (*split.kept, *split.held_out)})
        progress.doing(f"reading {images} images and their labels")
    # Reads all images, so that damaged ones are reported before training, and each only once.
    every = {one.source: one for split in splits for one in (*split.kept, *split.held_out)}
    contents = {source: one.contents() for source, one in every.items()}
    agree_with_earlier(config, splits, contents)
    objectives = [
        objective_of(
            split.config, data.task, len(data.classes), [contents[one.source] for one in split.kept]
        )
        for split in splits
    ]
    for split in splits:
        schedule_of(split.config)
        _check_foreground(split, contents)
        _name_what_does_not_count(split, data, contents)
    with begun(config, data, splits, objectives, contents):
        return _trained_and_reported(config, data, splits, objectives, contents, progress, start)


def _trained_and_reported(
    config: Training,
    data: TrainingData,
    splits: Sequence[Split],
    objectives: Sequence[Objective],
    contents: Contained,
    progress: Progress,
    start: float,
) -> Result:
    """Does the work of `run_training` after its checks; `start` is the start time in seconds."""
    with written(config.output):
        drawn = data.draw()
        made = [
            _trained(split, data, drawn, objective, contents, progress, (number, len(splits)))
            for number, (split, objective) in enumerate(zip(splits, objectives, strict=True), 1)
        ]
    if distributed.process() > 0:
        # Only the first process writes files.
        raise SystemExit(0)
    trained, endings = zip(*made, strict=True)
    # All scenes of both reports, so that what is told of the whole never falls.
    reported = [one.scene_input for split in splits for one in split.held_out]
    progress.expect({one.name: None for one in (*reported, *data.tests)})
    models = [load(str(path)) for path in trained]
    inference = PredictionSettings(overwrite=True, save_steps=True, ignore=data.ignore)
    folder = config.output / HELD_OUT
    outcomes = [
        outcome
        for split, model in zip(splits, models, strict=True)
        for outcome in run_batch(
            [one.scene_input for one in split.held_out], [model], inference, folder, progress
        )
    ]
    seconds = time.perf_counter() - start
    report = report_of(outcomes, models, inference, seconds, averaged=False)
    write_report(folder, report, outcomes)
    _LOG.info("report on the held-out images: %s", folder / "report.html")
    failed = report.failed
    for path, model in zip(trained, models, strict=True):
        save(path, model.network, _as_a_whole(model.card, report.pooled))
    if data.tests:
        models = [load(str(path)) for path in trained]
        folder = config.output / data.split
        outcomes = run_batch(data.tests, models, inference, folder, progress)
        report = report_of(outcomes, models, inference, time.perf_counter() - start)
        write_report(folder, report, outcomes)
        failed = [*failed, *report.failed]
        if report.pooled is not None:
            # Writes the same tensors again, now with their scores.
            pooled = asdict(report.pooled)
            scores = {
                "data": data.names[0],
                "weights": [model.name for model in models],
                **{name: pooled[name] for name in _KEPT_SCORES},
            }
            for path, model in zip(trained, models, strict=True):
                card = replace(model.card, scores={**model.card.scores, data.split: scores})
                save(path, model.network, card)
    return Result(report, folder, failed, trained, endings=endings)


def _as_a_whole(card: WeightsCard, pooled: Scores[Number] | None) -> WeightsCard:
    """Returns the metadata with the threshold and the scores of the final held-out predictions.

    They differ from those during training, where tiles do not overlap and have less context.
    """
    if pooled is None or pooled.best.threshold is None:
        return card
    scores = {"foreground": asdict(pooled.foreground), "break_even": asdict(pooled.break_even)}
    threshold = round(pooled.best.threshold, 3)
    return replace(card, threshold=threshold, scores={**card.scores, "held_out": scores})


def _trained(
    split: Split,
    data: TrainingData,
    drawn: Sequence[Source],
    objective: Objective,
    contents: Contained,
    progress: Progress,
    fold: tuple[int, int],
) -> tuple[Path, TrainingEnd]:
    """Trains or resumes one split, writes the weights, and returns their file and how it ended."""
    config = split.config
    _LOG.info("%s: %d images, %d held out", config.output, len(split.kept), len(split.held_out))
    sources: list[Source] = [one.source for one in split.kept]
    shares = [(1 - data.drawn_share) * share for share in _shares(split, data)]
    shares += [data.drawn_share / max(1, len(drawn))] * len(drawn)
    held_out = [one.source for one in split.held_out]
    tiles = [
        Tile(one.source, window, _folder_of(one, data))
        for one in split.held_out
        for window in contents[one.source].labelled
    ]
    trained = train(
        config, objective, [*sources, *drawn], shares, tiles, config.output, progress, fold
    )
    path = config.output / f"{config.name}.safetensors"
    card = WeightsCard(
        task=data.task,
        network=config.model,
        arguments=objective.arguments,
        classes=data.classes,
        mean=objective.mean,
        std=objective.std,
        ground_sampling_distance=data.ground_sampling_distance,
        threshold=trained.threshold,
        field_diameters=data.field_diameters,
        value_range=data.value_range,
        training={
            "data": data.names,
            "images": [source.name for source in sources],
            "held_out": [source.name for source in held_out],
            "chosen_iteration": trained.chosen.iteration,
            "chosen_share": trained.chosen.share,
            **config.model_dump(mode="json", exclude=_NOT_NOTED),
            **asdict(config.how),
            # Weights are passed on to others: no folders, no addresses with passwords.
            "encoder_weights": file_name(config.encoder_weights),
            "start_from": config.start_from and file_name(config.start_from),
            "teacher": [
                {"name": one.name, "digest": one.digest, "training": one.card.training}
                for one in objective.teachers
            ],
            "alpha": objective.alpha,
            **({"earlier": objective.earlier} if objective.earlier else {}),
        },
        scores={
            "held_out": {
                "foreground": asdict(plain(foreground_at(trained.held_out, HALF))),
                "break_even": asdict(plain(curve_of(trained.held_out).break_even())),
            }
        },
        version=version("rurnet"),
    )
    end = ending_of(config, card, path, trained.chosen, trained.reached, fold)
    if distributed.process() == 0:
        save(path, trained.network, card)
        progress.trained(end)
    return path, end


def _folder_of(one: Example, data: TrainingData) -> int:
    """Number of the folder that an image is in; 0 for validation images, which are in none."""
    return next((n for n, folder in enumerate(data.folders) if one in folder), 0)


def _shares(split: Split, data: TrainingData) -> list[float]:
    """How often each kept image is drawn; all together 1."""
    folders = [_folder_of(one, data) for one in split.kept]
    images = Counter(folders)
    wanted = [images[n] for n in range(len(data.folders))] if data.shares is None else data.shares
    total = sum(share for n, share in enumerate(wanted) if images[n])
    return [wanted[n] / total / images[n] for n in folders]


def _check_foreground(split: Split, contents: Contained) -> None:
    """Checks that both the training and the held-out images have foreground.

    Raises:
        DataError: None of the training images has any, or none of the held-out images.
    """
    for what, images in (
        ("trained on", split.kept),
        ("held out to choose the weights", split.held_out),
    ):
        if not any(contents[one.source].foreground for one in images):
            names = first_few([one.source.name for one in images])
            raise DataError(
                f"{what}: {names}, but no labelled pixel there is foreground; give images that "
                "have some (--held-out, --folds or --valid-images set which are held out)"
            )
        if not any(contents[one.source].classes[0] for one in images):
            names = first_few([one.source.name for one in images])
            raise DataError(
                f"{what}: {names}, but every labelled pixel there is foreground; give images that "
                "have background too, drawn as 0"
            )


def _name_what_does_not_count(split: Split, data: TrainingData, contents: Contained) -> None:
    """Warns of classes and folders that held-out images alone have, or of which they have none."""
    for number, name in enumerate(data.classes):
        learned, judged = (
            [one.source.name for one in images if contents[one.source].classes[number]]
            for images in (split.kept, split.held_out)
        )
        if judged and not learned:
            _LOG.warning(
                "%s: only held-out images have it (%s), so it cannot be learned; add images that "
                "have it, or hold out others (--held-out, --valid-images)",
                name, first_few(judged),
            )  # fmt: skip
        if learned and not judged:
            _LOG.warning(
                "%s: no held-out image has it, so the weights are chosen, and reported, without "
                "it; add images that have it, or hold out others (--held-out, --valid-images)",
                name,
            )  # fmt: skip
    for number, folder in enumerate(data.names if len(data.folders) > 1 else ()):
        out = [one for one in split.held_out if _folder_of(one, data) == number]
        if out and not any(contents[one.source].foreground for one in out):
            _LOG.warning(
                "%s: no held-out image of it has foreground (%s), so it has no say in which "
                "weights are kept; hold out more of it with --held-out",
                folder, first_few([one.source.name for one in out]),
            )  # fmt: skip
