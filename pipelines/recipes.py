"""The two trainings, from a data folder to weights and a test report."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any, TypeVar

from pipelines import distributed
from pipelines.batch import run_batch
from pipelines.config import PredictionSettings, TrainDrive, TrainingSettings, TrainRoads
from pipelines.crops import FundusSource, RoadSource
from pipelines.errors import DataError, PipelineError
from pipelines.fundus import FundusSample, fundus_samples
from pipelines.inference import report_of
from pipelines.job import Job
from pipelines.jobs import Reading, road_jobs, sample_job
from pipelines.mlflow_log import RUN
from pipelines.objective import objective_of
from pipelines.outcome import Progress
from pipelines.report.contents import Result
from pipelines.report.write import write_report
from pipelines.roads import RoadPair, road_pairs
from pipelines.samples import write_drive_folder, write_roads_folder
from pipelines.scores.curve import HALF
from pipelines.scores.histogram import curve_of, foreground_at
from pipelines.scores.scores import as_dict
from pipelines.training import train
from pipelines.weights import Task, WeightsCard, load, save

FIELD_DIAMETERS = (900, 1650)
"""Smallest and largest diameter, in pixels, of a field of view to train at. DRIVE's (540) are
enlarged: at their own size thin vessels are about one pixel wide. HRF's (3263) are halved."""

_KEPT_SCORES = ("pixels", "foreground", "break_even", "class_mean", "relaxed", "topology")
"""Scores of the test split that the weights' metadata keep."""

