"""The trainings that a protocol asks for, made of the trainings of every other command."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines.config.training import TrainDrive, TrainRoads
from pipelines.datasets.examples import TrainingData
from pipelines.datasets.fundus import fundus_data
from pipelines.datasets.massachusetts import official_road_data
from pipelines.protocols.images import ProtocolImages
from pipelines.protocols.published import PublishedProtocol


@dataclass(frozen=True)
class Asked:
    """What a benchmark is asked for.

    Attributes:
        protocol: The protocol.
        data: Folder of the user's copy of its data.
        output: Folder of all results.
        model: Name of the network to train.
        training: Whose settings it is trained with.
        iterations: Of each training; None takes those of these settings.
        seeds: One training each, or one for each image that is left out.
        weights: Weights to score in place of a training.
    """

    protocol: PublishedProtocol
    data: Path
    output: Path
    model: str
    training: Literal["default", "paper"]
    iterations: int | None
    seeds: tuple[int, ...]
    weights: str | None


@dataclass(frozen=True)
class ProtocolTraining:
    """One training.

    Attributes:
        config: How it trains.
        train: Names of its training images.
        test: Names of the images that it tests.
        images: Of the protocol.
    """

    config: TrainDrive | TrainRoads
    train: tuple[str, ...]
    test: tuple[str, ...]
    images: ProtocolImages

    def data(self) -> TrainingData:
        """Opens and checks its images; see `fundus_data` and `official_road_data` for errors."""
        if isinstance(self.config, TrainRoads):
            return official_road_data(self.config)
        train, test = self.images.of(self.train), self.images.of(self.test)
        return fundus_data(self.config, [train], test)


def trainings_of(asked: Asked, images: ProtocolImages, seed: int) -> list[ProtocolTraining]:
    """The trainings of one seed: one, or one for each image that is left out."""
    folder = folder_of(asked, seed)
    if not asked.protocol.leave_one_out:
        config = _config(asked, seed, folder)
        return [ProtocolTraining(config, images.train, images.test, images)]
    return [
        ProtocolTraining(
            _config(asked, seed, folder / name),
            tuple(one for one in images.train if one != name),
            (name,),
            images,
        )
        for name in images.test
    ]


def folder_of(asked: Asked, seed: int) -> Path:
    """The folder of a seed's results."""
    return asked.output / f"seed-{seed}"


def _config(asked: Asked, seed: int, output: Path) -> TrainDrive | TrainRoads:
    values: dict[str, Any] = {
        "data": [asked.data],
        "output": output,
        "model": asked.model,
        "protocol": asked.training,
        "iterations": asked.iterations,
        "seed": seed,
    }
    return TrainRoads(**values) if asked.protocol.task == "roads" else TrainDrive(**values)


def settings_of(training: ProtocolTraining) -> Mapping[str, Any]:
    """The settings that trainings of all seeds have in common, with the values that follow."""
    apart = ("data", "seed", "iterations")
    told = {
        name: value
        for name, value in training.config.compared().items()
        if value is not None and name not in apart
    }
    return {**told, **asdict(training.config.how)}
