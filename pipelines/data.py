"""What trainings see: their data sets, read and checked before anything is written."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from pipelines import distributed
from pipelines.crops import FundusSource, SceneSource
from pipelines.errors import DataError
from pipelines.fundus import FundusSample, fundus_samples, subject_of
from pipelines.job import Job
from pipelines.jobs import SAME_SCALE, Reading, sample_job
from pipelines.labels import Labelling, check_fits, check_values
from pipelines.roads import road_pairs
from pipelines.samples import write_drive_folder, write_roads_folder
from pipelines.training_config import TrainDrive, TrainRoads
from pipelines.weights import Task
from tiling.resample import pixel_size

_LOG = logging.getLogger("rurnet")

FIELD_DIAMETERS = (900, 1650)
"""Smallest and largest diameter, in pixels, of a field of view to train at. DRIVE's (540) are
enlarged: at their own size thin vessels are about one pixel wide. HRF's (3263) are halved."""

Source = SceneSource | FundusSource


@dataclass(frozen=True)
class Example:
    """A labelled image.

    Attributes:
        source: What crops are cut from.
        job: How it is predicted as a whole, and scored.
        subject: Images of one subject are either all trained on or all held out: the other eye
            of a person is no unseen image.
    """

    source: Source
    job: Job
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
    tests: Sequence[Job]
    valid: Sequence[Example] = ()
    draw: Callable[[], list[Source]] = list
    drawn_share: float = 0.0
    ground_sampling_distance: float | None = None
    field_diameters: tuple[int, int] | None = None
    ignore: str | None = None


def road_data(config: TrainRoads) -> TrainingData:
    """Massachusetts Roads: trains on `train`, scores `test`, or `valid` where there is none.

    Raises:
        DataError: The data are missing or in another layout, or a scene has no label.
        LabelError: A label is of another size or place, or has a third value.
    """
    folders = [[pair.job() for pair in road_pairs(folder, "train")] for folder in config.data]
    split = "test" if (config.data[0] / "test" / "sat").is_dir() else "valid"
    tests = [pair.job() for pair in road_pairs(config.data[0], split)]
    check_labels([*(job for jobs in folders for job in jobs), *tests])
    sizes = [_pixel_size(job) for jobs in folders for job in jobs]
    # Those of Massachusetts Roads have a metre, where their coordinates were lost too.
    gsd = one_pixel_size(sizes) if any(sizes) else 1.0

    def draw() -> list[Source]:
        if not config.samples:
            return []
        folder = write_roads_folder(
            config.output / drawn_name(), train=6, valid=0, size=768, seed=1000
        )
        return [SceneSource(pair.job()) for pair in road_pairs(folder, "train")]

    return TrainingData(
        "roads", tuple(folder.resolve().name for folder in config.data), ("background", "road"),
        [[Example(SceneSource(job), job, job.name) for job in jobs] for jobs in folders],
        split, tests, draw=draw, drawn_share=config.samples / 100, ground_sampling_distance=gsd,
    )  # fmt: skip


def vessel_data(config: TrainDrive) -> TrainingData:
    """Fundus folders (DRIVE, CHASE_DB1, HRF), of which the first one's test split is scored.

    Where the test split ships without labels it is predicted, and the report says that no
    score is possible.

    Raises:
        DataError: The data are missing or in another layout, or an image has no label.
        LabelError: A label is of another size, or has a third value.
    """
    folders = [fundus_samples(folder, "train") for folder in config.data]
    tests = fundus_samples(config.data[0], "test")
    for samples in (*folders, tests if any(test.label for test in tests) else []):
        _check_labelled(samples)
    check_labels(sample_job(sample) for samples in (*folders, tests) for sample in samples)
    wanted = FIELD_DIAMETERS if config.how.rescaled else None
    sources = [[FundusSource(sample, wanted) for sample in samples] for samples in folders]
    diameters = [source.diameter for folder in sources for source in folder]
    seen = (min(diameters), max(diameters)) if diameters else None
    reading = Reading(field_diameters=seen)

    def draw() -> list[Source]:
        if not config.samples:
            return []
        folder = write_drive_folder(config.output / drawn_name(), train=6, test=0, seed=1000)
        return [FundusSource(one, wanted) for one in fundus_samples(folder, "train")]

    return TrainingData(
        "vessels", tuple(folder.resolve().name for folder in config.data), ("background", "vessel"),
        [[Example(source, sample_job(sample, reading), subject_of(sample.name))
          for source, sample in zip(of_folder, samples, strict=True)]
         for of_folder, samples in zip(sources, folders, strict=True)],
        "test", [sample_job(sample, reading) for sample in tests],
        draw=draw, drawn_share=config.samples / 100, field_diameters=seen,
    )  # fmt: skip


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


def _pixel_size(job: Job) -> float | None:
    with job.open() as opened:
        return pixel_size(opened.scene)


def _check_labelled(samples: Iterable[FundusSample]) -> None:
    for sample in samples:
        if sample.label is None:
            raise DataError(
                f"{sample.image}: no first observer's label where data sets keep it (1st_manual/, "
                "manual1/, or beside the image); add it, or take the image away"
            )


def check_labels(jobs: Iterable[Job]) -> None:
    """Whether labels lie on their images pixel by pixel, and hold two classes.

    Raises:
        SceneError: An image or a label cannot be opened.
        LabelError: The first that does not.
    """
    for job in jobs:
        with job.open() as opened:
            for label in (opened.label, opened.second):
                if label is not None:
                    check_fits(label, opened.scene)
                    check_values(label.name, label.values(), Labelling())
