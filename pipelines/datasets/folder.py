"""Folders of images and labels of any kind: classes, bands and scale are found out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.examples import Example, TrainingData, grouped_by, one_pixel_size
from pipelines.errors import DataError, LabelError, first_few
from pipelines.inputs.class_nodata import NOT_KNOWN
from pipelines.inputs.discovery import aerial_input, check_names, expanded, rasters_in
from pipelines.inputs.fundus import subject_of
from pipelines.inputs.label_checks import (
    LabelContents,
    check_fits,
    check_kept,
    check_values,
    remarks_on_share,
)
from pipelines.inputs.labels import IGNORE_INDEX, Labelling, labelling_of, open_label
from pipelines.inputs.naming import find_label, is_vector_file, passed_over
from pipelines.inputs.normalisation import ValueRange
from pipelines.inputs.opening import Reading
from pipelines.inputs.pixel_values import GIVE_RANGE, looked_at
from pipelines.sampling.sources import SceneSource
from pipelines.sampling.statistics import Contents, LabelReading, label_readings
from tiling.readers.bands import keeping
from tiling.readers.files import open_scene
from tiling.scenes.ground import PixelSize, pixel_size
from tiling.scenes.names import stem_of
from tiling.scenes.vector import is_vector

_LOG = logging.getLogger("rurnet")


_OR_ALL = "; --labelled-only leaves all such images out"

_TWO_CLASSES = Labelling()

_NUMBERED = Labelling(NOT_KNOWN, (IGNORE_INDEX,))
"""Values as numbers of classes, while it is not known yet how many classes there are."""


@dataclass(frozen=True)
class _Image:
    """An image as its file describes it.

    Attributes:
        path: Its path.
        label: Path of its label; None where there is none.
        bands: How many colours it has.
        dtype: Type of its pixels.
        pixel: Size of its pixels on the ground, where something tells it.
    """

    path: str
    label: Path | None
    bands: int
    dtype: str
    pixel: PixelSize | None


@dataclass(frozen=True)
class _Labelled:
    """An image to learn from, read once under either meaning that label values may have."""

    image: _Image
    two: LabelReading
    numbered: LabelReading

    def under(self, classes: int) -> LabelReading:
        """What was read, now that the number of classes is known."""
        if classes == 2:
            return self.two
        contents = self.numbered.contents
        if contents is not None:
            contents = replace(contents, classes=contents.classes[:classes])
        return LabelReading(self.numbered.values, contents)


def folder_data(config: TrainFolder) -> TrainingData:
    """A user's own folders, with the classes, bands and ground sampling distance that they have.

    All files are opened before the first is read.

    Raises:
        DataError: A folder is missing or empty, or an image has other bands than the first, or
            pixels of another type, or most values outside the range.
        LabelError: An image has no label, or one of another size or place, or with a value that
            is no class.
        PipelineError: Two images of one name.
        SceneError: A file cannot be read.
    """
    two = labelling_of(2, (), config, config.pixel_size)
    looked_up = partial(_images, labelling=two, pixel_told=config.pixel_size)
    train = looked_up(
        config.images, config.labels, "images", "labels", labelled_only=config.labelled_only
    )
    valid, tests = (
        [] if images is None else looked_up(images, labels, f"{split}-images", f"{split}-labels")
        for split, images, labels in (
            ("valid", config.valid_images, config.valid_labels),
            ("test", config.test_images, config.test_labels),
        )
    )
    first = train[0]
    _check_alike([*train, *valid, *tests])
    ends = config.value_ends
    trained_on, choosing = (
        [_read(image, two, ends) for image in images] for images in (train, valid)
    )
    _check_kept([*trained_on, *choosing])
    classes = _classes(trained_on, config.class_names)
    # 255 is a class where there are two, as in 0 and 255.
    ignored = (IGNORE_INDEX,) if len(classes) > 2 else ()
    labelling = labelling_of(len(classes), ignored, config, config.pixel_size)
    _LOG.info("%d images of %d bands, classes: %s", len(train), first.bands, ", ".join(classes))
    for one in (*trained_on, *choosing):
        check_values(str(one.image.label), one.two.values, labelling)
        check_values(str(one.image.label), one.under(len(classes)).values, labelling)
    _name_unmeasured([*train, *valid])
    gsd = one_pixel_size([image.pixel for image in (*train, *valid)])
    reading = Reading(
        first.bands, gsd, pixel_told=config.pixel_size, labelling=labelling, value_range=ends
    )
    items = [aerial_input(image.path, image.label, reading) for image in tests]
    for item in items:
        with item.open() as opened:
            if opened.label is not None:
                values = opened.label.under(_TWO_CLASSES).values()
                check_values(opened.label.name, values, labelling)

    def examples(images: Sequence[_Labelled]) -> list[Example]:
        return [_example(one, reading, config.group_by) for one in images]

    return TrainingData(
        "other", (config.images.resolve().name,), classes,
        [examples(trained_on)], "test", items, valid=examples(choosing),
        ground_sampling_distance=gsd, value_range=ends,
        grouped_by=grouped_by(config.group_by),
        ignore=",".join(map(str, labelling.ignore)) or None,
    )  # fmt: skip


def _example(one: _Labelled, reading: Reading, group_by: str | None) -> Example:
    item = aerial_input(one.image.path, one.image.label, reading)
    contents = one.under(reading.labelling.classes).contents
    assert contents is not None  # Its values were checked.
    if len(contents.classes) == 2:
        drawn = LabelContents(*contents.classes.tolist())
        for remark in remarks_on_share(str(one.image.label), drawn):
            _LOG.warning("%s", remark)
    subject = subject_of(item.name, group_by)
    return Example(SceneSource(item), item, subject, partial(_same, contents))


def _same(contents: Contents) -> Contents:
    return contents


def _images(
    images: Path,
    labels: Path | None,
    *options: str,
    labelling: Labelling,
    pixel_told: float | None,
    labelled_only: bool | None = None,
) -> list[_Image]:
    """The images of a folder by name, each with its label; none has one without `labels`.

    Those without are left out with `labelled_only`, an option that not all folders have (None).
    """
    for folder, option in zip((images, labels), options, strict=True):
        whole = folder is labels and is_vector_file(folder)
        if folder is not None and not folder.is_dir() and not whole:
            raise DataError(f"{folder}: no such folder; check --{option}")
    found = []
    items = []
    without: list[str] = []
    for path in expanded([str(images)], rasters_in):
        label = None if labels is None else find_label(labels, stem_of(path), other_than=path)
        if labels is not None and label is None:
            if labelled_only:
                without.append(path)
                continue
            or_all = "" if labelled_only is None else _OR_ALL
            raise LabelError(
                f"{path}: no label of its name in {labels}{passed_over(labels, stem_of(path))}; "
                f"add or rename it, or take the image away{or_all}"
            )
        items.append(aerial_input(path, label, Reading()))
        with open_scene(path, bands=None) as scene, open_label(label, labelling, scene) as drawn:
            if drawn is not None:
                check_fits(drawn, scene)
            of_file = scene.bands, str(scene.dtype), pixel_size(scene, pixel_told)
        found.append(_Image(path, label, *of_file))
    check_names(items)
    if without:
        _LOG.info("without a label, and so left out: %s", first_few(without))
        if not found:
            raise LabelError(f"{images}: no image has a label of its name in {labels}")
    return found


def _read(image: _Image, two: Labelling, value_range: ValueRange | None) -> _Labelled:
    """Reads an image and its label.

    Raises:
        DataError: Most of its values lie outside the range.
    """
    reading = Reading(bands=None, labelling=two, value_range=value_range)
    source = SceneSource(aerial_input(image.path, image.label, reading))
    opened = source.opened()
    for remark in (*opened.remarks, *looked_at(opened, GIVE_RANGE).remarks):
        _LOG.warning("%s", remark)
    readings = label_readings(source, [two, _NUMBERED])
    source.close()
    return _Labelled(image, *readings)


def _check_alike(images: Sequence[_Image]) -> None:
    """Whether all images have the bands and the pixel type of the first.

    Raises:
        DataError: One has not.
    """
    first = images[0]
    for one in images:
        if one.bands != first.bands:
            raise DataError(
                f"{one.path}: bands are {one.bands}, but {first.path} has {first.bands}; "
                f"give all images the same, e.g. {keeping(one.path, '1,2,3')}"
            )
        if one.dtype != first.dtype:
            raise DataError(
                f"{one.path}: pixels are {one.dtype}, but {first.path} has {first.dtype}, "
                "which is another scale; give all images the same, e.g. rio convert --dtype uint8 "
                f"--scale-ratio 0.0625 {one.path} NEW.tif for values up to 4080"
            )


def _name_unmeasured(images: Sequence[_Image]) -> None:
    """Logs which images have pixels of no known size.

    Where none has a size, they may be photographs, for which that is as it should be: no warning.
    """
    unknown = [image.path for image in images if image.pixel is None]
    if unknown:
        _LOG.log(
            logging.INFO if len(unknown) == len(images) else logging.WARNING,
            "%s: pixels have no size in metres, so the weights note no ground sampling distance, "
            "and scenes are predicted as they are; tell the size with --pixel-size",
            first_few(unknown),
        )


def _check_kept(seen: Sequence[_Labelled]) -> None:
    """Whether nodata, alpha or masks leave out all of one of two classes in a label.

    What the foreground is, the labels tell together: those of tiles without any do not.

    Raises:
        LabelError: They do in one.
    """
    foreground = frozenset[float]().union(*(one.two.values for one in seen)) - {0}
    if len(foreground) > 1:
        return
    for one in seen:
        values = one.two.values
        if is_vector(str(one.image.label)) or (0 in values and len(values) > 1):
            continue
        with open_label(one.image.label, _TWO_CLASSES) as label:
            assert label is not None
            if 0 not in values or not foreground or label.nodata in foreground:
                check_kept(label, values)


def _values_of(seen: Sequence[_Labelled]) -> frozenset[float]:
    """The values of all labels; vectors, which are drawn as 1, have that of the one other kind."""
    drawn, vectors = (
        frozenset[float]().union(
            *(one.two.values for one in seen if is_vector(str(one.image.label)) == vector)
        )
        for vector in (False, True)
    )
    return drawn | (vectors & {0.0} if len(drawn - {0}) == 1 else vectors)


def _classes(seen: Sequence[_Labelled], names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of the classes, background first: those given, or as many as the labels have.

    Two classes are 0 and any one other value; more are numbered from 0, without a gap.

    Raises:
        LabelError: The labels hold one class alone, or values that are no classes.
    """
    values = _values_of(seen)
    left_out = {IGNORE_INDEX} if names is not None and len(names) > 1 else set()
    if len(values - left_out) < 2 or 0 not in values:
        held = ", ".join(f"{value:g}" for value in sorted(values)[:4]) or "nothing"
        raise LabelError(
            f"{seen[0].image.label}: this label and the others hold {held} alone; draw the "
            "background as 0, and what is to be found as another value"
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
        # A label with a stray value is named; a value that all labels share is none.
        for one in seen:
            check_values(str(one.image.label), one.two.values, Labelling())
    numbered = frozenset[float](range(count)) if count > 2 else frozenset({0.0, 1.0})
    for one in seen:
        if (
            odd := one.two.values
            - numbered
            - (frozenset({float(IGNORE_INDEX)}) if count > 2 else set())
        ):
            raise LabelError(
                f"{one.image.label}: value {min(odd):g}; two classes are 0 and one other value in "
                "all labels, more are numbered 0, 1, 2, ...: draw them so, or name them with "
                "--classes"
            )
    return ("background", *(f"class {number}" for number in range(1, count)))
