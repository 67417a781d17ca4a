"""Configurations of inference, in parts: the result, the computation, the scores, the run."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from pipelines.config.base import AUTO, RANGE, Configuration, PixelSide, RangeSettings
from pipelines.config.lines import LineSettings
from pipelines.config.measuring import MeasureSettings, VesselMeasureSettings
from pipelines.config.scoring import ScoringSettings, ThresholdSettings
from pipelines.config.updating import UpdateSettings

ROADS_INBOX = "inbox/roads"

FUNDUS_INBOX = "inbox/fundus"

_BANDS = r"[1-9]\d*(,[1-9]\d*)*"

_TIME = r"\d+h(\d+m)?(\d+s)?|\d+m(\d+s)?|\d+s"

_AREA = r"\d+|\d+(\.\d+)?m2"


class ResultSettings(ThresholdSettings, RangeSettings):
    """Settings that change the rasters of a scene."""

    steps: Annotated[
        Annotated[int, Field(ge=1)] | Literal["auto"] | None,
        Field(description="Number of recurrent steps, by default as many as in training; auto "
              "lets each tile stop when another step would not pay."),
    ] = None  # fmt: skip
    tile: Annotated[int, Field(ge=32, description="Side of a tile in pixels.")] = 512
    overlap: Annotated[
        int, Field(ge=0, description="Overlap of neighbouring tiles in pixels; less than the tile.")
    ] = 128
    bands: Annotated[
        str | None,
        Field(pattern=f"^({_BANDS})$", description="Bands of the scenes to use, for example "
              "4,3,2. By default a scene must have as many bands as the network takes."),
    ] = None  # fmt: skip
    value_range: Annotated[
        str | None,
        Field(pattern=f"^({RANGE}|{AUTO})$", description="Pixel values of black and white, for "
              "example 0,2047; auto takes them from each scene's own values. By default those of "
              "the training, else 0 and the largest value of the data type, or 0,1 for floats."),
    ] = None  # fmt: skip
    dtype: Annotated[
        Literal["uint8", "float32"],
        Field(
            description="Data type of the probability rasters: uint8 in levels of 1/254, or "
            "float32."
        ),
    ] = "uint8"
    save_steps: Annotated[
        bool, Field(description="Write a probability raster for each recurrent step too.")
    ] = False
    save_uncertainty: Annotated[
        bool,
        Field(description="Write uncertainty.tif too: the entropy of each pixel, its change in the "
              "last recurrent step, and how far several networks or views disagree."),
    ] = False  # fmt: skip
    tta: Annotated[
        bool,
        Field(
            description="Average the predictions of eight flips and rotations. Takes "
            "eight times as long."
        ),
    ] = False
    min_size: Annotated[
        str,
        Field(pattern=f"^({_AREA})$", description="Remove specks and fill holes in the mask "
              "that are smaller than this: a number of pixels, for example 50, or square metres, "
              "for example 25m2."),
    ] = "0"  # fmt: skip

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap >= self.tile:
            raise ValueError(f"overlap ({self.overlap}) must be less than tile ({self.tile})")
        return self

    @property
    def band_indexes(self) -> tuple[int, ...] | None:
        """The numbers in `bands`, counted from 1; None without them."""
        return tuple(int(band) for band in self.bands.split(",")) if self.bands else None


class ComputeSettings(Configuration):
    """Settings of the computation. They do not change a byte of the result.

    The kind of device and the backend are exceptions; the fingerprint of a result contains them.
    """

    device: Annotated[
        str,
        Field(
            description="Device that runs the network: auto (the first GPU, or else the "
            "CPU), cpu, cuda, cuda:1, ..."
        ),
    ] = "auto"
    backend: Annotated[
        Literal["auto", "eager", "openvino"],
        Field(description="What computes on a CPU: eager (torch), openvino, or auto, which takes "
              "what was measured to be faster on this kind of processor, if it is installed."),
    ] = "auto"  # fmt: skip
    batch: Annotated[
        int,
        Field(
            ge=2,
            description="Number of tiles predicted at once on a GPU. A thread of a CPU takes two.",
        ),
    ] = 4
    part_size: Annotated[
        int,
        Field(ge=64, description="Side in pixels of the parts in which a scene is processed. "
              "Smaller parts need less memory. A worker does one part at a time."),
    ] = 2560  # fmt: skip
    workers: Annotated[
        int, Field(ge=0, description="Number of worker processes; 0 does the work in this process.")
    ] = 0
    scheduler: Annotated[
        str | None,
        Field(
            description="Address of a Dask cluster that does the work, for example tcp://host:8786."
        ),
    ] = None


@dataclass(frozen=True)
class _Since:
    """When a run was asked for; settings are equal whenever that was."""

    at: datetime = field(default_factory=datetime.now, compare=False)


class TimeSettings(Configuration):
    """Settings of a run that has to be over in time."""

    _since: _Since = PrivateAttr(default_factory=_Since)

    budget: Annotated[
        str | None,
        Field(pattern=f"^({_TIME})$", description="Time that the run may take, for example 20m or "
              "1h30m: tiles get as many recurrent steps as fit, the least sure ones first."),
    ] = None  # fmt: skip
    deadline: Annotated[
        str | None,
        Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="The same as a time of day by "
              "which the run is to be over, for example 06:00."),
    ] = None  # fmt: skip

    @property
    def limited(self) -> bool:
        """Whether the run has to be over in time."""
        return self.budget is not None or self.deadline is not None

    def since(self, at: datetime) -> Self:
        """The same settings, with a budget that began at another time than these settings.

        Args:
            at: Local time, such as that at which the command began.
        """
        settings = self.model_copy()
        settings._since = _Since(at)
        return settings

    def seconds(self, now: datetime) -> float:
        """How long the run may take from now on.

        Args:
            now: Local time.

        Raises:
            ValueError: As long as it likes.
        """
        if self.budget is not None:
            numbers = re.findall(r"(\d+)([hms])", self.budget)
            whole = sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in numbers)
            return whole - (now - self._since.at).total_seconds()
        if self.deadline is None:
            raise ValueError("no time was set")
        hour, minute = map(int, self.deadline.split(":"))
        end = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return ((end if end > now else end + timedelta(days=1)) - now).total_seconds()


class RunSettings(Configuration):
    """Settings of a run: whether it starts again, and whether it only reports."""

    overwrite: Annotated[
        bool, Field(description="Start again instead of resuming from earlier results.")
    ] = False
    dry_run: Annotated[
        bool,
        Field(description="Only report what there is to do and how much memory and disk it takes."),
    ] = False
    measure: Annotated[
        bool,
        Field(description="In a dry run, predict a few tiles of each scene to tell the time too."),
    ] = False


class InboxSettings(Configuration):
    """Settings of a job over a folder that grows."""

    inbox: Annotated[
        bool,
        Field(description="Do what is new or changed since earlier runs, and keep a ledger in "
              "the output folder: scenes that are still being written wait, those that keep "
              "failing are left alone, and the report tells of all scenes of that folder."),
    ] = False  # fmt: skip
    attempts: Annotated[
        int,
        Field(ge=1, description="With inbox: failures after which a scene is left alone, until "
              "it changes or is named itself."),
    ] = 3  # fmt: skip


class PredictionSettings(
    UpdateSettings, TimeSettings, RunSettings, ScoringSettings, ComputeSettings, ResultSettings
):
    """All four parts together. pydantic lists the fields of the last base first."""

    noted_threshold: Annotated[
        bool, Field(description="Use the threshold that is stored in the weights.")
    ] = False

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if self.noted_threshold and self.threshold != type(self).model_fields["threshold"].default:
            raise ValueError("threshold and noted_threshold exclude each other: give one of them")
        return self

    @model_validator(mode="after")
    def _time_decides(self) -> Self:
        if self.budget is not None and self.deadline is not None:
            raise ValueError("budget and deadline exclude each other: give one of them")
        if self.limited and self.steps not in (None, AUTO):
            raise ValueError("with a budget or a deadline the time decides on steps: leave it out")
        if self.limited and (self.workers or self.scheduler is not None):
            raise ValueError("a budget or a deadline is kept by one process: leave workers and "
                             "scheduler out, or give steps auto")  # fmt: skip
        return self

    @model_validator(mode="after")
    def _new_in_time(self) -> Self:
        if self.limited and (self.from_run is not None or self.sequence):
            raise ValueError("a budget or a deadline is for new results: leave from and sequence "
                             "out, or give steps instead of it")  # fmt: skip
        return self

    def of_the_result(self) -> dict[str, Any]:
        """Returns all settings that change the rasters of a scene, as JSON values by name.

        These are all settings that no other part declares. A setting that is forgotten here makes a
        rerun refuse earlier results, instead of reusing them by mistake.
        """
        others = {
            name
            for part in (
                ComputeSettings, ScoringSettings, RunSettings, BatchSettings, LineSettings,
                VesselMeasureSettings, InboxSettings, TimeSettings, UpdateSettings,
            )
            for name in part.model_fields
        } - set(ThresholdSettings.model_fields)  # fmt: skip
        # Resolved before any prediction: `threshold` then has its value.
        # `any_scale` only says whether there is to be a result, and lines are made of rasters.
        # Results of older versions, which knew no uncertainty, are as good as those without.
        if not self.save_uncertainty:
            others.add("save_uncertainty")
        return self.model_dump(
            mode="json", exclude={*others, "noted_threshold", "any_scale", "lines"}
        )

    def of_the_report(self) -> dict[str, Any]:
        """Returns all settings that change what a report says of a scene, as JSON values by name.

        Scenes are reported together only if these agree.
        """
        others = {
            name
            for part in (
                ComputeSettings, RunSettings, InboxSettings, TimeSettings, UpdateSettings
            )
            for name in part.model_fields
        }  # fmt: skip
        others |= {"scenes", "output", "figures", "join"}
        return self.model_dump(mode="json", exclude=others)


class BatchSettings(Configuration):
    """Settings of the inputs and outputs of a run: scenes, labels, weights and folder."""

    scenes: list[str]
    labels: Path | None = None
    output: Path
    model: list[str]


class InferRoads(PredictionSettings, LineSettings, MeasureSettings, InboxSettings, BatchSettings):
    """Find the roads in aerial scenes."""

    scenes: Annotated[
        list[str],
        Field(
            min_length=1,
            description="Scenes: files, globs, folders, VRTs, /vsi paths, or STAC "
            "items and catalogues, for example catalog.json#collection=town.",
        ),
    ] = [ROADS_INBOX]
    labels: Annotated[
        Path | None,
        Field(
            description="Folder of labels, with the same names as the scenes; or one file, which "
            "belongs to all of them. Scores are then reported."
        ),
    ] = None
    output: Annotated[Path, Field(description="Folder for the results.")] = Path("outbox/roads")
    model: Annotated[
        list[str],
        Field(min_length=1, description="Shipped weights by name, for example roads-dru4, or a "
              "weights file. Several are averaged."),
    ] = ["roads-dru4-wide"]  # fmt: skip
    gsd: Annotated[
        float | None,
        Field(gt=0, description="Metres per pixel at which the network sees the scenes, for "
              "example 1.0. By default as in training."),
    ] = None  # fmt: skip
    pixel_size: PixelSide = None
    any_scale: Annotated[
        bool,
        Field(description="Predict scenes whose pixels are more than 8 times as large or as "
              "small as those that the network sees, too."),
    ] = False  # fmt: skip
    aoi: Annotated[
        Path | None,
        Field(description="GeoJSON file with the area of interest; pixels outside become nodata."),
    ] = None
    white_is_nodata: Annotated[
        bool, Field(description="Treat patches of white as missing pixels.")
    ] = False
    lines: Annotated[bool, Field(description="Write the roads as lines too, for a GIS.")] = False

    @model_validator(mode="after")
    def _lines_to_join(self) -> Self:
        if self.join and not self.lines:
            raise ValueError("join is for lines: give lines too")
        return self


class InferDrive(PredictionSettings, VesselMeasureSettings, InboxSettings, BatchSettings):
    """Find the vessels in fundus images."""

    scenes: Annotated[
        list[str], Field(min_length=1, description="Fundus images: files, globs or folders.")
    ] = [FUNDUS_INBOX]
    labels: Annotated[
        Path | None,
        Field(description="Folder of the first observer's labels. Scores are then reported."),
    ] = None
    output: Annotated[Path, Field(description="Folder for the results.")] = Path("outbox/fundus")
    model: Annotated[
        list[str],
        Field(min_length=1, description="Shipped weights by name, for example vessels-dru4, or "
              "a weights file. Several are averaged."),
    ] = ["vessels-dru4-wide"]  # fmt: skip
    field: Annotated[
        str | None,
        Field(min_length=1, description="Field of view of the images: whole, derived (found in "
              "each image), or a folder of masks. By default the mask beside an image, as data "
              "sets keep it, and derived where there is none."),
    ] = None  # fmt: skip
    scale: Annotated[
        float | None,
        Field(ge=0.125, le=8, description="Pixels that the network sees for each pixel of an "
              "image, along a side; 1 takes images as they are. By default fields of view get "
              "a diameter as in training."),
    ] = None  # fmt: skip

    @property
    def field_source(self) -> Literal["whole", "derived"] | Path | None:
        """What `field` says, with the folder as a path."""
        if self.field == "whole":
            return "whole"
        if self.field == "derived":
            return "derived"
        return None if self.field is None else Path(self.field)
