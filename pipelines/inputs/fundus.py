"""Fundus images and the annotations that lie beside them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.errors import DataError
from pipelines.inputs.naming import FIELD, FIRST, IMAGE_EXTENSIONS, SECOND, find_label
from tiling.scenes.names import is_local, stem_of

_ANNOTATION = re.compile(r"(_1stHO|_2ndHO|_manual[12]|_mask)$", re.IGNORECASE)


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
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_EXTENSIONS
        and not path.name.startswith(".")
        and not _ANNOTATION.search(path.stem)
    )


def sample_of(image: Path, labels: Path | None = None) -> FundusSample:
    """An image with the annotations that lie where its data set keeps them.

    Args:
        image: An image file.
        labels: Folder of the first observer's labels; None for where data sets keep them.

    Raises:
        LabelError: Two files may be the same annotation.
    """
    stem = image.stem
    home = image.parent.parent if image.parent.name == "images" else image.parent

    def first(folder: Path, names: Sequence[str]) -> Path | None:
        return find_label(folder, stem, names, other_than=str(image))

    if labels is not None:
        label = first(labels, FIRST)
        second_folder = labels.parent / "2nd_manual" if labels.name == "1st_manual" else labels
    else:
        # The last pattern is the image's own name: beside the image that is a copy of it.
        label = (
            first(home / "1st_manual", FIRST)
            or first(home / "manual1", FIRST)
            or first(home, FIRST[:-1])
        )
        second_folder = home / "2nd_manual" if (home / "2nd_manual").is_dir() else home
    second = first(second_folder, SECOND[:-1])
    field = first(home / "mask", FIELD)
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
