"""What trainings can be told: one model per flow, as in `pipelines.config.inference`.

What is None is the protocol's: its values stand in `pipelines.config.protocol`, and by task here.
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from pipelines.config.base import NAMES, ClassSettings, Configuration
from pipelines.config.protocol import Protocol, papers

# In this order: a command line's 1 is a number, not true.
Argument = int | float | bool | str


Precision = Literal["auto", "32-true", "bf16-mixed"]


def _whole_multiples(sizes: list[int] | None) -> list[int] | None:
    """At least one size, each a multiple of 16 and at least 32."""
    if sizes is not None and (not sizes or any(size < 32 or size % 16 for size in sizes)):
        raise ValueError("crop sizes must be multiples of 16 from 32 on")
    return sizes


def _network_arguments(arguments: dict[str, Argument]) -> dict[str, Argument]:
    """Names as Python has them: a command line has hyphens. None that is set elsewhere."""
    named = {name.replace("-", "_"): value for name, value in arguments.items()}
    if taken := sorted({"in_channels", "classes", "steps"} & set(named)):
        raise ValueError(f"{taken[0]} is no network argument: the data or --steps say it")
    return named


class TrainingSettings(Configuration):
    """What all trainings are told."""

    PROTOCOLS: ClassVar[dict[str, Protocol]]
    """What stands for each setting that is None, by protocol."""

    HELD_OUT: ClassVar[int]
    """Training images that are held out where nothing is said, though never over a
    fifth of all, or one."""

    protocol: Annotated[
        Literal["default", "paper"],
        Field(description="What stands where nothing is said below: paper, as the authors of the "
              "recurrent U-Net train; default, what trains better here."),
    ] = "default"  # fmt: skip
    iterations: Annotated[
        int | None, Field(ge=1, description="Optimizer steps; by default the protocol's.")
    ] = None
    epochs: Annotated[
        float | None,
        Field(gt=0, description="Instead of iterations: how often each training pixel is seen on "
              "average."),
    ] = None  # fmt: skip
    max_time: Annotated[
        float | None,
        Field(gt=0, le=1e6, description="Minutes after which training ends where it stands; its "
              "best weights are kept. Each fold has as many."),
    ] = None  # fmt: skip
    patience: Annotated[
        int,
        Field(ge=0, description="Scorings of the held-out images without a better break-even "
              "after which training ends; 0 goes on to the end."),
    ] = 0  # fmt: skip
    foreground_weight: Annotated[
        PositiveFloat | Literal["median"] | None,
        Field(description="Weight of foreground pixels in the cross entropy; median balances the "
              "classes by their median frequency; by default the protocol's."),
    ] = None  # fmt: skip
    model: Annotated[
        str, Field(description="Network to train, by the name that python -m rurnet lists.")
    ] = "dru-4"
    steps: Annotated[
        int | None,
        Field(ge=1, description="Recurrent steps in training; by default as many as its authors'."),
    ] = None
    network_arguments: Annotated[
        dict[str, Argument],
        AfterValidator(_network_arguments),
        Field(description="What else the network's constructor takes: "
              "--network-arguments.hidden-channels 16, --network-arguments.channels 8,16,32."),
    ] = {}  # fmt: skip
    encoder_weights: Annotated[
        str,
        Field(description="ImageNet weights of the network's encoder in torchvision's layout: a "
              "file or a URL; none starts it at random."),
    ] = "none"  # fmt: skip
    encoder_sha256: Annotated[
        str | None,
        Field(pattern="^[0-9a-fA-F]{64}$", description="SHA-256 that the file of encoder weights "
              "must have, 64 hexadecimal digits."),
    ] = None  # fmt: skip
    start_from: Annotated[
        str | None,
        Field(description="Weights to start from, by name or file; fresh ones by default."),
    ] = None
    learning_rate: Annotated[
        float | None,
        Field(gt=0, description="The highest of the schedule; by default the protocol's."),
    ] = None
    alpha: Annotated[
        float | None,
        Field(ge=0, le=1, description="Weight of a step's loss against the next one's; 0 trains "
              "the last step alone. By default as the network's authors do."),
    ] = None  # fmt: skip
    dice: Annotated[float, Field(ge=0, description="Weight of soft Dice in the loss.")] = 0.0
    cldice: Annotated[
        float, Field(ge=0, description="Weight of soft clDice, for connected thin structures.")
    ] = 0.0
    ema: Annotated[
        float | None,
        Field(ge=0, lt=1, description="Decay of the running average of the weights, which is "
              "scored and kept; 0 keeps the weights as they are; by default the protocol's."),
    ] = None  # fmt: skip
    damaged_starts: Annotated[
        float | None,
        Field(ge=0, le=1, description="Share of the samples that start from a damaged or foreign "
              "mask; by default the protocol's."),
    ] = None  # fmt: skip
    random_steps: Annotated[
        bool | None,
        Field(description="Draw the number of recurrent steps anew in each iteration; by default "
              "as the protocol does."),
    ] = None  # fmt: skip
    augmented: Annotated[
        bool | None,
        Field(description="Change light, colour and sharpness; by default as the protocol does."),
    ] = None
    missing: Annotated[
        float | None,
        Field(ge=0, le=1, description="Share of the crops out of which a rectangle is taken, as "
              "nodata does; by default the protocol's."),
    ] = None  # fmt: skip
    crop_sizes: Annotated[
        list[int] | None,
        AfterValidator(_whole_multiples),
        Field(description="Sides of the crops in pixels; every batch draws one; by default the "
              "protocol's."),
    ] = None  # fmt: skip
    batch_pixels: Annotated[
        int | None,
        Field(ge=1024, description="Pixels of a batch: small crops come in larger batches; by "
              "default the protocol's."),
    ] = None  # fmt: skip
    accumulate: Annotated[
        int,
        Field(ge=1, description="Parts that a batch is worked through in, for a GPU with little "
              "memory, each of one crop or more."),
    ] = 1  # fmt: skip
    held_out: Annotated[
        list[Annotated[int, Field(ge=1)]] | None,
        Field(min_length=1, description="Training images held out to choose the weights: of each "
              "folder, or of all of them together; by default a few, never over a fifth."),
    ] = None  # fmt: skip
    folds: Annotated[
        int,
        Field(ge=0, description="Cross-validation: so many trainings, each of which holds out "
              "another part of the images; 0 trains once."),
    ] = 0  # fmt: skip
    scorings: Annotated[
        int, Field(ge=1, description="How often the held-out images are scored.")
    ] = 10
    seed: Annotated[int, Field(ge=0, lt=2**32, description="Of everything random.")] = 1
    precision: Annotated[
        Precision, Field(description="auto: bf16 on a GPU that has it, 32 bits elsewhere.")
    ] = "auto"
    workers: Annotated[
        int | None,
        Field(ge=0, description="Processes that make crops; by default one, or up to four where "
              "there is a GPU to feed."),
    ] = None  # fmt: skip
    mlflow: Annotated[
        str | None,
        Field(description="Log to MLflow too: where it keeps its runs, as in http://host:5000 or "
              "sqlite:///mlflow.db."),
    ] = None  # fmt: skip
    overwrite: Annotated[
        bool, Field(description="Start afresh instead of going on where a training stopped.")
    ] = False

    def compared(self) -> dict[str, Any]:
        """What must stay as it is when a training goes on."""
        may_change = {"output", "name", "workers", "overwrite", "mlflow", "max_time", "patience"}
        return self.model_dump(mode="json", exclude=may_change)

    @property
    def how(self) -> Protocol:
        """The protocol, with what is set in place of its values."""
        named = {field.name: getattr(self, field.name, None) for field in fields(Protocol)}
        told: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        if self.crop_sizes is not None:
            told["crop_sizes"] = tuple(self.crop_sizes)
        return replace(self.PROTOCOLS[self.protocol], **told)

    def held_out_of(self, images: int) -> list[int]:
        """How many of so many training images are held out: of each folder, or of all."""
        return self.held_out or [min(self.HELD_OUT, max(1, images // 5))]

    @model_validator(mode="after")
    def _folds_are_several(self) -> Self:
        if self.folds == 1:
            raise ValueError("one fold leaves nothing to train on: give folds 2 or more")
        if self.folds and self.held_out is not None:
            raise ValueError("folds say which images are held out: leave held out away")
        return self

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.start_from is not None and self.encoder_weights != "none":
            raise ValueError("weights to start from have an encoder: leave encoder weights out")
        if self.encoder_sha256 is not None and self.encoder_weights == "none":
            raise ValueError("there are no encoder weights for the encoder SHA-256 to be of")
        return self

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and self.iterations is not None:
            raise ValueError("epochs and iterations are two lengths: leave one out")
        return self


WeightsName = Annotated[
    str, Field(pattern=r"^[^/\\]+$", description="Name of the weights file, without a folder.")
]


Samples = Annotated[
    float, Field(ge=0, le=100, description="Drawn images mixed in, in percent of the crops.")
]


class TrainRoads(TrainingSettings):
    """Train on Massachusetts Roads, write weights and a test report."""

    PROTOCOLS = {
        "default": Protocol(iterations=2000, foreground_weight=2.3),
        "paper": papers(iterations=60_000, crop=448, batch=2),
    }
    HELD_OUT = 3

    data: Annotated[
        list[Path],
        Field(min_length=1, description="Folders in the Toronto layout; the first is scored."),
    ] = [Path("massachusetts_roads")]
    output: Annotated[
        Path, Field(description="Folder of weights, checkpoints, log and report.")
    ] = Path("runs/train-roads")
    name: WeightsName = "roads"
    samples: Samples = 0.0


class TrainDrive(TrainingSettings):
    """Train on DRIVE (CHASE_DB1 and HRF too), write weights and a test report."""

    PROTOCOLS = {
        "default": Protocol(iterations=2000, foreground_weight=1.5),
        "paper": papers(iterations=12_000, crop=592, batch=10),
    }
    HELD_OUT = 4

    data: Annotated[
        list[Path],
        Field(min_length=1, description="Fundus folders; the first one's test split is scored."),
    ] = [Path("DRIVE")]
    output: Annotated[
        Path, Field(description="Folder of weights, checkpoints, log and report.")
    ] = Path("runs/train-drive")
    name: WeightsName = "vessels"
    samples: Samples = 0.0


class TrainFolder(TrainingSettings, ClassSettings):
    """Train on any images with labels, write weights and a report."""

    PROTOCOLS = {
        "default": Protocol(iterations=2000, foreground_weight=1.0),
        "paper": papers(iterations=60_000, crop=448, batch=2),
    }
    HELD_OUT = 10

    images: Annotated[Path, Field(description="Folder of the images.")] = Path("images")
    labels: Annotated[
        Path,
        Field(description="Folder of their labels, of the same names: 0 and one other value, or "
              "the numbers of several classes; 255 is left out then."),
    ] = Path("labels")  # fmt: skip
    valid_images: Annotated[
        Path | None,
        Field(description="Folder of images that choose the weights; by default some of the "
              "others are held out."),
    ] = None  # fmt: skip
    valid_labels: Annotated[Path | None, Field(description="Folder of their labels.")] = None
    test_images: Annotated[
        Path | None, Field(description="Folder of images that are scored once, at the end.")
    ] = None
    test_labels: Annotated[
        Path | None, Field(description="Folder of their labels; without, they are predicted.")
    ] = None
    classes: Annotated[
        str | None,
        Field(pattern=f"^({NAMES})$", description="Names of the foreground classes, as in "
              "road,path; by default as many as the labels have."),
    ] = None  # fmt: skip
    output: Annotated[
        Path, Field(description="Folder of weights, checkpoints, log and report.")
    ] = Path("runs/train-folder")
    name: WeightsName = "folder"

    @model_validator(mode="after")
    def _one_way_to_hold_out(self) -> Self:
        if (self.valid_images is None) != (self.valid_labels is None):
            raise ValueError("valid images and valid labels go together")
        if self.test_images is None and self.test_labels is not None:
            raise ValueError("test labels without test images")
        if self.valid_images is not None and (self.folds or self.held_out is not None):
            raise ValueError(
                "valid images choose the weights: leave held out and folds away, or the images"
            )
        seen = {self.images.resolve(): "are trained on"}
        for split, images in (("valid", self.valid_images), ("test", self.test_images)):
            if images is None:
                continue
            if images.resolve() in seen:
                raise ValueError(
                    f"{split} images are those that {seen[images.resolve()]}: give others"
                )
            seen[images.resolve()] = "choose the weights"
        return self
