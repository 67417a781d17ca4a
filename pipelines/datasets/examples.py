"""Labelled images of a training, and checks that all data sets share."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from pipelines.inputs.label_checks import (
    TRAINED_ALL_THE_SAME,
    LabelContents,
    check_fits,
    check_kept,
    check_share,
    check_two_classes,
    check_values,
    remarks_on_share,
)
from pipelines.inputs.labels import Labelling
from pipelines.inputs.normalisation import ValueRange
from pipelines.inputs.pixel_values import SAVE_AS_BYTES, looked_at
from pipelines.inputs.scene_input import SceneInput
from pipelines.models.weights import Task
from pipelines.runtime import processes as distributed
from pipelines.sampling.fundi import FundusSource
from pipelines.sampling.sources import SceneSource
from pipelines.sampling.statistics import Contents, label_readings
from tiling.scenes.ground import SAME_SCALE, PixelSize

_LOG = logging.getLogger("rurnet")


Source = SceneSource | FundusSource


@dataclass(frozen=True)
class Example:
    """A labelled image.

    Attributes:
        source: The image that crops are cut from.
        scene_input: The same image as it is predicted and scored as a whole.
        subject: Images of one subject are either all trained on or all held out: the other eye
            of a person is no unseen image.
        contents: Tells the contents of image and label, which are read for it if that is still
            to be done; raises a `LabelError` where the label holds values that it should not.
    """

    source: Source
    scene_input: SceneInput
    subject: str
    contents: Callable[[], Contents]


@dataclass(frozen=True)
class TrainingData:
    """A data set.

    Attributes:
        task: What weights trained on it find.
        names: Names of its folders.
        classes: Names of the classes, background first.
        folders: Labelled training images by folder.
        split: Name of the split that is scored once, at the end.
        tests: The images of that split; they may lack labels.
        valid: Images that choose the weights; where there are none, some of `folders` do.
        draw: Draws images that are mixed in.
        shares: How often crops come from each folder; None for in proportion to its images.
        drawn_share: Share of the crops that are cut from drawn images, 0 to 1.
        ground_sampling_distance: Metres per pixel; None where it is not known.
        field_diameters: Smallest and largest diameter, in pixels, that the labelled images' fields
            of view are trained at; None where there are no fields of view.
        value_range: Pixel values that stand for 0 and 255; None for those of the images' type.
        grouped_by: What in their names tells whose images they are, in words; None for scenes of
            the ground, which are of nobody.
        ignore: Values of label pixels that are left out, as `PredictionSettings` takes them.
    """

    task: Task
    names: tuple[str, ...]
    classes: tuple[str, ...]
    folders: Sequence[Sequence[Example]]
    split: str
    tests: Sequence[SceneInput]
    valid: Sequence[Example] = ()
    shares: Sequence[float] | None = None
    draw: Callable[[], list[Source]] = list
    drawn_share: float = 0.0
    ground_sampling_distance: float | None = None
    field_diameters: tuple[int, int] | None = None
    value_range: ValueRange | None = None
    grouped_by: str | None = None
    ignore: str | None = None


def grouped_by(group_by: str | None) -> str:
    """What tells whose images they are, in words; see `pipelines.inputs.fundus.subject_of`."""
    return group_by or "left and right in their names"


def drawn_name(process: int | None = None) -> str:
    """Folder in which a process (by default this one) draws images; each has its own."""
    number = distributed.process() if process is None else process
    return "samples" if number == 0 else f"samples-{number}"


def one_pixel_size(sizes: Sequence[PixelSize | None]) -> float | None:
    """Metres per pixel if all images have the same; if not, None, and a log line says so."""
    measured = [size for size in sizes if size is not None]
    if not measured:
        return None
    if oblong := [size for size in measured if not size.square]:
        _LOG.info(
            "images have pixels of %s, which are no squares: the weights note no ground sampling "
            "distance", oblong[0],
        )  # fmt: skip
        return None
    known = [size.side for size in measured]
    if len(known) < len(sizes) or max(known) / min(known) - 1 >= SAME_SCALE:
        _LOG.info(
            "images have pixels of %g to %g m%s: the weights note no ground sampling distance",
            min(known), max(known), " or of no known size" if len(known) < len(sizes) else "",
        )  # fmt: skip
        return None
    return round(fmean(known), 6)


def checked_contents(source: SceneSource, found: str) -> Contents:
    """Reads a whole scene and its label, and checks that the label holds two classes.

    Args:
        source: The scene.
        found: Name of the foreground.

    Raises:
        SceneError: Scene or label cannot be read.
        LabelError: The label does not hold two classes, or see `check_share`.
    """
    (reading,) = label_readings(source, [Labelling()])
    label = source.scenes()[1]
    check_values(label.name, reading.values, Labelling())
    check_kept(label, reading.values)
    assert reading.contents is not None
    opened = source.opened()
    drawn = LabelContents(*reading.contents.classes.tolist())
    check_share(label.name, drawn, found, TRAINED_ALL_THE_SAME)
    for remark in (
        *opened.remarks,
        *looked_at(opened, SAVE_AS_BYTES).remarks,
        *remarks_on_share(label.name, drawn),
    ):
        _LOG.warning("%s", remark)
    return reading.contents


def check_labels(items: Iterable[SceneInput], found: str) -> None:
    """Checks that labels lie on their images pixel by pixel, and hold two classes.

    Args:
        items: The images.
        found: Name of the foreground.

    Raises:
        SceneError: An image or a label cannot be opened or read.
        LabelError: A label does not, or see `check_two_classes`.
    """
    for item in items:
        with item.open() as opened:
            for label in (opened.label, opened.second):
                if label is not None:
                    check_fits(label, opened.scene, alignable=opened.field is None)
                    check_two_classes(label, found)
