"""Labelled images of a training, and checks that all data sets share."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from pipelines.inputs.label_checks import check_fits, check_values
from pipelines.inputs.labels import Labelling
from pipelines.inputs.opening import SAME_SCALE
from pipelines.inputs.scene_input import SceneInput
from pipelines.models.weights import Task
from pipelines.runtime import processes as distributed
from pipelines.sampling.sources import FundusSource, SceneSource

_LOG = logging.getLogger("rurnet")


Source = SceneSource | FundusSource


@dataclass(frozen=True)
class Example:
    """A labelled image.

    Attributes:
        source: What crops are cut from.
        item: How it is predicted as a whole, and scored.
        subject: Images of one subject are either all trained on or all held out: the other eye
            of a person is no unseen image.
    """

    source: Source
    scene_input: SceneInput
    subject: str


@dataclass(frozen=True)
class TrainingData:
    """A data set.

    Attributes:
        task: What weights trained on it find.
        names: Of its folders.
        classes: Names, background first.
        folders: Labelled training images by folder.
        split: What the images are called that are scored once, at the end.
        tests: These images; they may lack labels.
        valid: Images that choose the weights; where there are none, some of `folders` do.
        draw: Draws images that are mixed in.
        drawn_share: Of the crops, 0 to 1.
        ground_sampling_distance: Metres per pixel; None where it is not known.
        field_diameters: Smallest and largest diameter, in pixels, that the labelled images' fields
            of view are trained at; None where there are no fields of view.
        ignore: Values of label pixels that are left out, as `PredictionSettings` takes them.
    """

    task: Task
    names: tuple[str, ...]
    classes: tuple[str, ...]
    folders: Sequence[Sequence[Example]]
    split: str
    tests: Sequence[SceneInput]
    valid: Sequence[Example] = ()
    draw: Callable[[], list[Source]] = list
    drawn_share: float = 0.0
    ground_sampling_distance: float | None = None
    field_diameters: tuple[int, int] | None = None
    ignore: str | None = None


def drawn_name(process: int | None = None) -> str:
    """Folder in which a process draws, by default this one: others may be reading theirs."""
    number = distributed.process() if process is None else process
    return "samples" if number == 0 else f"samples-{number}"


def one_pixel_size(sizes: Sequence[float | None]) -> float | None:
    """Metres per pixel, where all images have the same; None where they have not, which is said."""
    known = [size for size in sizes if size is not None]
    if not known:
        return None
    if len(known) < len(sizes) or max(known) / min(known) - 1 >= SAME_SCALE:
        _LOG.info(
            "images have pixels of %g to %g m%s: the weights note no ground sampling distance",
            min(known), max(known), " or of no known size" if len(known) < len(sizes) else "",
        )  # fmt: skip
        return None
    return round(fmean(known), 6)


def check_labels(items: Iterable[SceneInput]) -> None:
    """Whether labels lie on their images pixel by pixel, and hold two classes.

    Raises:
        SceneError: An image or a label cannot be opened.
        LabelError: The first that does not.
    """
    for item in items:
        with item.open() as opened:
            for label in (opened.label, opened.second):
                if label is not None:
                    check_fits(label, opened.scene)
                    check_values(label.name, label.values(), Labelling())
