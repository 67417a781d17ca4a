"""Fundus images and the annotations that lie beside them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.errors import DataError
from pipelines.inputs.naming import FIELD, FIRST, IMAGE_EXTENSIONS, SECOND, find_label
from tiling.dicom.folders import photographs_in
from tiling.scenes.names import extension_of, is_local, stem_of

_ANNOTATION = re.compile(
    r"(_1stHO|_2ndHO|_manual[12]|_mask|\.ah|\.vk|_manual_orig|_mask_orig)$", re.IGNORECASE
)

_IMAGES = ("images", "stare-images", "original", "fundus_images")
"""Folders of images, in lower case, beside which those of their annotations lie."""

_FIRST = ("1st_manual", "manual1", "labels-ah", "ground truth", "manual_segmentations")
"""Folders of labels in DRIVE, HRF, STARE, FIVES and DR HAGIS."""

_SECOND = ("2nd_manual", "labels-vk")

_FIELDS = ("mask", "mask_images")


FIRST_TOKEN = "first-token"

_BETWEEN_TOKENS = re.compile(r"[_\-. ]")

_EYE = re.compile(r"(?<=\d)[_-]?(l|r|left|right|od|os)$", re.IGNORECASE)


@dataclass(frozen=True)
class FundusSample:
    """A fundus image and what is known of it.

    Attributes:
        name: Stem of the image's file.
        image: RGB, 8 bits; the text that GDAL takes where it is no local file.
        label: First observer's vessels, 0 and 255; None where the set ships none.
        second: Second observer's vessels.
        field: Field of view, 0 and 255; None where it is to be derived from the image.
    """

    name: str
    image: Path | str
    label: Path | None = None
    second: Path | None = None
    field: Path | None = None


def subject_of(name: str, group_by: str | None = None) -> str:
    """The person whose eye an image shows, by its name: `Image_01L` and `Image_01R` are of one.

    Args:
        name: Stem of the image's file.
        group_by: "first-token" takes what comes before the first `_`, `-`, `.` or space. Else a
            regular expression: what its first group matches, or all of it without groups.

    Raises:
        DataError: The expression matches nothing in the name.
    """
    if group_by is None:
        return _EYE.sub("", name)
    if group_by == FIRST_TOKEN:
        return _BETWEEN_TOKENS.split(name.lstrip("_-. "))[0]
    found = re.search(group_by, name)
    subject = found and (found[1] if found.re.groups else found[0])
    if not subject:
        raise DataError(
            f"{name}: nothing in this name matches --group-by {group_by}; mend the expression, or "
            "rename the image"
        )
    return subject


def images_in(folder: Path) -> list[Path]:
    """The images of a folder, without annotations, in the order of their names."""
    usual = [
        path
        for path in folder.iterdir()
        if extension_of(path.name) in IMAGE_EXTENSIONS
        and not path.name.startswith(".")
        and not _ANNOTATION.search(stem_of(path.name))
    ]
    return sorted([*usual, *photographs_in(folder)])


def sample_of(image: Path, labels: Path | None = None) -> FundusSample:
    """An image with the annotations that lie where its data set keeps them.

    Args:
        image: An image file.
        labels: Folder of the first observer's labels; None for where data sets keep them.

    Raises:
        LabelError: Two files may be the same annotation.
    """
    stem = stem_of(str(image))

    def found(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
        files = (find_label(one, stem, names, other_than=str(image)) for one in folders)
        return next((path for path in files if path is not None), None)

    home = _home(image)
    second_folders = _named(home, _SECOND) or [home]
    if labels is not None:
        label = found([labels], FIRST)
        second_folders = [labels]
        if labels.name.lower() in _FIRST:
            second_folders = _named(labels.parent, _SECOND) or second_folders
    elif (in_mmseg := _annotations(image)) is not None:
        label, second_folders = found([in_mmseg], FIRST), [in_mmseg]
    else:
        # The last pattern is the image's own name: beside the image that is a copy of it.
        label = found(_named(home, _FIRST), FIRST) or found([home], FIRST[:-1])
    second = found(second_folders, SECOND[:-1])
    field = found(_named(home, _FIELDS), FIELD)
    return FundusSample(stem, image, label, second, field)


def sample_from(source: str, labels: Path | None) -> FundusSample:
    """An image by whatever name GDAL takes; nothing lies beside one that is no local file.

    Args:
        source: Path or URL.
        labels: Folder of labels; with None there are none.

    Raises:
        LabelError: Two files may be the same annotation.
    """
    if not is_local(source):
        stem = stem_of(source)
        return FundusSample(stem, source, None if labels is None else find_label(labels, stem))
    sample = sample_of(Path(source), labels)
    return sample if labels is not None else replace(sample, label=None, second=None)


def _home(image: Path) -> Path:
    """The folder in which the folders of an image's annotations lie."""
    own = image.parent
    return own.parent if own.name.lower() in _IMAGES else own


def _annotations(image: Path) -> Path | None:
    """The folder of an image's labels in the layout of mmsegmentation; else None."""
    split = image.parent
    folder = split.parent.parent / "annotations" / split.name
    return folder if split.parent.name == "images" and folder.is_dir() else None


def _named(home: Path, names: Sequence[str]) -> list[Path]:
    """The folders in a folder that have one of some names, in the order of these."""
    folders = [path for path in home.iterdir() if path.is_dir()] if home.is_dir() else []
    return sorted(
        (path for path in folders if path.name.lower() in names),
        key=lambda path: names.index(path.name.lower()),
    )
