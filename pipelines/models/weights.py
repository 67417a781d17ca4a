"""Weights files: safetensors, with everything needed to use them in the metadata.

No pickle. `roads-dru4`, `roads-unet-gn` and `vessels-dru4` come with the package.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise

from pipelines.errors import WeightsError, shortened
from rurnet.errors import NetworkError
from rurnet.network import SegmentationNetwork
from rurnet.registry import create
from tiling.disk import appearing

SUFFIX = ".safetensors"


_KEY = "rurnet"


Task = Literal["roads", "vessels", "other"]
"""What weights find; "other" is of a user's own, and passes for any."""


@dataclass(frozen=True)
class WeightsCard:
    """What is known of a set of weights.

    Attributes:
        task: What they find.
        network: A name of `rurnet.NETWORKS`.
        arguments: What its constructor takes besides.
        classes: Names, background first.
        mean: Mean of each band in the training images, 0 to 255.
        std: Standard deviation of each band.
        ground_sampling_distance: Metres per pixel they were trained at; None where it is not known.
        threshold: Probability of the best F1 on the held-out images.
        field_diameters: Smallest and largest diameter, in pixels, of the fields of view they
            were trained at. None for roads, and for weights that predate it: a fundus is then
            predicted at its own size.
        training: How they were trained: data, images held out, settings, iterations, seed.
        scores: How they scored, by data set.
        version: Of this package, when they were written.
    """

    task: Task
    network: str
    arguments: dict[str, Any]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    ground_sampling_distance: float | None
    threshold: float
    field_diameters: tuple[int, int] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True)
class Model:
    """A network with its weights, in evaluation mode, and what is known of them.

    Attributes:
        name: What reports call it: the shipped name, or the file's.
        network: Ready to predict, on the CPU.
        card: Its metadata.
        digest: SHA-256 of the file, shortened to 16 hexadecimal digits.
        source: Shipped name or absolute path, from which another process may load it.
    """

    name: str
    network: SegmentationNetwork
    card: WeightsCard
    digest: str
    source: str


def shipped() -> list[str]:
    """Names of the weights that come with the package."""
    folder = files("pipelines.models") / "shipped"
    return sorted(p.name.removesuffix(SUFFIX) for p in folder.iterdir() if p.name.endswith(SUFFIX))


def save(path: Path, network: SegmentationNetwork, card: WeightsCard) -> None:
    """Writes weights; the file appears whole or not at all.

    Args:
        path: Ends in `.safetensors`; its folder is made.
        network: Whose weights.
        card: What is known of them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    # Not save_file: it leaves a file that only its owner may read.
    content = serialise(state, metadata={_KEY: json.dumps(asdict(card))})
    with appearing(path) as partial:
        partial.write_bytes(content)


def load(name_or_path: str, task: Task | None = None, *, option: str = "--model") -> Model:
    """Reads weights.

    Args:
        name_or_path: The name of shipped weights, or a file.
        task: What they must have been trained for; None and "other" take any.
        option: What a message says to give others with.

    Raises:
        WeightsError: No such weights, damaged, without metadata, of another network or task.
    """
    path = _find(name_or_path)
    card, state, digest = _read(path)
    if task is not None and card.task != task and "other" not in (task, card.task):
        fitting = [name for name in shipped() if name.startswith(task)]
        raise WeightsError(
            f"{path}: these weights find {card.task}, not {task}; "
            f"give {option} {' or '.join(fitting) or f'weights trained for {task}'}"
        )
    try:
        network = create(card.network, **card.arguments)
        network.load_state_dict(state)
    except (NetworkError, RuntimeError, TypeError) as error:
        raise WeightsError(
            f"{path}: its tensors are not those of network {card.network!r} with "
            f"{card.arguments} ({shortened(error)}); the file is of another network or damaged"
        ) from error
    source = str(path.resolve()) if Path(name_or_path).is_file() else name_or_path
    return Model(path.stem, network.eval(), card, digest, source)


def card_of(name_or_path: str) -> WeightsCard:
    """The metadata alone.

    Raises:
        WeightsError: As in `load`.
    """
    return _read(_find(name_or_path))[0]


def _find(name_or_path: str) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    packaged = Path(str(files("pipelines.models") / "shipped" / f"{name_or_path}{SUFFIX}"))
    if packaged.is_file():
        return packaged
    raise WeightsError(
        f"{name_or_path}: neither a weights file nor one of the shipped {', '.join(shipped())}"
    )


def _read(path: Path) -> tuple[WeightsCard, dict[str, torch.Tensor], str]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: not a safetensors file ({shortened(error)}); "
            "give weights written by a training of this package"
        ) from error
    if _KEY not in metadata:
        raise WeightsError(
            f"{path}: no {_KEY} metadata, so neither network nor normalisation is known; "
            "give weights written by a training of this package"
        )
    try:
        values = json.loads(metadata[_KEY])
        for key in ("classes", "mean", "std"):
            values[key] = tuple(values[key])
        if values.get("field_diameters") is not None:
            values["field_diameters"] = tuple(values["field_diameters"])
        card = WeightsCard(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{path}: its metadata cannot be understood ({shortened(error)}); "
            "it was written by another version of this package: train again or update"
        ) from error
    return card, state, hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def steps_taken(models: Sequence[Model], steps: int | None) -> int:
    """Recurrent steps: as many as were asked for, or else as the networks were trained with."""
    return steps or models[0].network.steps
