"""What evaluation can be told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipelines.config.base import NAMES, RANGE, ClassSettings, RangeSettings
from pipelines.config.scoring import ScoringSettings


class Evaluate(ScoringSettings, RangeSettings, ClassSettings):
    """Score probability or mask rasters, ours or another tool's, against labels."""

    predictions: Annotated[
        list[str],
        Field(min_length=1, description="A folder that was inferred to, a folder of rasters, or "
              "rasters; two folders are compared with each other."),
    ] = ["outbox/roads"]  # fmt: skip
    labels: Annotated[Path, Field(description="Folder of labels with the predictions' names.")] = (
        Path("labels")
    )
    fov: Annotated[
        Path | None,
        Field(description="Folder of masks of the field of view, outside of which nothing counts; "
              "or of photographs, in which it is then found."),
    ] = None  # fmt: skip
    second: Annotated[
        Path | None,
        Field(description="Folder of a second observer's labels, which are scored too."),
    ] = None
    images: Annotated[
        Path | None, Field(description="Folder of the images, for the report to show.")
    ] = None
    kind: Annotated[
        Literal["auto", "probability", "mask"],
        Field(description="Of the predicted rasters; auto finds out from their values."),
    ] = "auto"
    value_range: Annotated[
        str | None,
        Field(pattern=f"^({RANGE})$", description="Pixel values that stand for probability 0 and "
              "1, as in 0,100; by default those the raster declares, or 0,255, for floats 0,1."),
    ] = None  # fmt: skip
    classes: Annotated[
        str | None,
        Field(pattern=f"^({NAMES})$", description="Names of the foreground classes, as in "
              "road,path; by default those in the rasters' bands."),
    ] = None  # fmt: skip
    output: Annotated[Path, Field(description="Folder of the report.")] = Path("outbox/evaluation")
