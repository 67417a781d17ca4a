"""Weights without their network: what can be told of a network without importing torch.

The table has the networks of `rurnet.registry` as trainings make them, for three bands and two
classes. `python -m benchmarks.outlines` writes it anew.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from pipelines.errors import WeightsError
from pipelines.models.names import find
from pipelines.models.weights import (
    Model,
    ModelFacts,
    Task,
    WeightsCard,
    check_task,
    digest_of,
    load,
    read_card,
)

TABLE = Path(__file__).parent / "shipped" / "outlines.json"

_READABLE = {"F32", "F16"}
"""Types of tensors, as safetensors names them, that numpy has too."""


@dataclass(frozen=True)
class NetworkOutline:
    """What is told of a network without building it; see `rurnet.network.SegmentationNetwork`.

    Attributes:
        classes: Number of classes, background included.
        steps: Default number of steps.
        one_shot: Whether the network has a single step.
        held: Bytes that its tensors hold at once for each pixel of a tile, with one step.
        held_by_step: How many more with each further step.
    """

    classes: int
    steps: int
    one_shot: bool
    held: float
    held_by_step: float

    def held_per_pixel(self, steps: int) -> int:
        """Bytes that the network holds for each pixel of a tile; see `tensor_memory.most_held`."""
        return ceil(self.held + self.held_by_step * (steps - 1))


@dataclass(frozen=True)
class OutlinedModel:
    """Weights without their network; see `pipelines.models.weights.Model`.

    Attributes:
        name: Its name in reports.
        network: What is known of it.
        card: Its metadata.
        digest: Of the file.
        source: Shipped name or absolute path.
    """

    name: str
    network: NetworkOutline
    card: WeightsCard
    digest: str
    source: str


def outlined(name_or_path: str, task: Task | None = None) -> OutlinedModel | None:
    """Reads a weights file without building its network.

    Args:
        name_or_path: The name of shipped weights, or a file.
        task: As in `pipelines.models.weights.load`.

    Returns:
        None of weights that `load` would refuse, and of networks that the table does not have: to
        know more, build the network.

    Raises:
        WeightsError: The file is not there, is damaged or lacks metadata, or is for another task.
    """
    path = find(name_or_path)
    card = read_card(path)
    check_task(path, card, task, "--model")
    row = json.loads(TABLE.read_text(encoding="utf-8")).get(key_of(card.network, card.arguments))
    if row is None or not all(map(isfinite, (*card.mean, *card.std))):
        return None
    if _shapes_of_numbers(path) != row["tensors"]:
        return None
    steps = card.arguments.get("steps", row["steps"])
    network = NetworkOutline(
        len(card.classes), steps, row["one_shot"], row["held"], row["held_by_step"]
    )
    source = str(path.resolve()) if Path(name_or_path).is_file() else name_or_path
    return OutlinedModel(path.stem, network, card, digest_of(path), source)


def known(name_or_path: str, task: Task | None = None) -> Model | OutlinedModel:
    """Reads a weights file, and builds its network only where no more can be told without it.

    Args:
        name_or_path: As in `outlined`.
        task: As in `outlined`.

    Raises:
        WeightsError: As in `pipelines.models.weights.load`.
    """
    told = outlined(name_or_path, task)
    return load(name_or_path, task) if told is None else told


def with_network(model: ModelFacts) -> Model:
    """Returns weights with their network: torch is imported where that is yet to be built.

    Raises:
        WeightsError: The file is another one by now.
    """
    return model if isinstance(model, Model) else load_again(model.source, model.digest)


def load_again(source: str, digest: str) -> Model:
    """Loads weights of which some is known already; see `pipelines.models.weights.load`.

    Raises:
        WeightsError: The file is another one by now.
    """
    model = load(source)
    if model.digest != digest:
        raise WeightsError(f"{source}: these weights were replaced while they were used; run again")
    return model


def key_of(network: str, arguments: Mapping[str, Any]) -> str:
    """Returns the key of a network in the table; its default number of steps changes nothing."""
    others = {name: value for name, value in arguments.items() if name != "steps"}
    return f"{network} {json.dumps(others, sort_keys=True)}"


def shapes_digest(shapes: Mapping[str, Sequence[int]]) -> str:
    """Returns what stands for the names and shapes of a network's tensors."""
    listed = sorted((name, list(shape)) for name, shape in shapes.items())
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]


def _shapes_of_numbers(path: Path) -> str | None:
    """The digest of the tensors' shapes; None if one is no number, or of a type numpy lacks."""
    shapes: dict[str, list[int]] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118  # It cannot be iterated.
                tensor = file.get_slice(key)
                shapes[key] = tensor.get_shape()
                whole = tensor.get_dtype().startswith(("I", "U"))
                if not whole and tensor.get_dtype() not in _READABLE:
                    return None
                if not whole and not np.isfinite(file.get_tensor(key)).all():
                    return None
    except SafetensorError:
        return None
    return shapes_digest(shapes)
