"""Configuration of evaluation."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipelines.config.base import (
    NAMES,
    ClassSettings,
    LevelRange,
    PixelSide,
    RangeSettings,
    RasterKind,
)
from pipelines.config.scoring import GivenThresholdSettings, ScoringSettings


class Evaluate(GivenThresholdSettings, ScoringSettings, RangeSettings, ClassSettings):
    """Score probability or mask rasters, ours or another tool's, against labels."""

    predictions: Annotated[
        list[str],
        Field(min_length=1, description="Predicted rasters, a folder of them, or a folder of "
              "our own results. Two folders are compared with each other. Files of lines, or a "
              "folder of them, are scored as networks."),
    ] = ["outbox/roads"]  # fmt: skip
    labels: Annotated[
        Path,
        Field(description="Folder of labels, with the same names as the predictions; or one file, "
              "which belongs to all of them."),
    ] = Path("labels")  # fmt: skip
    fov: Annotated[
        Path | None,
        Field(description="Folder of masks of the field of view; pixels outside are not "
              "scored. Photographs work too: the field of view is then found in them."),
    ] = None  # fmt: skip
    second: Annotated[
        Path | None,
        Field(description="Folder of a second observer's labels, which are scored too."),
    ] = None
    images: Annotated[
        Path | None, Field(description="Folder of the images, to show in the report.")
    ] = None
    kind: RasterKind = "auto"
    value_range: LevelRange = None
    classes: Annotated[
        str | None,
        Field(pattern=f"^({NAMES})$", description="Names of the foreground classes, for "
              "example road,path. By default those in the rasters' bands."),
    ] = None  # fmt: skip
    pixel_size: PixelSide = None
    output: Annotated[Path, Field(description="Folder for the report.")] = Path("outbox/evaluation")