_NOT_NOTED = {
    "data",
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
"""What the weights' metadata says elsewhere, or what does not matter to them."""

_NOT_COMPARED = {"output", "name", "workers", "overwrite", "mlflow", "max_time", "patience"}
"""What may change when a training goes on."""

SETTINGS = "settings.json"
"""Beside the checkpoints: what the training was told."""

Source = RoadSource | FundusSource
Item = TypeVar("Item")
Config = TypeVar("Config", bound=TrainingSettings)


def train_roads(config: TrainRoads, progress: Progress) -> Result:
    """Trains on Massachusetts Roads (`train`), scores `test`, or `valid` where there is none.

    Raises:
        DataError: The data are missing or in another layout.
    """
    by_folder = [road_pairs(folder, "train") for folder in config.data]
    split = "test" if (config.data[0] / "test" / "sat").is_dir() else "valid"
    tests = road_pairs(config.data[0], split)
    kept, held = _hold_out(by_folder, config.held_out)
    drawn: list[RoadPair] = []
    if config.samples:
        folder = config.output / "samples"
        drawn = road_pairs(
            write_roads_folder(folder, train=6, valid=0, size=768, seed=1000), "train"
        )
    reading = Reading(white_is_nodata=True)
    jobs = road_jobs([str(t.image) for t in tests], tests[0].label.parent, reading)
    return _train(
        config, "roads", ("background", "road"), 1.0, None, split,
        [RoadSource(pair) for pair in kept], [RoadSource(pair) for pair in drawn],
        [RoadSource(pair) for pair in held], jobs, progress,
    )  # fmt: skip


def train_vessels(config: TrainDrive, progress: Progress) -> Result:
    """Trains on fundus folders (DRIVE, CHASE_DB1, HRF), scores the first one's test split.

    Where the test split ships without labels it is predicted, and the report says that no
    score is possible.

    Raises:
        DataError: The data are missing or in another layout.
    """
    by_folder = [
        [sample for sample in fundus_samples(folder, "train") if sample.label is not None]
        for folder in config.data
    ]
    kept, held = _hold_out(by_folder, config.held_out)
    tests = fundus_samples(config.data[0], "test")
    drawn: list[FundusSample] = []
    if config.samples:
        folder = config.output / "samples"
        drawn = fundus_samples(write_drive_folder(folder, train=6, test=0, seed=1000), "train")
    wanted = FIELD_DIAMETERS if config.how.rescaled else None
    sources = [FundusSource(sample, wanted) for sample in kept]
    diameters = [source.diameter for source in sources]
    seen = min(diameters), max(diameters)
    return _train(
        config, "vessels", ("background", "vessel"), None, seen, "test", sources,
        [FundusSource(sample, wanted) for sample in drawn],
        [FundusSource(sample, wanted) for sample in held],
        [sample_job(sample, Reading(field_diameters=seen)) for sample in tests], progress,
    )  # fmt: skip


def _hold_out(
    by_folder: Sequence[Sequence[Item]], counts: Sequence[int]
) -> tuple[list[Item], list[Item]]:
    """Splits off so many items of each folder, evenly spread over it; one count is of them all."""
    if len(counts) == 1:
        by_folder = [[item for items in by_folder for item in items]]
    if len(counts) != len(by_folder):
        raise DataError(
            f"--held-out has {len(counts)} numbers, --data {len(by_folder)} folders; give one for "
            "each, or one for all of them together"
        )
    kept: list[Item] = []
    out: list[Item] = []
    for items, count in zip(by_folder, counts, strict=True):
        if count >= len(items):
            raise DataError(
                f"{len(items)} labelled images, of which {count} are to be held out: none are left "
                "to train on; add images or hold out fewer with --held-out"
            )
        chosen = {round((index + 0.5) * len(items) / count - 0.5) for index in range(count)}
        kept += [item for index, item in enumerate(items) if index not in chosen]
        out += [item for index, item in enumerate(items) if index in chosen]
    return kept, out


def _bounded(config: Config, sources: Sequence[Source]) -> Config:
    """Epochs, if they are given, as iterations."""
    if config.epochs is None:
        return config
    pixels = sum(source.pixels() for source in sources)
    iterations = max(1, round(config.epochs * pixels / config.how.batch_pixels))
    return config.model_copy(update={"epochs": None, "iterations": iterations})


def _train(
    config: TrainRoads | TrainDrive,
    task: Task,
    classes: tuple[str, ...],
    ground_sampling_distance: float | None,
    field_diameters: tuple[int, int] | None,
    split: str,
    sources: Sequence[Source],
    drawn: Sequence[Source],
    held_out: Sequence[Source],
    tests: Sequence[Job],
    progress: Progress,
) -> Result:
    """Trains, writes weights, then scores the test split and writes the scores into them."""
    start = time.perf_counter()
    config = _bounded(config, sources)
    _agree_with_earlier(config)
    objective = objective_of(config, task, len(classes), sources)
    if distributed.process() == 0:
        _begin(config)
    share = config.samples / 100
    weights = [(1 - share) / len(sources)] * len(sources)
    weights += [share / max(1, len(drawn))] * len(drawn)
    trained = train(config, objective, [*sources, *drawn], weights, held_out, config.output)
    if distributed.process() > 0:
        # The first process writes what there is to write.
        raise SystemExit(0)
    path = config.output / f"{config.name}.safetensors"
    card = WeightsCard(
        task=task,
        network=config.model,
        arguments=objective.arguments,
        classes=classes,
        mean=objective.mean,
        std=objective.std,
        ground_sampling_distance=ground_sampling_distance,
        threshold=trained.threshold,
        field_diameters=field_diameters,
        training={
            "data": [folder.name for folder in config.data],
            "images": [source.name for source in sources],
            "held_out": [source.name for source in held_out],
            "chosen_iteration": trained.iteration,
            **config.model_dump(mode="json", exclude=_NOT_NOTED),
            **asdict(config.how),
            "alpha": objective.alpha,
            **({"earlier": objective.earlier} if objective.earlier else {}),
        },
        scores={
            "held_out": {
                "foreground": as_dict(foreground_at(trained.held_out, HALF)),
                "break_even": as_dict(curve_of(trained.held_out).break_even()),
            }
        },
        version=version("rurnet"),
    )
    save(path, trained.network, card)
    model = load(str(path))
    inference = PredictionSettings(overwrite=True, save_steps=True)
    outcomes = run_batch(tests, [model], inference, config.output / split, progress)
    report = report_of(outcomes, [model], inference, time.perf_counter() - start)
    write_report(config.output / split, report, outcomes)
    if report["pooled"] is not None:
        # The same tensors once more, now with how they score.
        pooled = {name: report["pooled"][name] for name in _KEPT_SCORES}
        scores = {**card.scores, split: {"data": config.data[0].name, **pooled}}
        save(path, trained.network, replace(card, scores=scores))
    return Result(report, config.output / split, path)


def _settings(config: TrainRoads | TrainDrive) -> dict[str, Any]:
    """What a training must have in common with the one that it goes on from."""
    told = config.model_dump(mode="json", exclude=_NOT_COMPARED)
    # As they are read back.
    how: dict[str, Any] = json.loads(json.dumps(asdict(config.how)))
    return {**told, **how}


def _agree_with_earlier(config: TrainRoads | TrainDrive) -> None:
    """Refuses to go on with a training of other settings.

    Raises:
        PipelineError: The folder holds a training whose settings differ.
    """
    noted = config.output / SETTINGS
    if not (noted.is_file() and (config.output / "checkpoints" / "last.ckpt").is_file()):
        return
    earlier = json.loads(noted.read_text(encoding="utf-8"))
    settings = _settings(config)
    changed = sorted(key for key in settings if settings[key] != earlier.get(key))
    if changed and not config.overwrite:
        raise PipelineError(
            f"{config.output}: holds a training with another {', '.join(changed)}; "
            "go on with its settings, choose another --output, or start afresh with --overwrite"
        )


def _begin(config: TrainRoads | TrainDrive) -> None:
    """Notes the settings, and clears away an earlier training that is not to go on."""
    if config.overwrite:
        for name in ("checkpoints", "csv", "tensorboard"):
            shutil.rmtree(config.output / name, ignore_errors=True)
        (config.output / RUN).unlink(missing_ok=True)
    config.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_settings(config), indent=2) + "\n"
    (config.output / SETTINGS).write_text(text, encoding="utf-8")
