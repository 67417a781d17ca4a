"""The folder of a training: its settings file, the checks before resuming, and clearing it."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.config.protocol import Protocol
from pipelines.config.training import TrainingSettings
from pipelines.datasets.examples import Example, Source, TrainingData, drawn_name
from pipelines.errors import PipelineError, first_few
from pipelines.models.weights import load
from pipelines.runtime import processes as distributed
from pipelines.runtime.device import TrainingPrecision, fastest_precision
from pipelines.runtime.disk import refusals_named
from pipelines.sampling.statistics import Contents
from pipelines.training.mlflow_logger import RUN
from pipelines.training.objective import Objective
from pipelines.training.splits import Split, Training
from tiling.disk import appearing, locked, remove_half_written

Contained = Mapping[Source, Contents]
"""The contents of each image: pixel counts, sums and a digest."""


SETTINGS = "settings.json"
"""Name of the file beside the checkpoints with the settings of the training."""


_RESOLVED = "resolved"
"""Key in the settings file: what followed from the settings. It is not compared."""


_LEAVES = "leaves"
"""Key in the resolved settings: files and folders of the training whose names vary."""


HELD_OUT = "held-out"
"""Name of the folder with the report on the held-out images."""


def _settings(split: Split, contents: Contained) -> dict[str, Any]:
    """Returns the settings that must be the same when a training is resumed."""

    def digests(images: Sequence[Example]) -> dict[str, str]:
        found: dict[str, str] = {}
        for one in images:
            # Images in different folders can have the same name.
            name = one.source.name
            found[name] = found.get(name, "") + contents[one.source].digest
        return found

    settings = split.config.compared()
    if (start := split.config.start_from) is not None:
        settings["start_from"] = {start: load(start).digest}
    if split.config.teacher:
        settings["teacher"] = {name: load(name).digest for name in split.config.teacher}
    images = {
        "training images": digests(split.kept),
        "held-out images": digests(split.held_out),
    }
    return {**settings, **_as_read_back(split.config.how), **images}


def _as_read_back(protocol: Protocol) -> dict[str, Any]:
    """A protocol's values, with lists in place of tuples."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(protocol)))
    return values


