"""Weights files: safetensors whose metadata hold everything that is needed to use them.

No pickle. `roads-dru4`, `roads-dru4-wide`, `roads-dru4-world`, `roads-tiny`, `roads-unet-gn`,
`vessels-dru4`, `vessels-dru4-wide` and `vessels-tiny` come with the package. torch is imported
where a network is built: that takes seconds.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any, Literal, Protocol

from safetensors import SafetensorError, safe_open

from pipelines.errors import WeightsError, first_few, shortened
from pipelines.models.names import find, shipped
from pipelines.models.stopping import StopRule, shipped_rule
from rurnet.errors import NetworkError
from tiling.disk import appearing

if TYPE_CHECKING:
    import torch

    from rurnet.network import SegmentationNetwork

_KEY = "rurnet"


Steps = int | Literal["auto"] | None
"""A number of recurrent steps, as many as each tile needs, or the networks' own number."""

Task = Literal["roads", "vessels", "other"]
"""The objects that the weights detect; "other" is a user's own classes and fits any task."""


@dataclass(frozen=True)
class WeightsCard:
    """The metadata of a weights file.

    Attributes:
        task: What the weights detect.
        network: A name in `rurnet.NETWORKS`.
        arguments: Arguments of the network's constructor.
        classes: Names of the classes, background first.
        mean: Mean of each band in the training images, from 0 to 255.
        std: Standard deviation of each band.
        ground_sampling_distance: Metres per pixel of the training images; None if unknown.
        threshold: Probability threshold with the best F1 on the held-out images.
        field_diameters: Smallest and largest diameter, in pixels, of the fields of view in
            training. None for roads and in files of older versions; fundus images are then
            predicted at their own size.
        value_range: Pixel values that stood for 0 and 255 in training; None for those of the
            images' type.
        stopping: When another step would not pay, for `--steps auto`; None where that was not
            fitted.
        training: How the network was trained: data, held-out images, settings, iterations, seed.
        scores: Its scores, by data set.
        version: The version of this package that wrote the file.
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
    value_range: tuple[float, float] | None = None
    stopping: StopRule | None = None
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    @property
    def foreground_weight(self) -> float:
        """The weight of foreground pixels in the loss; 1 where the card does not tell it."""
        weight = self.training.get("foreground_weight")
        return float(weight) if isinstance(weight, int | float) else 1.0

    @property
    def trained_on(self) -> set[str]:
        """Names of the images that the network, or one that taught it, was trained on, ever."""
        seen: set[str] = set()
        trainings: list[Mapping[str, Any]] = [self.training]
        while trainings:
            training = trainings.pop()
            seen.update(training.get("images", ()))
            trainings += [teacher.get("training", {}) for teacher in training.get("teacher", ())]
            if training.get("earlier"):
                trainings.append(training["earlier"])
        return seen


class NetworkFacts(Protocol):
    """What is told of a network without running it; see `rurnet.network.SegmentationNetwork`."""

    @property
    def classes(self) -> int:
        """Number of classes, background included."""
        ...

    @property
    def steps(self) -> int:
        """Default number of steps."""
        ...

    @property
    def one_shot(self) -> bool:
        """Whether the network has a single step."""
        ...


class ModelFacts(Protocol):
    """What is told of weights without predicting; see `Model`."""

    @property
    def name(self) -> str:
        """See `Model`."""
        ...

    @property
    def network(self) -> NetworkFacts:
        """The network, or what stands for it."""
        ...

    @property
    def card(self) -> WeightsCard:
        """See `Model`."""
        ...

    @property
    def digest(self) -> str:
        """See `Model`."""
        ...

    @property
    def source(self) -> str:
        """See `Model`."""
        ...


@dataclass(frozen=True)
class Model:
    """A network with its weights and their metadata.

    Attributes:
        name: Its name in reports: the shipped name, or the file's stem.
        network: The network in evaluation mode, on the CPU.
        card: Its metadata.
        digest: The first 16 hexadecimal digits of the file's SHA-256.
        source: Shipped name or absolute path, for other processes to load it from.
    """

    name: str
    network: "SegmentationNetwork"
    card: WeightsCard
    digest: str
    source: str


def save(path: Path, network: "SegmentationNetwork", card: WeightsCard) -> None:
    """Writes a weights file. It appears only when it is complete.

    Args:
        path: A name in `.safetensors`; its folder is created.
        network: The network whose weights are written.
        card: Its metadata.
    """
    from safetensors.torch import save as serialise

    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    # Not save_file: only the owner could read its file.
    content = serialise(state, metadata={_KEY: json.dumps(asdict(card))})
    with appearing(path) as partial:
        partial.write_bytes(content)


def load(name_or_path: str, task: Task | None = None, *, option: str = "--model") -> Model:
    """Reads a weights file and builds its network.

    Args:
        name_or_path: The name of shipped weights, or a file.
        task: The task that the weights must be for; None and "other" accept any.
        option: The command line option that an error message names.

    Raises:
        WeightsError: The file is not there, is damaged or lacks metadata, its tensors do not fit
            its network or hold what is no number, or it is for another task.
    """
    from rurnet.registry import create

    path = find(name_or_path)
    card = read_card(path)
    check_task(path, card, task, option)
    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    _check_finite(path, card, state)
    try:
        network = create(card.network, **card.arguments)
        network.load_state_dict(state)
    except (NetworkError, RuntimeError, TypeError) as error:
        raise WeightsError(
            f"{path}: its tensors do not fit network {card.network!r} with {card.arguments} "
            f"({shortened(error)}); the file is damaged or of another version: give other weights"
        ) from error
    source = str(path.resolve()) if Path(name_or_path).is_file() else name_or_path
    return Model(path.stem, network.eval(), card, digest_of(path), source)


def between(
    before: "Mapping[str, torch.Tensor]", after: "Mapping[str, torch.Tensor]", share: float
) -> "dict[str, torch.Tensor]":
    """Tensors of a network at a share of the way from one to another; counts are the latter's.

    Weights that were trained on from others lie close enough to them that the networks between the
    two work as well (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).

    Args:
        before: Where the way starts.
        after: Where it ends.
        share: 0 to 1.
    """
    return {
        name: before[name].to(value).lerp(value, share) if value.is_floating_point() else value
        for name, value in after.items()
    }


def check_task(path: Path, card: WeightsCard, task: Task | None, option: str) -> None:
    """Checks that weights are for a task; see `load`.

    Raises:
        WeightsError: They are for another one.
    """
    if task is not None and card.task != task and "other" not in (task, card.task):
        fitting = [name for name in shipped() if name.startswith(task)]
        raise WeightsError(
            f"{path}: these weights find {card.task}, not {task}; "
            f"give {option} {' or '.join(fitting) or f'weights trained for {task}'}"
        )


def digest_of(path: Path) -> str:
    """Returns the digest of a weights file; see `Model`."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _check_finite(path: Path, card: WeightsCard, state: "Mapping[str, torch.Tensor]") -> None:
    """Checks that there are numbers only: one that is none makes all predictions none.

    Raises:
        WeightsError: A tensor, or the normalisation, holds NaN or infinity.
    """
    import torch

    bad = [key for key, value in state.items() if not torch.isfinite(value).all()]
    bad += [key for key in ("mean", "std") if not all(map(isfinite, getattr(card, key)))]
    if bad:
        raise WeightsError(
            f"{path}: {first_few(bad)} hold NaN or infinity, so no prediction is possible; the "
            "training that wrote it went wrong: give other weights, or train again with a lower "
            "learning rate"
        )


