"""Configuration of a training on one's own images and labels."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from pipelines.config.base import NAMES, RANGE, ClassSettings, PixelSide, RangeSettings
from pipelines.config.protocol import Protocol, papers
from pipelines.config.scoring import LabelSettings
from pipelines.config.training import GroupBy, TrainingSettings, WeightsName


class TrainFolder(TrainingSettings, ClassSettings, RangeSettings, LabelSettings):
    """Train on your own images and labels; write weights and a report."""

    PROTOCOLS = {
        "default": Protocol(iterations=2000, foreground_weight=1.0),
        "paper": papers(iterations=60_000, crop=448, batch=2),
    }
    HELD_OUT = 10

    images: Annotated[Path, Field(description="Folder of the training images.")] = Path("images")
    labels: Annotated[
        Path,
        Field(description="Folder of their labels, with the same names: 0 and one other value, or "
              "the numbers of several classes, with 255 for pixels to leave out."),
    ] = Path("labels")  # fmt: skip
    labelled_only: Annotated[
        bool,
        Field(description="Leave training images without a label out. By default they are "
              "refused."),
    ] = False  # fmt: skip
    valid_images: Annotated[
        Path | None,
        Field(description="Folder of validation images, which choose the weights. By default some "
              "of the training images are held out."),
    ] = None  # fmt: skip
    valid_labels: Annotated[
        Path | None, Field(description="Folder of the labels of the validation images.")
    ] = None
    test_images: Annotated[
        Path | None, Field(description="Folder of the test images, which are scored at the end.")
    ] = None
    test_labels: Annotated[
        Path | None,
        Field(description="Folder of their labels. Without it they are only predicted."),
    ] = None
    classes: Annotated[
        str | None,
        Field(pattern=f"^({NAMES})$", description="Names of the foreground classes, for example "
              "road,path. By default there are as many as in the labels."),
    ] = None  # fmt: skip
    pixel_size: PixelSide = None
    value_range: Annotated[
        str | None,
        Field(pattern=f"^({RANGE})$", description="Pixel values of black and white in all images, "
              "for example 0,2047. The weights note it. By default 0 and the largest value of the "
              "data type, or 0,1 for floats."),
    ] = None  # fmt: skip
    group_by: GroupBy = None
    output: Annotated[
        Path, Field(description="Folder of weights, checkpoints, log and report.")
    ] = Path("runs/train-folder")
    name: WeightsName = "folder"

    def compared(self) -> dict[str, Any]:
        """See `TrainingSettings`; without a range, trainings of before it was known go on."""
        settings = super().compared()
        if self.value_range is None:
            del settings["value_range"]
        del settings["labelled_only"]  # The images are compared themselves.
        return settings

    @model_validator(mode="after")
    def _one_way_to_hold_out(self) -> Self:
        if (self.valid_images is None) != (self.valid_labels is None):
            raise ValueError("valid_images and valid_labels go together: give both or none")
        if self.test_images is None and self.test_labels is not None:
            raise ValueError("test_labels without test_images: give both or none")
        if self.valid_images is not None and (self.folds or self.held_out is not None):
            raise ValueError(
                "valid_images choose the weights: leave held_out and folds out, or valid_images"
            )
        seen = {self.images.resolve(): "images"}
        for split, images in (("valid", self.valid_images), ("test", self.test_images)):
            if images is None:
                continue
            if images.resolve() in seen:
                raise ValueError(
                    f"{split}_images is the same folder as {seen[images.resolve()]}: give another"
                )
            seen[images.resolve()] = "valid_images"
        return self
