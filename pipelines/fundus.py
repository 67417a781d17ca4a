"""Folders of fundus photographs: DRIVE, CHASE_DB1 and HRF."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipelines.errors import DataError
from pipelines.labels import FIELD, FIRST, SECOND, find_label, is_lossy

DRIVE_LAYOUT = (
    "DIR/training/{images/21_training.tif,1st_manual/21_manual1.gif,mask/21_training_mask.gif} "
    "and DIR/test/{images/01_test.tif,mask/01_test_mask.gif,1st_manual/01_manual1.gif}"
)
HOW_TO_GET = (
    f"get DRIVE from https://drive.grand-challenge.org/ and unpack it as {DRIVE_LAYOUT} "
    "(CHASE_DB1 and HRF folders do too), or name another folder with --data"
)
EXTENSIONS = (".tif", ".tiff", ".jpg", ".jpeg", ".png", ".ppm", ".bmp")

_CHASE_TRAINING_SUBJECTS = 10
"""Subjects 1 to 10, both eyes, train; 11 to 14 test: the split of the literature."""

_ANNOTATION = re.compile(r"(_1stHO|_2ndHO|_manual[12]|_mask)$", re.IGNORECASE)

_EYE = re.compile(r"(?<=\d)[_-]?(l|r|left|right|od|os)$", re.IGNORECASE)


@dataclass(frozen=True)
class FundusSample:
    """A fundus image and what is known of it.

    Attributes:
        name: Stem of the image's file.
        image: RGB, 8 bits.
        label: First observer's vessels, 0 and 255; None where the set ships none.
        second: Second observer's vessels.
        field: Field of view, 0 and 255; None where it is to be derived from the image.
    """

    name: str
    image: Path
    label: Path | None = None
    second: Path | None = None
    field: Path | None = None


def subject_of(name: str) -> str:
    """Whose eye an image shows, as far as its name tells: `Image_01L` and `Image_01R` are one's."""
    return _EYE.sub("", name)


def fundus_samples(folder: Path, split: str) -> list[FundusSample]:
    """Samples of one split of a folder whose layout is recognised.

    Args:
        folder: DRIVE, CHASE_DB1 or HRF as they are unpacked. HRF has no split of its own: all
            of it is "train"; so is DRIVE without its test folder.
        split: "train" or "test".

    Raises:
        DataError: The folder is missing or in no layout known here.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {HOW_TO_GET}")
    if (folder / "training").is_dir() or (folder / "test").is_dir():
        images = folder / ("training" if split == "train" else "test") / "images"
        if split == "test" and not images.parent.is_dir():
            return []
    elif (folder / "images").is_dir():
        images = folder / "images"
        if split == "test":
            return []
    elif list(folder.glob("Image_*_1stHO.png")):
        return _chase_samples(folder, split)
    else:
        raise DataError(f"{folder}: neither DRIVE nor CHASE_DB1 nor HRF; {HOW_TO_GET}")
    if not images.is_dir():
        raise DataError(f"{images}: no such folder; {HOW_TO_GET}")
    samples = [sample_of(image) for image in images_in(images)]
    if not samples:
        raise DataError(f"{images}: no images; {HOW_TO_GET}")
    return samples


def images_in(folder: Path) -> list[Path]:
    """The images of a folder by name, annotations left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS
        and not path.name.startswith(".")
        and not _ANNOTATION.search(path.stem)
    )


def sample_of(image: Path, labels: Path | None = None) -> FundusSample:
    """An image with the annotations that lie where its data set keeps them.

    Args:
        image: An image file.
        labels: Folder of the first observer's labels, where it is not the data set's own.
    """
    stem = image.stem
    home = image.parent.parent if image.parent.name == "images" else image.parent

    def first(folder: Path, names: Sequence[str]) -> Path | None:
        return find_label(folder, stem, names, other_than=str(image))

    if labels is not None:
        label = first(labels, FIRST)
        second_folder = labels.parent / "2nd_manual" if labels.name == "1st_manual" else labels
    else:
        # Beside the image a file of its very name (the last of the names) is a copy of it.
        label = (
            first(home / "1st_manual", FIRST)
            or first(home / "manual1", FIRST)
            or first(home, FIRST[:-1])
        )
        second_folder = home / "2nd_manual" if (home / "2nd_manual").is_dir() else home
    second = first(second_folder, SECOND[:-1])
    field = first(home / "mask", FIELD)
    return FundusSample(stem, image, label, second, field)


def _chase_samples(folder: Path, split: str) -> list[FundusSample]:
    samples = []
    for image in images_in(folder):
        subject = re.search(r"(\d+)", image.stem)
        if subject is None:
            continue
        training = int(subject[1]) <= _CHASE_TRAINING_SUBJECTS
        if training == (split == "train"):
            samples.append(sample_of(image))
    return samples


def read_field(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask of the field of view [h, w]: by its colours, whatever its palette.

    Args:
        path: Image of black and another value (of a JPEG, what is above 127).
        shape: Rows and columns it must have.

    Raises:
        DataError: The file is not an image, or has another size, or is black all over.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise DataError(
            f"{path}: not an image that can be read ({error}); copy it again"
        ) from error
    if pixels.shape != shape:
        raise DataError(
            f"{path}: {pixels.shape[1]} x {pixels.shape[0]} pixels, but its image has "
            f"{shape[1]} x {shape[0]}; give the one made for this image"
        )
    field: NDArray[np.bool_] = pixels > (127 if is_lossy(path) else 0)
    if not field.any():
        raise DataError(
            f"{path}: this mask of the field of view is black all over; mend it, or take it away "
            "to have the field found in the image"
        )
    return field
