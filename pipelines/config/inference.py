"""The settings of inference, in parts: what changes the result, who computes, how it is scored."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipelines.config.base import RANGE, Configuration, RangeSettings
from pipelines.config.scoring import ScoringSettings, ThresholdSettings

ROADS_INBOX = "inbox/roads"

FUNDUS_INBOX = "inbox/fundus"

_BANDS = r"[1-9]\d*(,[1-9]\d*)*"

_AREA = r"\d+|\d+(\.\d+)?m2"


class ResultSettings(ThresholdSettings, RangeSettings):
    """What changes the rasters of a scene, besides the scene and the weights."""

    steps: Annotated[
        int | None, Field(ge=1, description="Recurrent steps; as many as in training by default.")
    ] = None
    tile: Annotated[int, Field(ge=32, description="Side of a tile in pixels.")] = 512
    overlap: Annotated[
        int, Field(ge=0, description="Pixels that neighbouring tiles share; less than the tile.")
    ] = 128
    bands: Annotated[
        str | None,
        Field(pattern=f"^({_BANDS})$", description="Bands of the scenes to take, as in 4,3,2; "
              "by default they must have as many as the network wants."),
    ] = None  # fmt: skip
    value_range: Annotated[
        str | None,
        Field(pattern=f"^({RANGE})$", description="Pixel values that stand for black and white, "
              "as in 0,2047; by default 0 and the largest of the type, for floats 0,1."),
    ] = None  # fmt: skip
    dtype: Annotated[
        Literal["uint8", "float32"],
        Field(description="Of the probability rasters: uint8 in levels of 1/254, or float32."),
    ] = "uint8"
    save_steps: Annotated[
        bool, Field(description="Write a probability raster for each recurrent step too.")
    ] = False
    tta: Annotated[
        bool, Field(description="Average the eight flips and quarter turns: eight times the work.")
    ] = False
    min_size: Annotated[
        str,
        Field(pattern=f"^({_AREA})$", description="Remove specks from the mask and fill holes "
              "smaller than so many pixels, as in 50, or square metres, as in 25m2."),
    ] = "0"  # fmt: skip

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap >= self.tile:
            raise ValueError(f"overlap ({self.overlap}) must be less than tile ({self.tile})")
        return self

    @property
    def band_indexes(self) -> tuple[int, ...] | None:
        """`bands` as numbers, from 1."""
        return tuple(int(band) for band in self.bands.split(",")) if self.bands else None


class ComputeSettings(Configuration):
    """Who computes, and how the work is cut: it never changes a byte of the result.

    But for the kind of device, which the fingerprint of a result names.
    """

    device: Annotated[
        str, Field(description="auto (the first GPU, or else the CPU), cpu, cuda, cuda:1, ...")
    ] = "auto"
    batch: Annotated[
        int,
        Field(
            ge=2,
            description="Tiles predicted at once; on a CPU by all its threads together.",
        ),
    ] = 4
    part_size: Annotated[
        int,
        Field(ge=64, description="Side in pixels of the parts a scene is worked through in: it "
              "bounds the memory, and is what a worker does at a time."),
    ] = 2560  # fmt: skip
    workers: Annotated[
        int, Field(ge=0, description="Processes to share the work; 0 does it in this one.")
    ] = 0
    scheduler: Annotated[
        str | None,
        Field(description="Address of a Dask cluster that does the work, as in tcp://host:8786."),
    ] = None


class RunSettings(Configuration):
    """What a run does with what is there."""

    overwrite: Annotated[
        bool, Field(description="Start afresh instead of going on with what is there.")
    ] = False
    dry_run: Annotated[
        bool, Field(description="Say what there is to do and what it takes, and do nothing.")
    ] = False


class PredictionSettings(RunSettings, ScoringSettings, ComputeSettings, ResultSettings):
    """All four parts together; pydantic takes the fields of the last base first."""

    noted_threshold: Annotated[
        bool, Field(description="Take the threshold that the weights note instead.")
    ] = False

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if self.noted_threshold and self.threshold != type(self).model_fields["threshold"].default:
            raise ValueError("threshold and noted_threshold: give one of them")
        return self

    def of_the_result(self) -> dict[str, Any]:
        """All that changes the rasters of a scene, as plain JSON values by name.

        Everything counts that no other part has declared: a setting that is new, or forgotten
        here, makes a rerun refuse what is there rather than take it for its own.
        """
        others = {
            name
            for part in (ComputeSettings, ScoringSettings, RunSettings, BatchSettings)
            for name in part.model_fields
        } - set(ThresholdSettings.model_fields)
        # It is resolved before anything is predicted: the threshold then says it.
        return self.model_dump(mode="json", exclude={*others, "noted_threshold"})


class BatchSettings(Configuration):
    """Which scenes a run is about, what finds things in them, and where the results go."""

    scenes: list[str]
    labels: Path | None = None
    output: Path
    model: list[str]


class InferRoads(PredictionSettings, BatchSettings):
    """Find the roads in aerial scenes."""

    scenes: Annotated[
        list[str],
        Field(min_length=1, description="Scenes: files, globs, folders, VRTs or /vsi paths."),
    ] = [ROADS_INBOX]
    labels: Annotated[
        Path | None,
        Field(description="Folder of labels with the scenes' names; scores are then reported."),
    ] = None
    output: Annotated[Path, Field(description="Folder of the results.")] = Path("outbox/roads")
    model: Annotated[
        list[str],
        Field(min_length=1, description="Shipped weights by name, or a weights file; several are "
              "averaged."),
    ] = ["roads-dru4"]  # fmt: skip
    gsd: Annotated[
        float | None,
        Field(gt=0, description="Metres per pixel at which the network sees scenes that have a "
              "CRS in metres or feet; by default those of its training."),
    ] = None  # fmt: skip
    aoi: Annotated[
        Path | None,
        Field(description="Area of interest, a GeoJSON file: outside it is nodata."),
    ] = None
    white_is_nodata: Annotated[
        bool, Field(description="Patches of white count as missing pixels.")
    ] = False


class InferDrive(PredictionSettings, BatchSettings):
    """Find the vessels in fundus images."""

    scenes: Annotated[
        list[str], Field(min_length=1, description="Fundus images: files, globs or folders.")
    ] = [FUNDUS_INBOX]
    labels: Annotated[
        Path | None,
        Field(description="Folder of the first observer's labels; scores are then reported."),
    ] = None
    output: Annotated[Path, Field(description="Folder of the results.")] = Path("outbox/fundus")
    model: Annotated[
        list[str],
        Field(min_length=1, description="Shipped weights by name, or a weights file; several are "
              "averaged."),
    ] = ["vessels-dru4"]  # fmt: skip
