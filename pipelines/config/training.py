"""Configurations of the trainings: one pydantic model per flow.

Settings that are None take the protocol's values, see `pipelines.config.protocol` and `PROTOCOLS`.
"""

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from pipelines.config.base import (
    Configuration,
)
from pipelines.config.protocol import Protocol, papers
from pipelines.config.scoring import LabelSettings
from tiling.scenes.names import without_secrets

# The order matters: 1 on a command line is a number, not true.
Argument = int | float | bool | str

_TEACHER_WEIGHT = 0.5

Precision = Literal["auto", "32-true", "bf16-mixed"]


def _whole_multiples(sizes: list[int] | None) -> list[int] | None:
    """Checks that there are crop sizes, all of them multiples of 16 and at least 32."""
    if sizes is not None and (not sizes or any(size < 32 or size % 16 for size in sizes)):
        raise ValueError("crop sizes must be multiples of 16, at least 32")
    return sizes


def _network_arguments(arguments: dict[str, Argument]) -> dict[str, Argument]:
    """Replaces hyphens in names by underscores and refuses arguments that are set elsewhere."""
    named = {name.replace("-", "_"): value for name, value in arguments.items()}
    if taken := sorted({"in_channels", "classes", "steps"} & set(named)):
        raise ValueError(
            f"{taken[0]} is no network argument: it comes from the data or from --steps"
        )
    return named


