"""Folders of fundus photographs: DRIVE, CHASE_DB1, HRF, STARE, FIVES, DR HAGIS."""

import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from pipelines.config.training import TrainDrive
from pipelines.datasets.examples import (
    Example,
    Source,
    TrainingData,
    check_labels,
    drawn_name,
    grouped_by,
)
from pipelines.datasets.synthetic import write_drive_folder
from pipelines.errors import DataError
from pipelines.inputs.discovery import fundus_input
from pipelines.inputs.fundus import FundusSample, images_in, sample_of, subject_of
from pipelines.inputs.opening import Reading
from pipelines.sampling.fundi import VESSEL, FundusSource
from pipelines.sampling.statistics import contents_of
from tiling.scenes.names import stem_of

DRIVE_LAYOUT = (
    "DIR/training/{images/21_training.tif,1st_manual/21_manual1.gif,mask/21_training_mask.gif} "
    "and DIR/test/{images/01_test.tif,mask/01_test_mask.gif,1st_manual/01_manual1.gif}"
)


HOW_TO_GET = (
    f"get DRIVE from https://drive.grand-challenge.org/ and unpack it as {DRIVE_LAYOUT} "
    "(folders of CHASE_DB1, HRF, STARE, FIVES and DR HAGIS do too), or name another folder with "
    "--data"
)


_WHOLE = ("images", "stare-images", "Fundus_Images")
"""Folders of images in data sets without a split: HRF, STARE and DR HAGIS."""


_CHASE_TRAINING_SUBJECTS = 10
"""Subjects 1 to 10, both eyes, train; 11 to 14 test: the split of the literature."""


def fundus_samples(folder: Path, split: str) -> list[FundusSample]:
    """Samples of one split of a data set.

    Args:
        folder: DRIVE, CHASE_DB1, HRF, STARE, FIVES or DR HAGIS as they are unpacked, or one of
            them as mmsegmentation lays it out. HRF, STARE and DR HAGIS have no split of their own:
            all of it is "train"; so is DRIVE without its test folder.
        split: "train" or "test".

    Raises:
        DataError: The folder is missing or has another layout.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {HOW_TO_GET}")
    if _holds(folder, r"Image_.*_1stHO"):
        return _chase_samples(folder, split)
    images = _images_of(folder, split)
    if images is None:
        return []
    if not images.is_dir():
        raise DataError(f"{images}: no such folder; {HOW_TO_GET}")
    samples = [sample_of(image) for image in images_in(images)]
    if not samples:
        raise DataError(f"{images}: no images; {HOW_TO_GET}")
    return samples


def _images_of(folder: Path, split: str) -> Path | None:
    """The folder of a split's images; None where a data set has no such split.

    Raises:
        DataError: The layout is not known.
    """
    test = split == "test"
    if (folder / "train" / "Original").is_dir():  # FIVES
        images = folder / split / "Original"
        return images if images.is_dir() else None
    if (folder / "training").is_dir() or (folder / "test").is_dir():  # DRIVE
        images = folder / ("test" if test else "training") / "images"
        return None if test and not images.parent.is_dir() else images
    if (folder / "images" / "training").is_dir():  # mmsegmentation's
        if not test:
            return folder / "images" / "training"
        kept = (folder / "images" / name for name in ("test", "validation"))
        return next((one for one in kept if one.is_dir()), None)
    whole = [folder / name for name in _WHOLE if (folder / name).is_dir()]
    if whole or _holds(folder, r".*\.ah"):
        return None if test else [*whole, folder][0]
    raise DataError(
        f"{folder}: none of DRIVE, CHASE_DB1, HRF, STARE, FIVES, DR HAGIS, and not "
        f"mmsegmentation's layout; {HOW_TO_GET}"
    )


def _holds(folder: Path, pattern: str) -> bool:
    """Whether a folder holds a file of a stem."""
    return any(
        re.fullmatch(pattern, stem_of(path.name), re.IGNORECASE) for path in folder.iterdir()
    )


def _chase_samples(folder: Path, split: str) -> list[FundusSample]:
    samples = []
    for image in images_in(folder):
        subject = re.search(r"(\d+)", stem_of(image.name))
        if subject is None:
            continue
        training = int(subject[1]) <= _CHASE_TRAINING_SUBJECTS
        if training == (split == "train"):
            samples.append(sample_of(image))
    return samples


FIELD_DIAMETERS = (900, 1650)
"""Smallest and largest diameter of the field of view in training, in pixels. DRIVE's images (540)
are enlarged, as their thin vessels are about one pixel wide; HRF's (3263) are halved."""


def vessel_data(config: TrainDrive) -> TrainingData:
    """Fundus folders as `fundus_samples` knows them; the test split of the first one is scored.

    A test split without labels is predicted, and the report says that no score is possible.

    Raises:
        DataError: The data are missing or in another layout, or an image has no label.
        LabelError: A label has another size, or a third value.
        SceneError: An image or a label cannot be read.
    """
    folders = [fundus_samples(folder, "train") for folder in config.data]
    return fundus_data(config, folders, fundus_samples(config.data[0], "test"))


def fundus_data(
    config: TrainDrive,
    folders: Sequence[Sequence[FundusSample]],
    tests: Sequence[FundusSample],
) -> TrainingData:
    """Fundus images that somebody has divided.

    Args:
        config: How they are trained on.
        folders: Samples to train on, for each folder of `config.data`.
        tests: Samples that are scored once, at the end.

    Raises:
        DataError: An image has no label.
        LabelError: A label has another size, or a third value.
        SceneError: An image or a label cannot be read.
    """
    for samples in (*folders, tests if any(test.label for test in tests) else []):
        _check_labelled(samples)
    wanted = FIELD_DIAMETERS if config.how.rescaled else None
    # These read their image and its labels, and check them.
    zoom = config.how.zoom
    sources = [[FundusSource(sample, wanted, zoom) for sample in samples] for samples in folders]
    check_labels((fundus_input(sample) for sample in tests), VESSEL)
    every = [source for folder in sources for source in folder]
    # Parts of fundi say nothing of the size of a whole one.
    diameters = [one.diameter for one in every if not one.whole] or [one.diameter for one in every]
    seen = (min(diameters), max(diameters)) if diameters else None
    reading = Reading(field_diameters=seen)

    def draw() -> list[Source]:
        if not config.samples:
            return []
        folder = write_drive_folder(config.output / drawn_name(), train=6, test=0, seed=1000)
        return [FundusSource(one, wanted, zoom) for one in fundus_samples(folder, "train")]

    return TrainingData(
        "vessels", tuple(folder.resolve().name for folder in config.data), ("background", VESSEL),
        [[Example(source, fundus_input(sample, reading), subject_of(sample.name, config.group_by),
                  partial(contents_of, source))
          for source, sample in zip(of_folder, samples, strict=True)]
         for of_folder, samples in zip(sources, folders, strict=True)],
        "test", [fundus_input(sample, reading) for sample in tests],
        draw=draw, drawn_share=config.samples / 100, field_diameters=seen,
        grouped_by=grouped_by(config.group_by),
    )  # fmt: skip


def _check_labelled(samples: Iterable[FundusSample]) -> None:
    for sample in samples:
        if sample.label is None:
            raise DataError(
                f"{sample.image}: no first observer's label where data sets keep it (1st_manual/, "
                "manual1/, or beside the image); add it, or take the image away"
            )
