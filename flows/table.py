"""The table of flows: command lines, deployments and tests all read it.

A new flow is one more entry here, beside its configuration and its function in `pipelines`.
Nothing heavy is imported until an entry is used, so that the list itself is there at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pipelines.config.evaluation import Evaluate
    from pipelines.config.inference import InferDrive, InferRoads
    from pipelines.config.lines import Vectorise
    from pipelines.config.training import TrainDrive, TrainRoads
    from pipelines.config.training_folder import TrainFolder
    from pipelines.results.progress import Progress
    from pipelines.results.result import Result

Config = TypeVar("Config", bound="BaseModel")


@dataclass(frozen=True)
class FlowEntry(Generic[Config]):
    """A flow.

    Attributes:
        name: Of the command and of the deployment, in words joined by hyphens.
        help: What it does, in one line.
        config: Imports the model of its options, and returns it.
        run: Does the work. It imports what the work needs only when it is called.
    """

    name: str
    help: str
    config: Callable[[], type[Config]]
    run: "Callable[[Config, Progress], Result]"


def _infer_roads_config() -> "type[InferRoads]":
    from pipelines.config.inference import InferRoads

    return InferRoads


def _infer_roads(config: "InferRoads", progress: "Progress") -> "Result":
    _read_weights(config, progress)
    from pipelines.inference.run import infer_roads

    return infer_roads(config, progress)


def _infer_drive_config() -> "type[InferDrive]":
    from pipelines.config.inference import InferDrive

    return InferDrive


def _infer_drive(config: "InferDrive", progress: "Progress") -> "Result":
    _read_weights(config, progress)
    from pipelines.inference.run import infer_drive

    return infer_drive(config, progress)


def _read_weights(config: "InferRoads | InferDrive", progress: "Progress") -> None:
    """Checks what was asked for, and says what comes next: importing torch takes seconds."""
    from pipelines.inference.planning.asked import check_asked

    check_asked(config)
    progress.doing(f"reading weights {', '.join(config.model)}")


def _train_roads_config() -> "type[TrainRoads]":
    from pipelines.config.training import TrainRoads

    return TrainRoads


def _train_roads(config: "TrainRoads", progress: "Progress") -> "Result":
    from pipelines.training.run import train_roads

    return train_roads(config, progress)


def _train_drive_config() -> "type[TrainDrive]":
    from pipelines.config.training import TrainDrive

    return TrainDrive


def _train_drive(config: "TrainDrive", progress: "Progress") -> "Result":
    from pipelines.training.run import train_vessels

    return train_vessels(config, progress)


def _train_folder_config() -> "type[TrainFolder]":
    from pipelines.config.training_folder import TrainFolder

    return TrainFolder


def _train_folder(config: "TrainFolder", progress: "Progress") -> "Result":
    from pipelines.training.run import train_folder

    return train_folder(config, progress)


def _evaluate_config() -> "type[Evaluate]":
    from pipelines.config.evaluation import Evaluate

    return Evaluate


def _evaluate(config: "Evaluate", progress: "Progress") -> "Result":
    from pipelines.evaluation.run import evaluate

    return evaluate(config, progress)


def _vectorise_config() -> "type[Vectorise]":
    from pipelines.config.lines import Vectorise

    return Vectorise


def _vectorise(config: "Vectorise", progress: "Progress") -> "Result":
    from pipelines.lines.run import vectorise_rasters

    return vectorise_rasters(config, progress)


_ENTRIES = (
    FlowEntry("infer-roads", "Find the roads in aerial scenes.", _infer_roads_config, _infer_roads),
    FlowEntry(
        "infer-drive", "Find the vessels in fundus images.", _infer_drive_config, _infer_drive
    ),
    FlowEntry(
        "train-roads",
        "Train on Massachusetts Roads, write weights and a test report.",
        _train_roads_config,
        _train_roads,
    ),
    FlowEntry(
        "train-drive",
        "Train on DRIVE (CHASE_DB1 and HRF too), write weights and a test report.",
        _train_drive_config,
        _train_drive,
    ),
    FlowEntry(
        "train-folder",
        "Train on any images with labels, write weights and a report.",
        _train_folder_config,
        _train_folder,
    ),
    FlowEntry(
        "evaluate",
        "Score probability or mask rasters, ours or another tool's, against labels.",
        _evaluate_config,
        _evaluate,
    ),
    FlowEntry(
        "vectorise",
        "Turn masks or probabilities, ours or another tool's, into lines for a GIS.",
        _vectorise_config,
        _vectorise,
    ),
)

FLOWS: dict[str, FlowEntry[Any]] = {entry.name: entry for entry in _ENTRIES}
"""Every flow by its name."""
