"""The trainings, from data to weights and reports."""

import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipelines import distributed
from pipelines.batch import check_names, run_batch
from pipelines.config import PredictionSettings
from pipelines.crops import Contents, contents_of
from pipelines.data import Example, Source, TrainingData, drawn_name, road_data, vessel_data
from pipelines.encoder_weights import file_name
from pipelines.errors import DataError, PipelineError
from pipelines.folder import folder_data
from pipelines.inference import report_of
from pipelines.loading import plan_of
from pipelines.mlflow_log import RUN
from pipelines.objective import Objective, objective_of
from pipelines.outcome import Progress
from pipelines.report.contents import Result
from pipelines.report.write import write_report
from pipelines.scores.curve import HALF
from pipelines.scores.histogram import curve_of, foreground_at
from pipelines.scores.scores import as_dict
from pipelines.splits import Split, Training, splits_of
from pipelines.training import precision_of, train
from pipelines.training_config import TrainDrive, TrainFolder, TrainRoads
from pipelines.weights import WeightsCard, load, save
from tiling.disk import appearing, locked
from tiling.errors import TilingError

_LOG = logging.getLogger("rurnet")

_KEPT_SCORES = ("pixels", "foreground", "break_even", "class_mean", "relaxed", "topology")
"""Scores of the test split that the weights' metadata keep."""