def _earlier_settings(folder: Path) -> dict[str, Any] | None:
    """Reads the settings of an earlier training in the folder; None if there are none.

    Raises:
        PipelineError: The file is damaged or not from a training.
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
            f"{noted}: not the settings of a training; choose another --output, or remove the file"
        )
    return earlier


def precision_of(config: TrainingSettings, folder: Path) -> TrainingPrecision:
    """Returns in which precision a training runs; "auto" is the fastest here.

    A training that is resumed, perhaps on another machine, goes on in what it was begun in.

    Args:
        config: Settings of the training.
        folder: Of its checkpoints and settings.
    """
    if config.precision != "auto":
        return config.precision
    fastest = fastest_precision()
    if config.overwrite or not _last_checkpoint(folder).is_file():
        return fastest
    earlier = (_earlier_settings(folder) or {}).get(_RESOLVED, {})
    begun_in: TrainingPrecision = earlier.get("precision", fastest)
    return begun_in


def _last_checkpoint(folder: Path) -> Path:
    return folder / "checkpoints" / "last.ckpt"


def agree_with_earlier(config: Training, splits: Sequence[Split], contents: Contained) -> None:
    """Refuses to resume a training with other settings or images, or to overwrite what it needs.

    Raises:
        PipelineError: An earlier training in the folder, or one of its folds, has other settings
            or images; or the weights to start from, or a teacher's, are a file that this training
            writes.
    """
    own = {split.config.output: split for split in splits}
    written = [config.output / f"{config.name}.safetensors", *config.output.glob("fold-*/*")]
    needed = [(name, "teach it") for name in config.teacher]
    if config.start_from is not None:
        needed.append((config.start_from, "it starts from"))
    for name, why in needed:
        if Path(name).resolve() in [one.resolve() for one in written]:
            raise PipelineError(
                f"{name}: this training would overwrite the weights that {why}; "
                "choose another --output"
            )
    for folder in (config.output, *sorted(config.output.glob("fold-*"))):
        earlier = _earlier_settings(folder)
        if not _last_checkpoint(folder).is_file():
            continue
        if earlier is None:
            if config.overwrite:
                continue
            raise PipelineError(
                f"{folder}: holds checkpoints without their settings ({SETTINGS}); "
                "choose another --output, or start again with --overwrite"
            )
        settings = _settings(own.get(folder, splits[0]), contents)
        # What a protocol did not have when the training was begun, it has gone without.
        earlier = {**_as_read_back(config.PROTOCOLS[config.protocol]), **earlier}
        # Also those that are not given any more: an option at its default may leave no key.
        changed = [
            key + _which(settings.get(key), earlier.get(key))
            for key in sorted({*settings, *earlier} - {_RESOLVED})
            if settings.get(key) != earlier.get(key)
        ]
        if changed and not config.overwrite:
            raise PipelineError(
                f"{folder}: holds a training that differs in {', '.join(changed)}; "
                "resume with its settings, choose another --output, or start again with --overwrite"
            )


def _which(now: Any, earlier: Any) -> str:
    """Returns in brackets the names of the images that changed, if the names are the same."""
    if not (isinstance(now, dict) and isinstance(earlier, dict) and now.keys() == earlier.keys()):
        return ""
    names = [name for name in now if now[name] != earlier[name]]
    return f" ({first_few(names)})"


def check_inputs_stay(config: Training, data: TrainingData, splits: Sequence[Split]) -> None:
    """Refuses an output folder whose report folders contain inputs: clearing would delete them.

    Raises:
        PipelineError: An input lies in such a folder.
    """
    items = [*(one.scene_input for one in (*splits[0].kept, *splits[0].held_out)), *data.tests]
    given = config.model_dump(exclude={"output"}).values()
    read = [
        *(Path(item.source) for item in items),
        *(one for one in given if isinstance(one, Path)),
    ]
    for folder in (config.output / HELD_OUT, config.output / data.split):
        for path in read:
            if path.resolve().is_relative_to(folder.resolve()):
                raise PipelineError(
                    f"{path}: lies in {folder}, where this training's report would be; "
                    "choose another --output"
                )


@contextmanager
def begun(
    config: Training,
    data: TrainingData,
    splits: Sequence[Split],
    objectives: Sequence[Objective],
    contents: Contained,
) -> Iterator[None]:
    """Locks the folder, writes the settings and clears what is left of an earlier start.

    That is what a kill has left half written and, with `--overwrite`, the whole earlier training.

    Raises:
        PipelineError: The folder cannot be written.
        SinkError: Another training is running there.
    """
    if distributed.process() > 0:
        yield
        return
    with written(config.output):
        config.output.mkdir(parents=True, exist_ok=True)
    with locked(config.output):
        with written(config.output):
            _remove_half_written(config.output)
            _note(config, data, splits, objectives, contents)
        yield


def _remove_half_written(folder: Path) -> None:
    """Removes checkpoints, weights and settings that a kill has left half written."""
    for one in (folder, *folder.glob("fold-*")):
        for written_to in (one, one / "checkpoints"):
            if written_to.is_dir():
                remove_half_written(written_to)


def _note(
    config: Training,
    data: TrainingData,
    splits: Sequence[Split],
    objectives: Sequence[Objective],
    contents: Contained,
) -> None:
    """Writes the settings of each split; with `--overwrite` it clears the folder first."""
    if config.overwrite:
        _clear(config.output)
    for split, objective in zip(splits, objectives, strict=True):
        folder = split.config.output
        folder.mkdir(parents=True, exist_ok=True)
        earlier = (_earlier_settings(folder) or {}).get(_RESOLVED, {}).get(_LEAVES, [])
        leaves = {*earlier, f"{split.config.name}.safetensors", data.split}
        if data.drawn_share:
            leaves |= {drawn_name(process) for process in range(distributed.processes())}
        resolved = {
            "class weights": objective.class_weights,
            "network arguments": objective.arguments,
            "alpha": objective.alpha,
            "precision": precision_of(split.config, folder),
            "max_time": split.config.max_time,
            "patience": split.config.patience,
            _LEAVES: sorted(leaves),
        }
        settings = {**_settings(split, contents), _RESOLVED: resolved}
        with appearing(folder / SETTINGS) as partial:
            partial.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _clear(folder: Path) -> None:
    """Removes the files of an earlier training, and no others."""
    every = {one: _earlier_settings(one) for one in (folder, *folder.glob("fold-*"))}
    earlier = {one: settings for one, settings in every.items() if settings is not None}
    # Checkpoints first and settings last: if killed here, nothing can be resumed by mistake.
    for one in earlier:
        shutil.rmtree(one / "checkpoints", ignore_errors=True)
    left = {HELD_OUT} if earlier else set()
    for one, settings in earlier.items():
        left |= {*settings.get(_RESOLVED, {}).get(_LEAVES, [])}
        if one != folder:
            shutil.rmtree(one)
    if folder in earlier:
        left |= {"csv", "tensorboard", RUN}
    for name in (*sorted(left), *([SETTINGS] if folder in earlier else [])):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def written(folder: Path) -> AbstractContextManager[None]:
    """Names the folder of a training where the disk refuses; see `refusals_named`."""
    return refusals_named(
        folder, "free some space and run the same command to resume, or choose another --output"
    )
