"""Configuration of roads as lines."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipelines.config.base import (
    NAMES,
    ClassSettings,
    Configuration,
    LevelRange,
    PixelSide,
    RangeSettings,
    RasterKind,
)
from pipelines.config.scoring import GivenThresholdSettings


class LineSettings(Configuration):
    """Settings of the lines that masks are turned into. Metres are pixels where none are known."""

    tolerance: Annotated[
        float | None,
        Field(ge=0, description="How far in metres a line may be from the middle of the road after "
              "smoothing. By default 1, or the side of a pixel where that is larger."),
    ] = None  # fmt: skip
    least_spur: Annotated[
        float,
        Field(ge=0, description="Remove dead ends that reach out of a road by less than this, in "
              "metres."),
    ] = 10.0  # fmt: skip
    least_line: Annotated[
        float,
        Field(ge=0, description="Remove lines that meet no other and are shorter than this in all, "
              "in metres."),
    ] = 30.0  # fmt: skip
    longest_gap: Annotated[
        float,
        Field(ge=0, description="Bridge gaps in the mask up to this length in metres, where the "
              "probability supports it; 0 bridges none."),
    ] = 60.0  # fmt: skip
    gap_probability: Annotated[
        float,
        Field(ge=0, le=1, description="Least mean probability along the way across a gap."),
    ] = 0.3  # fmt: skip
    format: Annotated[
        Literal["gpkg", "flatgeobuf", "geoparquet", "pmtiles"],
        Field(description="Format of the lines: one GeoPackage, or a file for each layer; "
              "pmtiles are for maps on the web."),
    ] = "gpkg"  # fmt: skip
    join: Annotated[
        bool,
        Field(description="Write the lines of all scenes as one network too, OUTPUT/lines.gpkg, "
              "in which lines go on from a scene into its neighbours."),
    ] = False  # fmt: skip


class Vectorise(GivenThresholdSettings, LineSettings, RangeSettings, ClassSettings):
    """Turn masks or probabilities, ours or another tool's, into lines."""

    predictions: Annotated[
        list[str],
        Field(min_length=1, description="Masks or probability rasters, a folder of them, or a "
              "folder of our own results."),
    ] = ["outbox/roads"]  # fmt: skip
    kind: RasterKind = "auto"
    value_range: LevelRange = None
    classes: Annotated[
        str | None,
        Field(pattern=f"^({NAMES})$", description="Names of the foreground classes, for "
              "example road,path. All become lines alike."),
    ] = None  # fmt: skip
    pixel_size: PixelSide = None
    overwrite: Annotated[bool, Field(description="Make lines anew that are there already.")] = False
    output: Annotated[Path, Field(description="Folder for the lines and the report.")] = Path(
        "outbox/lines"
    )