_NOT_NOTED = {
    "data",
    "images",
    "labels",
    "valid_images",
    "valid_labels",
    "test_images",
    "test_labels",
    "classes",
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

Contained = Mapping[Source, Contents]
"""What is in each image."""

SETTINGS = "settings.json"
"""Beside the checkpoints: what the training was told."""

_LEAVES = "leaves"
"""In the settings: what the training leaves under names of the user's or of the data's."""

HELD_OUT = "held-out"
"""Folder of the report on the held-out images."""


def train_roads(config: TrainRoads, progress: Progress) -> Result:
    """Trains on Massachusetts Roads; see `pipelines.data.road_data` and `_run`."""
    return _run(config, road_data(config), progress)


def train_vessels(config: TrainDrive, progress: Progress) -> Result:
    """Trains on fundus folders; see `pipelines.data.vessel_data` and `_run`."""
    return _run(config, vessel_data(config), progress)


def train_folder(config: TrainFolder, progress: Progress) -> Result:
    """Trains on a user's own images; see `pipelines.folder.folder_data` and `_run`."""
    return _run(config, folder_data(config), progress)


def _run(config: Training, data: TrainingData, progress: Progress) -> Result:
    """Trains once or fold by fold, then predicts the held-out and the test images.

    Returns:
        The report on the test images, or on those held out where there are none, and the weights.

    Raises:
        DataError: See `pipelines.splits.splits_of`; or nothing can be learned or chosen by the
            images, as all of them are missing or without foreground.
        PipelineError: The folder holds a training of other settings or images, or cannot be
            written; or there are too many processes for a batch.
        WeightsError: See `pipelines.objective.objective_of`.
        TrainingError: See `pipelines.training.train`.
        SystemExit: In all but the first of several processes, when training is done.
    """
    start = time.perf_counter()
    splits = splits_of(config, data)
    check_names([one.job for split in splits for one in split.held_out])
    check_names(data.tests)
    # A damaged image is to be told of before training; and what is read once is counted once.
    every = {one.source: one for split in splits for one in (*split.kept, *split.held_out)}
    contents = {source: contents_of(source, len(data.classes)) for source in every}
    _agree_with_earlier(config, splits, contents)
    objectives = [
        objective_of(
            split.config, data.task, len(data.classes), [contents[one.source] for one in split.kept]
        )
        for split in splits
    ]
    for split in splits:
        plan_of(split.config)
        _check_foreground(split, contents)
    _check_inputs_stay(config, data, splits)
    with _begun(config, data, splits, objectives, contents):
        return _trained_and_reported(config, data, splits, objectives, progress, start)


def _trained_and_reported(
    config: Training,
    data: TrainingData,
    splits: Sequence[Split],
    objectives: Sequence[Objective],
    progress: Progress,
    start: float,
) -> Result:
    """What `_run` does once all is looked at; `start` is when it began."""
    with _written(config.output):
        drawn = data.draw()
        trained = [
            _trained(split, data, drawn, objective)
            for split, objective in zip(splits, objectives, strict=True)
        ]
    if distributed.process() > 0:
        # The first process writes what there is to write.
        raise SystemExit(0)
    models = [load(str(path)) for path in trained]
    inference = PredictionSettings(overwrite=True, save_steps=True, ignore=data.ignore)
    folder = config.output / HELD_OUT
    outcomes = [
        outcome
        for split, model in zip(splits, models, strict=True)
        for outcome in run_batch(
            [one.job for one in split.held_out], [model], inference, folder, progress
        )
    ]
    seconds = time.perf_counter() - start
    report = report_of(outcomes, models, inference, seconds, averaged=False)
    write_report(folder, report, outcomes)
    _LOG.info("report on the held-out images: %s", folder / "report.html")
    failed = report["failed"]
    for path, model in zip(trained, models, strict=True):
        save(path, model.network, _as_a_whole(model.card, report["pooled"]))
    if data.tests:
        models = [load(str(path)) for path in trained]
        folder = config.output / data.split
        outcomes = run_batch(data.tests, models, inference, folder, progress)
        report = report_of(outcomes, models, inference, time.perf_counter() - start)
        write_report(folder, report, outcomes)
        report["failed"] = [*failed, *report["failed"]]
        if report["pooled"] is not None:
            # The same tensors once more, now with how they score.
            scores = {
                "data": data.names[0],
                "weights": [model.name for model in models],
                **{name: report["pooled"][name] for name in _KEPT_SCORES},
            }
            for path, model in zip(trained, models, strict=True):
                card = replace(model.card, scores={**model.card.scores, data.split: scores})
                save(path, model.network, card)
    return Result(report, folder, trained)


def _as_a_whole(card: WeightsCard, pooled: Mapping[str, Any] | None) -> WeightsCard:
    """The card with threshold and scores of the held-out images as they are predicted in the end.

    The tiles that choose the weights do not overlap, and have less around them.
    """
    if pooled is None or pooled["best"] is None or pooled["best"]["threshold"] is None:
        return card
    scores = {name: pooled[name] for name in ("foreground", "break_even")}
    threshold = round(pooled["best"]["threshold"], 3)
    return replace(card, threshold=threshold, scores={**card.scores, "held_out": scores})


def _trained(
    split: Split, data: TrainingData, drawn: Sequence[Source], objective: Objective
) -> Path:
    """Trains, or goes on, and writes the weights; returns their file."""
    config = split.config
    _LOG.info("%s: %d images, %d held out", config.output, len(split.kept), len(split.held_out))
    sources: list[Source] = [one.source for one in split.kept]
    shares = [(1 - data.drawn_share) / len(sources)] * len(sources)
    shares += [data.drawn_share / max(1, len(drawn))] * len(drawn)
    held_out = [one.source for one in split.held_out]
    trained = train(config, objective, [*sources, *drawn], shares, held_out, config.output)
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
        training={
            "data": data.names,
            "images": [source.name for source in sources],
            "held_out": [source.name for source in held_out],
            "chosen_iteration": trained.iteration,
            **config.model_dump(mode="json", exclude=_NOT_NOTED),
            **asdict(config.how),
            # Weights are passed on: no folder, no address with a password in it.
            "encoder_weights": file_name(config.encoder_weights),
            "start_from": config.start_from and file_name(config.start_from),
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
    if distributed.process() == 0:
        save(path, trained.network, card)
    return path


def _check_foreground(split: Split, contents: Contained) -> None:
    """Whether there is something to learn, and something to choose the weights by.

    Raises:
        DataError: No image that is trained on has foreground, or none that is held out.
    """
    for what, images in (
        ("trained on", split.kept),
        ("held out to choose the weights", split.held_out),
    ):
        if not any(contents[one.source].foreground for one in images):
            names = _some([one.source.name for one in images])
            raise DataError(
                f"{what}: {names}, but no labelled pixel there is foreground; give images that "
                "have some (which ones are held out, --held-out, --folds or --valid-images say)"
            )


def _settings(split: Split, contents: Contained) -> dict[str, Any]:
    """What a training must have in common with the one that it goes on from."""

    def digests(images: Sequence[Example]) -> dict[str, str]:
        found: dict[str, str] = {}
        for one in images:
            # Images of two folders may have one name.
            name = one.source.name
            found[name] = found.get(name, "") + contents[one.source].digest
        return found

    told = split.config.compared()
    if (start := split.config.start_from) is not None:
        told["start_from"] = {start: load(start).digest}
    # As they are read back.
    how: dict[str, Any] = json.loads(json.dumps(asdict(split.config.how)))
    images = {
        "training images": digests(split.kept),
        "held-out images": digests(split.held_out),
    }
    return {**told, **how, **images}


def _earlier_settings(folder: Path) -> dict[str, Any] | None:
    """The settings of the training that a folder holds; None where it holds none.

    Raises:
        PipelineError: There is such a file, but it is damaged or not of a training.
    """
    noted = folder / SETTINGS
    if not noted.is_file():
        return None
    try:
        earlier = json.loads(noted.read_text(encoding="utf-8"))
    except ValueError:
        earlier = None
    if not isinstance(earlier, dict) or "protocol" not in earlier:
        raise PipelineError(
            f"{noted}: not the settings of a training; choose another --output, or remove it"
        )
    return earlier


def _agree_with_earlier(config: Training, splits: Sequence[Split], contents: Contained) -> None:
    """Refuses to go on with a training of other settings or images, or to replace its own start.

    Raises:
        PipelineError: The folder holds a training, or one of its folds, where they differ; or the
            weights to start from.
    """
    own = {split.config.output: split for split in splits}
    written = [config.output / f"{config.name}.safetensors", *config.output.glob("fold-*/*")]
    start = config.start_from
    if start is not None and Path(start).resolve() in [one.resolve() for one in written]:
        raise PipelineError(
            f"{start}: weights to start from must stay as they are, and this training writes "
            "there; choose another --output"
        )
    for folder in (config.output, *sorted(config.output.glob("fold-*"))):
        earlier = _earlier_settings(folder)
        if not (folder / "checkpoints" / "last.ckpt").is_file():
            continue
        if earlier is None:
            if config.overwrite:
                continue
            raise PipelineError(
                f"{folder}: holds checkpoints without the settings that they are of ({SETTINGS}); "
                "choose another --output, or start afresh with --overwrite"
            )
        settings = _settings(own.get(folder, splits[0]), contents)
        changed = [
            key + _which(settings[key], earlier.get(key))
            for key in sorted(settings)
            if settings[key] != earlier.get(key)
        ]
        if changed and not config.overwrite:
            raise PipelineError(
                f"{folder}: holds a training with another {', '.join(changed)}; "
                "go on with its settings, choose another --output, or start afresh with --overwrite"
            )


def _which(now: Any, earlier: Any) -> str:
    """Of images of the same names, in brackets those that have changed."""
    if not (isinstance(now, dict) and isinstance(earlier, dict) and now.keys() == earlier.keys()):
        return ""
    names = [name for name in now if now[name] != earlier[name]]
    return f" ({_some(names)})"


def _some(names: Sequence[str]) -> str:
    """The first few of them."""
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _check_inputs_stay(config: Training, data: TrainingData, splits: Sequence[Split]) -> None:
    """Refuses an output whose reports would stand among what is read, and be cleared with it.

    Raises:
        PipelineError: They would.
    """
    jobs = [*(one.job for one in (*splits[0].kept, *splits[0].held_out)), *data.tests]
    told = config.model_dump(exclude={"output"}).values()
    read = [*(Path(job.source) for job in jobs), *(one for one in told if isinstance(one, Path))]
    for folder in (config.output / HELD_OUT, config.output / data.split):
        for path in read:
            if path.resolve().is_relative_to(folder.resolve()):
                raise PipelineError(
                    f"{path}: lies in {folder}, where this training's report would be; "
                    "choose another --output"
                )


@contextmanager
def _begun(
    config: Training,
    data: TrainingData,
    splits: Sequence[Split],
    objectives: Sequence[Objective],
    contents: Contained,
) -> Iterator[None]:
    """Notes the settings, clears away an earlier training that is not to go on, keeps others out.

    Raises:
        PipelineError: The folder cannot be written.
        SinkError: Another training is at work there.
    """
    if distributed.process() > 0:
        yield
        return
    with _written(config.output):
        config.output.mkdir(parents=True, exist_ok=True)
    with locked(config.output):
        with _written(config.output):
            _note(config, data, splits, objectives, contents)
        yield


def _note(
    config: Training,
    data: TrainingData,
    splits: Sequence[Split],
    objectives: Sequence[Objective],
    contents: Contained,
) -> None:
    """Writes the settings, with `--overwrite` in an empty folder."""
    if config.overwrite:
        _clear(config.output)
    for split, objective in zip(splits, objectives, strict=True):
        folder = split.config.output
        folder.mkdir(parents=True, exist_ok=True)
        earlier = (_earlier_settings(folder) or {}).get("resolved", {}).get(_LEAVES, [])
        leaves = {*earlier, f"{split.config.name}.safetensors", data.split}
        if data.drawn_share:
            leaves |= {drawn_name(process) for process in range(distributed.processes())}
        resolved = {
            "class weights": objective.class_weights,
            "network arguments": objective.arguments,
            "alpha": objective.alpha,
            "precision": precision_of(split.config.precision),
            "max_time": split.config.max_time,
            "patience": split.config.patience,
            _LEAVES: sorted(leaves),
        }
        settings = {**_settings(split, contents), "resolved": resolved}
        with appearing(folder / SETTINGS) as partial:
            partial.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _clear(folder: Path) -> None:
    """Removes what an earlier training left, and nothing where there was none."""
    every = {one: _earlier_settings(one) for one in (folder, *folder.glob("fold-*"))}
    earlier = {one: settings for one, settings in every.items() if settings is not None}
    # Checkpoints first, and what tells of them last: one killed here leaves none to go on from.
    for one in earlier:
        shutil.rmtree(one / "checkpoints", ignore_errors=True)
    left = {HELD_OUT} if earlier else set()
    for one, settings in earlier.items():
        left |= {*settings.get("resolved", {}).get(_LEAVES, [])}
        if one != folder:
            shutil.rmtree(one)
    if folder in earlier:
        left |= {"csv", "tensorboard", RUN}
    for name in (*sorted(left), *([SETTINGS] if folder in earlier else [])):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Says of what the disk refuses which folder it is about, and what to do.

    Raises:
        PipelineError: In place of the disk's own error.
    """
    try:
        yield
    except (PipelineError, TilingError):
        raise  # Some are OSErrors too, of a file that they name.
    except OSError as error:
        raise PipelineError(
            f"{folder}: cannot be written ({error.strerror or error}); free some space, and the "
            "same command goes on; or choose another --output"
        ) from error