def card_of(name_or_path: str) -> WeightsCard:
    """Reads the metadata of weights by their name or file, without building the network.

    Raises:
        WeightsError: The file is not there, is damaged or lacks metadata.
    """
    return read_card(find(name_or_path))


def read_card(path: Path) -> WeightsCard:
    """Reads the metadata of a weights file.

    Raises:
        WeightsError: The file is damaged or lacks metadata.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: not a safetensors file ({shortened(error)}); "
            "give weights written by a training of this package"
        ) from error
    if _KEY not in metadata:
        raise WeightsError(
            f"{path}: no {_KEY} metadata, so its network and normalisation are unknown; "
            "give weights written by a training of this package"
        )
    try:
        values = json.loads(metadata[_KEY])
        for key in ("classes", "mean", "std"):
            values[key] = tuple(values[key])
        for key in ("field_diameters", "value_range"):
            if values.get(key) is not None:
                values[key] = tuple(values[key])
        if values.get("stopping") is not None:
            values["stopping"] = StopRule(**values["stopping"])
        return WeightsCard(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{path}: its metadata cannot be understood ({shortened(error)}); "
            "another version of this package wrote it: update the package or train again"
        ) from error


def foreground_weight_of(models: Sequence[ModelFacts]) -> float:
    """Returns the weight of foreground in the loss of models that are averaged."""
    return geometric_mean([model.card.foreground_weight for model in models])


def steps_taken(models: Sequence[ModelFacts], steps: Steps) -> int:
    """Returns the number of steps that predictions take at most: `steps`, or the networks' own."""
    return steps if isinstance(steps, int) else models[0].network.steps


def stop_rule(model: ModelFacts) -> StopRule:
    """Returns the rule by which a tile stops before the network's last step.

    Raises:
        WeightsError: There is none.
    """
    # What is beside shipped weights may be newer than what is in them.
    rule = shipped_rule(model.digest) or model.card.stopping
    if rule is None:
        raise WeightsError(
            f"{model.name}: these weights do not say when another step would not pay, as --steps "
            "auto needs it; run rurnet fit-steps with some labelled images that they were not "
            "trained on, or give a number of steps"
        )
    return rule
