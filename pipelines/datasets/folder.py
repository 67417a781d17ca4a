"""Folders of images and labels of any kind: what is in them is found out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.config.training import TrainFolder
from pipelines.datasets.examples import Example, TrainingData, one_pixel_size
from pipelines.errors import DataError, LabelError
from pipelines.inputs.discovery import aerial_input, check_names, expanded, rasters_in
from pipelines.inputs.fundus import subject_of
from pipelines.inputs.label_checks import check_fits, check_values
from pipelines.inputs.labels import IGNORE_INDEX, Labelling
from pipelines.inputs.naming import find_label, stem_of
from pipelines.inputs.opening import Reading
from pipelines.inputs.scene_input import SceneInput
from pipelines.sampling.sources import SceneSource
from tiling.scenes.resample import pixel_size
from tiling.scenes.scene import Scene

_LOG = logging.getLogger("rurnet")


@dataclass(frozen=True)
class _Seen:
    """An image that was looked at.

    Attributes:
        image: Its path.
        label: That of its label; None where there is none.
        bands: How many colours it has.
        dtype: Of its pixels.
        gsd: Metres per pixel, where its coordinates are lengths.
        values: Those in its label that are not left out.
    """

    image: str
    label: Path | None
    bands: int
    dtype: str
    gsd: float | None
    values: frozenset[float]


def folder_data(config: TrainFolder) -> TrainingData:
    """A user's own folders, with the classes, bands and ground sampling distance that they have.

    Raises:
        DataError: A folder is missing or empty, or an image has other bands than the first, or
            pixels of another type, or a palette.
        LabelError: An image has no label, or one of another size or place, or with a value that
            is no class.
        PipelineError: Two images of one name.
        SceneError: A file cannot be read.
    """
    train = _looked_at(config.images, config.labels, "images", "labels")
    valid, tests = (
        [] if images is None else _looked_at(images, labels, f"{split}-images", f"{split}-labels")
        for split, images, labels in (
            ("valid", config.valid_images, config.valid_labels),
            ("test", config.test_images, config.test_labels),
        )
    )
    every = [*train, *valid, *tests]
    for one in every:
        if one.bands != every[0].bands:
            raise DataError(
                f"{one.image}: bands are {one.bands}, but {every[0].image} has {every[0].bands}; "
                "give all images the same, e.g. gdal_translate -b 1 -b 2 -b 3"
            )
        if one.dtype != every[0].dtype:
            raise DataError(
                f"{one.image}: pixels are {one.dtype}, but {every[0].image} has {every[0].dtype}, "
                "which is another scale; give all images the same, e.g. gdal_translate -ot -scale"
            )
    classes = _classes(train, config.class_names)
    # 255 is a class where there are two, as in 0 and 255.
    labelling = Labelling(len(classes), (IGNORE_INDEX,) if len(classes) > 2 else ())
    _LOG.info("%d images of %d bands, classes: %s", len(train), every[0].bands, ", ".join(classes))
    for one in every:
        check_values(str(one.label), one.values, labelling)
    gsd = one_pixel_size([one.gsd for one in (*train, *valid)])
    reading = Reading(every[0].bands, gsd, labelling=labelling)

    def items(seen: Sequence[_Seen]) -> list[SceneInput]:
        return [aerial_input(one.image, one.label, reading) for one in seen]

    def examples(seen: Sequence[_Seen]) -> list[Example]:
        return [Example(SceneSource(item), item, subject_of(item.name)) for item in items(seen)]

    return TrainingData(
        "other", (config.images.resolve().name,), classes,
        [examples(train)], "test", items(tests), valid=examples(valid),
        ground_sampling_distance=gsd,
        ignore=",".join(map(str, labelling.ignore)) or None,
    )  # fmt: skip


def _looked_at(images: Path, labels: Path | None, *options: str) -> list[_Seen]:
    """The images of a folder by name, each with its label; no `labels`, none."""
    for folder, option in zip((images, labels), options, strict=True):
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder}: no such folder; check --{option}")
    seen = []
    items = []
    for image in expanded([str(images)], rasters_in):
        label = None if labels is None else find_label(labels, stem_of(image), other_than=image)
        if labels is not None and label is None:
            raise LabelError(
                f"{image}: no label of its name in {labels}; add or rename it, or take the image "
                "away"
            )
        items.append(aerial_input(image, label, Reading(bands=None)))
        with items[-1].open() as opened:
            values: set[float] = set()
            if opened.label is not None:
                check_fits(opened.label, opened.scene)
                values = opened.label.values()
            scene = opened.scene
            _check_colours(scene)
        of_image = scene.bands, str(scene.dtype), pixel_size(scene)
        seen.append(_Seen(image, label, *of_image, frozenset(values)))
    check_names(items)
    return seen


def _check_colours(scene: Scene) -> None:
    """Whether pixels are colours, and not numbers of a palette's.

    Raises:
        DataError: They are such numbers.
    """
    palette = getattr(scene, "palette", {})
    if any(len(set(colour)) > 1 for colour in palette.values()):
        raise DataError(
            f"{scene.name}: its pixels are numbers of a palette's colours; give the colours "
            "themselves, e.g. gdal_translate -expand rgb"
        )


def _classes(seen: Sequence[_Seen], names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of the classes, background first: those given, or as many as the labels have.

    Two have 0 and any one other value, more are numbered from 0, without a gap.
    """
    values = frozenset[float]().union(*(one.values for one in seen))
    left_out = {IGNORE_INDEX} if names is not None and len(names) > 1 else set()
    if len(values - left_out) < 2 or 0 not in values:
        held = ", ".join(f"{value:g}" for value in sorted(values)[:4]) or "nothing"
        raise LabelError(
            f"{seen[0].label}: this label and the others hold {held} alone; draw the background "
            "as 0, and what is to be found as another value"
        )
    if names is not None:
        for number, name in enumerate(names, start=1):
            if len(names) > 1 and number not in values:
                _LOG.info("no label holds class %d (%s)", number, name)
        return ("background", *names)
    if len(values) == 2:
        return ("background", "foreground")
    count = next(number for number in range(len(values) + 1) if number not in values)
    if count == 2:
        # A stray value is in few labels; what all of them have in common is none.
        for one in seen:
            check_values(str(one.label), one.values, Labelling())
    numbered = frozenset[float](range(count)) if count > 2 else frozenset({0.0, 1.0})
    for one in seen:
        if (
            odd := one.values
            - numbered
            - (frozenset({float(IGNORE_INDEX)}) if count > 2 else set())
        ):
            raise LabelError(
                f"{one.label}: value {min(odd):g}; two classes are 0 and one other value in all "
                "labels, more are numbered 0, 1, 2, ...: draw them so, or name them with --classes"
            )
    return ("background", *(f"class {number}" for number in range(1, count)))
