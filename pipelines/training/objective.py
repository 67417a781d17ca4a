"""The objective of a training: network, class weights, statistics, and tensors to start from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.config.training import Argument, TrainingSettings
from pipelines.errors import PipelineError, WeightsError
from pipelines.models.encoder_weights import read_encoder_weights
from pipelines.models.weights import Model, Task, load
from pipelines.runtime import processes as distributed
from pipelines.sampling.statistics import Contents, band_statistics
from rurnet.encoders.pretrained import load_encoder
from rurnet.errors import NetworkError
from rurnet.loss import median_frequency_weights
from rurnet.network import SegmentationNetwork
from rurnet.registry import create


@dataclass(frozen=True)
class Objective:
    """What a training needs to know besides its settings.

    Attributes:
        arguments: Arguments of the network's constructor.
        class_weights: Weight of each class in the cross entropy. F1 is highest where the
            probability is about F1 / 2; a foreground weight of (2 - F1) / F1 moves that to 0.5.
        alpha: Weight of a step's loss, relative to that of the next step.
        mean: Mean of each band in the training images.
        std: Standard deviation of each band.
        start: Tensors to start from; None for fresh ones.
        earlier: How the weights were trained that it starts from.
        teachers: Weights that teach.
    """

    arguments: dict[str, Any]
    class_weights: tuple[float, ...]
    alpha: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    start: dict[str, Tensor] | None = None
    earlier: dict[str, Any] = field(default_factory=dict)
    teachers: tuple[Model, ...] = ()


def objective_of(
    settings: TrainingSettings,
    task: Task,
    classes: int,
    images: Sequence[Contents],
) -> Objective:
    """The objective that settings and training images give.

    Args:
        settings: Settings of the training.
        task: Task that weights to start from must have been trained for.
        classes: Number of classes, background included.
        images: Contents of the training images.

    Raises:
        WeightsError: The weights to start from, or a teacher's, do not fit the network or the
            images.
        PipelineError: Steps are given for a one-shot network, or self-teaching where only one step
            is trained.
        NetworkError: There is no such network, or it does not take an argument or its value.
    """
    bands = len(images[0].sums)
    model = None if settings.start_from is None else _earlier(settings, task, bands, classes)
    own = {"in_channels": bands, "classes": classes} if model is None else model.card.arguments
    network, arguments = _network(settings, own)
    _check_batch_norm(network, settings.model)
    start = None
    if model is not None:
        start = model.network.state_dict()
        try:
            network.load_state_dict(start)
        except RuntimeError as error:
            raise WeightsError(
                f"{settings.start_from}: its network has {own}, which "
                f"{settings.network_arguments} do not go with; leave --network-arguments out"
            ) from error
    elif settings.encoder_weights != "none":
        _start_encoder(network, settings)
        start = network.state_dict()
    mean, std = band_statistics(images)
    if model is not None:
        mean, std = model.card.mean, model.card.std  # It has learned on this scale.
    foreground = settings.how.foreground_weight
    if foreground == "median":
        pixels = [image.classes.tolist() for image in images]
        weights = [round(weight, 4) for weight in median_frequency_weights(pixels).tolist()]
    else:
        weights = [1.0] + [foreground] * (classes - 1)
    alpha = network.alpha if settings.alpha is None else settings.alpha
    if settings.self_teaching and (arguments.get("steps", 1) == 1 or not alpha):
        raise PipelineError(
            f"--self-teaching {settings.self_teaching}: only one step of {settings.model} is "
            "trained here, and the last step teaches the earlier ones; leave it out, or train a "
            "recurrent network with 2 or more --steps and an --alpha above 0"
        )
    earlier = {} if model is None else model.card.training
    teachers = tuple(_fitting(name, task, bands, classes, "--teacher") for name in settings.teacher)
    return Objective(arguments, tuple(weights), alpha, mean, std, start, earlier, teachers)


def _check_batch_norm(network: nn.Module, name: str) -> None:
    """Checks that batch norm, if the network has it, can be synchronised over all processes.

    Raises:
        PipelineError: It cannot: that needs GPUs.
    """
    if distributed.processes() > 1 and not torch.cuda.is_available():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                raise PipelineError(
                    f"--model {name}: batch norm over several processes needs GPUs; train in one "
                    "process, or give a network with group norm"
                )


def _earlier(settings: TrainingSettings, task: Task, bands: int, classes: int) -> Model:
    """The weights to start from."""
    model = _fitting(str(settings.start_from), task, bands, classes, "--start-from")
    if model.card.network != settings.model:
        raise WeightsError(
            f"{settings.start_from}: weights of network {model.card.network}, not "
            f"{settings.model}; give --model {model.card.network}"
        )
    return model


def _fitting(name: str, task: Task, bands: int, classes: int, option: str) -> Model:
    """Weights of the training images' bands and classes."""
    model = load(name, task, option=option)
    known = len(model.card.mean), len(model.card.classes)
    if known != (bands, classes):
        raise WeightsError(
            f"{name}: weights of {known[0]} bands and {known[1]} classes, but the "
            f"training images have {bands} and {classes}; leave {option} out"
        )
    return model


def _network(
    settings: TrainingSettings, own: dict[str, Any]
) -> tuple[SegmentationNetwork, dict[str, Any]]:
    """A fresh network and the arguments it was made with; those in the settings override `own`."""
    given = {name: _several(value) for name, value in settings.network_arguments.items()}
    arguments = {**own, **given}
    torch.manual_seed(settings.seed)
    network = create(settings.model, **arguments)
    if network.one_shot:
        if settings.steps is not None:
            raise PipelineError(
                f"{settings.model}: a one-shot network has one step; leave --steps out"
            )
        return network, arguments
    # The default is noted too: another version may have another one.
    return network, {**arguments, "steps": settings.steps or network.steps}


def _several(value: Argument) -> Argument | list[int]:
    """The numbers of a text like 8,16,32; other values stay as they are."""
    if isinstance(value, str) and re.fullmatch(r"\d+(,\d+)+", value):
        return [int(number) for number in value.split(",")]
    return value


def _start_encoder(network: SegmentationNetwork, settings: TrainingSettings) -> None:
    """Loads the tensors of a file or a URL into a network's encoder."""
    source = settings.encoder_weights
    try:
        load_encoder(network, read_encoder_weights(source, settings.encoder_sha256))
    except NetworkError as error:
        raise WeightsError(f"{source}, for network {settings.model}: {error}") from error
