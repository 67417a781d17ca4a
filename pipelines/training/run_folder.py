"""The folder of a training: what it notes there, whether it may go on, and what it clears away."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.datasets.examples import Example, Source, TrainingData, drawn_name
from pipelines.errors import PipelineError, first_few
from pipelines.models.weights import load
from pipelines.runtime import processes as distributed
from pipelines.sampling.statistics import Contents
from pipelines.training.fit import precision_of
from pipelines.training.mlflow_logger import RUN
from pipelines.training.objective import Objective
from pipelines.training.splits import Split, Training
from tiling.disk import appearing, locked
from tiling.errors import TilingError

Contained = Mapping[Source, Contents]
"""What is in each image."""


SETTINGS = "settings.json"
"""Beside the checkpoints: what the training was told."""


_LEAVES = "leaves"
"""In the settings: what the training leaves under names of the user's or of the data's."""


HELD_OUT = "held-out"
"""Folder of the report on the held-out images."""


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


def agree_with_earlier(config: Training, splits: Sequence[Split], contents: Contained) -> None:
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
    return f" ({first_few(names)})"


def check_inputs_stay(config: Training, data: TrainingData, splits: Sequence[Split]) -> None:
    """Refuses an output whose reports would stand among what is read, and be cleared with it.

    Raises:
        PipelineError: They would.
    """
    items = [*(one.scene_input for one in (*splits[0].kept, *splits[0].held_out)), *data.tests]
    told = config.model_dump(exclude={"output"}).values()
    read = [*(Path(item.source) for item in items), *(one for one in told if isinstance(one, Path))]
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
    """Notes the settings, clears away an earlier training that is not to go on, keeps others out.

    Raises:
        PipelineError: The folder cannot be written.
        SinkError: Another training is at work there.
    """
    if distributed.process() > 0:
        yield
        return
    with written(config.output):
        config.output.mkdir(parents=True, exist_ok=True)
    with locked(config.output):
        with written(config.output):
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
def written(folder: Path) -> Iterator[None]:
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