class TrainingSettings(Configuration):
    """Settings of all trainings."""

    PROTOCOLS: ClassVar[dict[str, Protocol]]
    """The values of settings that are None, by name of the protocol."""

    HELD_OUT: ClassVar[int]
    """Default number of held-out training images; at most a fifth of all, at least one."""

    protocol: Annotated[
        Literal["default", "paper"],
        Field(description="Source of the settings that are not given: paper is that of the "
              "recurrent U-Net's authors, default is ours and trains better here."),
    ] = "default"  # fmt: skip
    iterations: Annotated[
        int | None, Field(ge=1, description="Number of optimizer steps. By default the protocol's.")
    ] = None
    epochs: Annotated[
        float | None,
        Field(gt=0, description="Length in epochs, in place of iterations: how often each "
              "training pixel is seen on average, for example 50."),
    ] = None  # fmt: skip
    max_time: Annotated[
        float | None,
        Field(gt=0, le=1e6, description="Minutes after which training ends; the best weights "
              "are kept. Each fold has this time."),
    ] = None  # fmt: skip
    patience: Annotated[
        int,
        Field(ge=0, description="End training after so many scorings of the held-out images "
              "without a better break-even; 0 never ends it early."),
    ] = 0  # fmt: skip
    foreground_weight: Annotated[
        PositiveFloat | Literal["median"] | None,
        Field(description="Weight of foreground pixels in the cross entropy, for example 2.3; "
              "median balances the classes by their median frequency. By default the protocol's."),
    ] = None  # fmt: skip
    model: Annotated[
        str, Field(description="Name of the network to train; python -m rurnet lists them.")
    ] = "dru-4"
    steps: Annotated[
        int | None,
        Field(
            ge=1,
            description="Number of recurrent steps in training. By default that of the "
            "network's authors.",
        ),
    ] = None
    network_arguments: Annotated[
        dict[str, Argument],
        AfterValidator(_network_arguments),
        Field(description="More arguments of the network, for example "
              "--network-arguments.hidden-channels 16, --network-arguments.channels 8,16,32."),
    ] = {}  # fmt: skip
    encoder_weights: Annotated[
        str,
        Field(description="ImageNet weights of the network's encoder in torchvision's layout: "
              "a file or a URL; none starts at random."),
    ] = "none"  # fmt: skip
    encoder_sha256: Annotated[
        str | None,
        Field(pattern="^[0-9a-fA-F]{64}$", description="Expected SHA-256 of the file of "
              "encoder weights, 64 hexadecimal digits."),
    ] = None  # fmt: skip
    start_from: Annotated[
        str | None,
        Field(
            description="Weights to start from, by name or file, for example roads-dru4. By "
            "default random ones."
        ),
    ] = None
    teacher: Annotated[
        list[str],
        Field(description="Weights that teach besides the labels, by name or file, for example "
              "roads-dru4; the probabilities of several are averaged."),
    ] = []  # fmt: skip
    teacher_weight: Annotated[
        float, Field(gt=0, le=1, description="Weight of the teachers in the loss, 0 to 1.")
    ] = _TEACHER_WEIGHT
    self_teaching: Annotated[
        float,
        Field(ge=0, le=1, description="Weight of the last step's probabilities, 0 to 1, in the "
              "loss of the earlier steps (self-distillation)."),
    ] = 0.0  # fmt: skip
    learning_rate: Annotated[
        float | None,
        Field(
            gt=0,
            description="Highest learning rate of the schedule, for example 0.004. By "
            "default the protocol's.",
        ),
    ] = None
    alpha: Annotated[
        float | None,
        Field(ge=0, le=1, description="Weight of a step's loss relative to the next step's; 0 "
              "trains the last step only. By default that of the network's authors."),
    ] = None  # fmt: skip
    dice: Annotated[float, Field(ge=0, description="Weight of the soft Dice loss.")] = 0.0
    cldice: Annotated[
        float,
        Field(
            ge=0,
            description="Weight of the soft clDice loss, which keeps thin structures connected.",
        ),
    ] = 0.0
    ema: Annotated[
        float | None,
        Field(ge=0, lt=1, description="Decay of the running average of the weights, for "
              "example 0.999. The average is scored and kept; 0 turns it off. By default the "
              "protocol's."),
    ] = None  # fmt: skip
    damaged_starts: Annotated[
        float | None,
        Field(ge=0, le=1, description="Share of samples, 0 to 1, that start from a damaged "
              "mask or one of another image. By default the protocol's."),
    ] = None  # fmt: skip
    random_steps: Annotated[
        bool | None,
        Field(description="Draw the number of recurrent steps at random in each iteration. By "
              "default the protocol's."),
    ] = None  # fmt: skip
    augmented: Annotated[
        bool | None,
        Field(
            description="Vary light, colour and sharpness of the crops. By default the protocol's."
        ),
    ] = None
    restyled: Annotated[
        float | None,
        Field(ge=0, le=1, description="Share of crops, 0 to 1, of which colours, contrast, haze, "
              "sharpness and noise are changed as another camera or region would show them. By "
              "default the protocol's."),
    ] = None  # fmt: skip
    missing: Annotated[
        float | None,
        Field(ge=0, le=1, description="Share of crops, 0 to 1, in which a rectangle is removed "
              "as if it were nodata. By default the protocol's."),
    ] = None  # fmt: skip
    crop_sizes: Annotated[
        list[int] | None,
        AfterValidator(_whole_multiples),
        Field(description="Sides of the crops in pixels; each batch takes one at random. By "
              "default the protocol's."),
    ] = None  # fmt: skip
    batch_pixels: Annotated[
        int | None,
        Field(ge=1024, description="Number of pixels in a batch; the smaller the crops, the "
              "more of them. By default the protocol's."),
    ] = None  # fmt: skip
    accumulate: Annotated[
        int,
        Field(ge=1, description="Number of parts in which a batch is processed, of at least "
              "one crop each. More parts need less GPU memory."),
    ] = 1  # fmt: skip
    held_out: Annotated[
        list[Annotated[int, Field(ge=0)]] | None,
        Field(min_length=1, description="Number of training images held out to choose the "
              "weights: one for each folder (0 takes none there), or one for all together. By "
              "default a few, at most a fifth."),
    ] = None  # fmt: skip
    folds: Annotated[
        int,
        Field(ge=0, description="Number of folds of a cross-validation. Each fold is a "
              "training that holds out another part of the images; 0 trains once."),
    ] = 0  # fmt: skip
    scorings: Annotated[
        int, Field(ge=1, description="How often the held-out images are scored during training.")
    ] = 10
    seed: Annotated[int, Field(ge=0, lt=2**32, description="Seed of all random numbers.")] = 1
    precision: Annotated[
        Precision,
        Field(description="Number format; auto is bf16 on GPUs that have it and CPUs with AMX."),
    ] = "auto"
    workers: Annotated[
        int | None,
        Field(ge=0, description="Number of processes that prepare crops. By default one, or up "
              "to four with a GPU."),
    ] = None  # fmt: skip
    mlflow: Annotated[
        str | None,
        Field(description="Log to MLflow too, at this address: for example http://host:5000 or "
              "sqlite:///mlflow.db."),
    ] = None  # fmt: skip
    overwrite: Annotated[
        bool, Field(description="Start again instead of resuming an earlier training.")
    ] = False

    def compared(self) -> dict[str, Any]:
        """Returns the settings that must be the same when a training is resumed."""
        may_change = {"output", "name", "workers", "overwrite", "mlflow", "max_time", "patience"}
        settings = self.model_dump(mode="json", exclude=may_change)
        # Trainings of before they were known go on.
        for name in ("restyled", "zoom", "pixel_sizes", "shares"):
            if settings.get(name) is None:
                settings.pop(name, None)
        if not self.teacher:
            del settings["teacher"], settings["teacher_weight"]
        if not self.self_teaching:
            del settings["self_teaching"]
        # They are written down, and a new signature makes no other weights.
        settings["encoder_weights"] = without_secrets(settings["encoder_weights"])
        return settings

    @property
    def how(self) -> Protocol:
        """The protocol, with its values replaced by the settings that are given."""
        named = {field.name: getattr(self, field.name, None) for field in fields(Protocol)}
        told: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        if self.crop_sizes is not None:
            told["crop_sizes"] = tuple(self.crop_sizes)
        return replace(self.PROTOCOLS[self.protocol], **told)

    def held_out_of(self, images: int) -> list[int]:
        """Returns how many of `images` training images are held out, per folder or of all."""
        return self.held_out or [min(self.HELD_OUT, max(1, images // 5))]

    @model_validator(mode="after")
    def _folds_are_several(self) -> Self:
        if self.folds == 1:
            raise ValueError("one fold leaves nothing to train on: set folds to 2 or more")
        if self.folds and self.held_out is not None:
            raise ValueError("the folds decide which images are held out: leave held_out out")
        if self.held_out is not None and not any(self.held_out):
            raise ValueError("held_out holds out no image: give at least 1 for one of the folders")
        return self

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.start_from is not None and self.encoder_weights != "none":
            raise ValueError("weights to start from include the encoder: leave encoder_weights out")
        if self.encoder_sha256 is not None and self.encoder_weights == "none":
            raise ValueError("encoder_sha256 without encoder_weights: give both or none")
        return self

    @model_validator(mode="after")
    def _weight_of_teachers(self) -> Self:
        if self.teacher_weight != _TEACHER_WEIGHT and not self.teacher:
            raise ValueError("teacher_weight without teacher: give both or none")
        return self

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and self.iterations is not None:
            raise ValueError("epochs and iterations both set the length: leave one out")
        return self


WeightsName = Annotated[
    str,
    Field(pattern=r"^[^/\\]+$", description="Name of the weights file, without folder and suffix."),
]


def _expression(text: str | None) -> str | None:
    """Checks that a text is a regular expression; "first-token" is one as well."""
    try:
        re.compile(text or "")
    except re.error as error:
        raise ValueError(f"{text} is no regular expression: {error}") from error
    return text


GroupBy = Annotated[
    str | None,
    Field(
        min_length=1,
        description="Tells in an image's name whom it is of, so that images of one person are "
        "held out together: first-token (p1 of p1_OD_v2), or a regular expression, of which the "
        "first group counts, for example '^(p[0-9]+)'. By default names that differ in left and "
        "right are of one.",
    ),
    AfterValidator(_expression),
]


Samples = Annotated[
    float, Field(ge=0, le=100, description="Share of drawn images among the crops, in percent.")
]


Zoom = Annotated[
    float | None,
    Field(
        ge=1,
        le=4,
        description="Largest factor by which crops are enlarged or reduced. By default the "
        "protocol's.",
    ),
]


class TrainRoads(TrainingSettings, LabelSettings):
    """Train on Massachusetts Roads; write weights and a test report."""

    PROTOCOLS = {
        "default": Protocol(iterations=2000, foreground_weight=2.3),
        "paper": papers(iterations=60_000, crop=448, batch=2),
    }
    HELD_OUT = 3

    data: Annotated[
        list[Path],
        Field(min_length=1, description="Massachusetts Roads folders; the first one is scored."),
    ] = [Path("massachusetts_roads")]
    pixel_sizes: Annotated[
        list[Annotated[float, Field(gt=0)]] | None,
        Field(min_length=1, description="Metres per pixel of the images of each --data folder, "
              "for example 1 0.2. The weights note the first. By default their coordinates' or 1."),
    ] = None  # fmt: skip
    shares: Annotated[
        list[Annotated[float, Field(ge=0)]] | None,
        Field(min_length=1, description="How often crops come from each --data folder, for example "
              "2 1 1. By default in proportion to their images."),
    ] = None  # fmt: skip
    output: Annotated[
        Path, Field(description="Folder of weights, checkpoints, log and report.")
    ] = Path("runs/train-roads")
    zoom: Zoom = None
    name: WeightsName = "roads"
    samples: Samples = 0.0

    def compared(self) -> dict[str, Any]:
        """See `TrainingSettings`; with rasters, trainings of before vectors were read go on."""
        settings = super().compared()
        for option in ("label_width", "align_labels"):
            if not settings[option]:
                del settings[option]
        return settings


class TrainDrive(TrainingSettings):
    """Train on fundus photographs with vessels; write weights and a test report."""

    PROTOCOLS = {
        "default": Protocol(iterations=2000, foreground_weight=1.5, zoom=1.25),
        "paper": papers(iterations=12_000, crop=592, batch=10),
    }
    HELD_OUT = 4

    data: Annotated[
        list[Path],
        Field(
            min_length=1,
            description="Folders of DRIVE, CHASE_DB1, HRF, STARE, FIVES or DR HAGIS as they are "
            "unpacked, or in mmsegmentation's layout; the first one's test split is scored.",
        ),
    ] = [Path("DRIVE")]
    group_by: GroupBy = None
    output: Annotated[
        Path, Field(description="Folder of weights, checkpoints, log and report.")
    ] = Path("runs/train-drive")
    zoom: Zoom = None
    name: WeightsName = "vessels"
    samples: Samples = 0.0
