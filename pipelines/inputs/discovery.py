"""Finds the scenes of a batch, and their labels, in the files, globs and folders that are named."""

import glob
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from pipelines.errors import DataError, PipelineError, first_few
from pipelines.inputs.fundus import FundusSample, images_in
from pipelines.inputs.naming import IMAGE_EXTENSIONS, OTHER_IMAGES, find_label
from pipelines.inputs.opening import Reading, opened_fundus, opened_sample, opened_scene
from pipelines.inputs.s3.listing import is_prefix, objects_in
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.inputs.stac.names import is_stac
from pipelines.inputs.stac.reading import FoundScene, stac_scenes
from tiling.dicom.folders import dicom_files, frames_of, photographs_of
from tiling.dicom.names import INDEX
from tiling.scenes.names import extension_of, kind_of, shown, stem_of

_LOG = logging.getLogger("rurnet")


def road_inputs(
    scenes: Sequence[str], labels: Path | None, reading: Reading | None = None
) -> list[SceneInput]:
    """Inputs from aerial scenes.

    Args:
        scenes: Files, globs, folders, URLs, STAC items and catalogues, or whatever name GDAL takes.
        labels: Folder of labels that have the scenes' names, or one file; what values mean,
            `reading` says.
        reading: How they are read.

    Raises:
        DataError: The folder of labels is missing, or a folder, glob or catalogue holds no scene.
    """
    if labels is not None and not labels.exists():
        raise DataError(f"{labels}: no such folder of labels; check --labels")
    reading = reading or Reading()
    named = expanded([one for one in scenes if not is_stac(one)], rasters_in)
    inputs = [
        _input(source, partial(_opened_beside, source, stem_of(source), labels, reading))
        for source in named
    ]
    for catalogue in filter(is_stac, scenes):
        inputs += [_of_item(found, labels, reading) for found in stac_scenes(catalogue)]
    return inputs


def _of_item(found: FoundScene, labels: Path | None, reading: Reading) -> SceneInput:
    """The input of a scene that a STAC item names; its labels are named after the item."""
    opening = (
        partial(_opened_beside, found.source, found.name, labels, reading)
        if found.error is None
        else partial(_refused, found.error)
    )
    return SceneInput(
        shown(found.source), found.name, opening, image=found.source, stac_item=found.item
    )


@contextmanager
def _refused(why: str) -> Iterator[OpenedScene]:
    raise DataError(why)
    yield


@contextmanager
def _opened_beside(
    source: str, name: str, labels: Path | None, reading: Reading
) -> Iterator[OpenedScene]:
    """Opens a scene with the label of its name: two such labels are an error of this scene."""
    label = None if labels is None else find_label(labels, name, other_than=source)
    with opened_scene(source, label, reading) as opened:
        yield opened


def fundus_inputs(
    images: Sequence[str], labels: Path | None, reading: Reading | None = None
) -> list[SceneInput]:
    """Inputs from fundus images: pixels inside the field of view, and a PNG mask as well.

    Args:
        images: Files, globs, folders, URLs, or whatever name GDAL takes; a folder's annotations,
            as DRIVE, CHASE_DB1 and HRF name them, are passed over.
        labels: Folder of the first observer's labels; None scores nothing.
        reading: How images and labels are read.

    Raises:
        DataError: The folder of labels is missing, or a folder or glob holds no image.
    """
    if labels is not None and labels.is_file():
        raise DataError(
            f"{labels}: a file; --labels takes the folder that it lies in, where each image's "
            "label is found by the image's name"
        )
    if labels is not None and not labels.is_dir():
        raise DataError(f"{labels}: no such folder of labels; check --labels")
    reading = reading or Reading()
    found = expanded(images, lambda folder: [str(path) for path in images_in(folder)])
    return [
        _input(source, partial(opened_fundus, source, labels, reading), png=True)
        for source in frames_of(found)
    ]


def _input(
    source: str, opening: Callable[[], AbstractContextManager[OpenedScene]], *, png: bool = False
) -> SceneInput:
    return SceneInput(shown(source), stem_of(source), opening, png, source)


def aerial_input(source: str, label: Path | None, reading: Reading) -> SceneInput:
    """The input of a scene whose label is known."""
    return _input(source, partial(opened_scene, source, label, reading))


def fundus_input(sample: FundusSample, reading: Reading | None = None) -> SceneInput:
    """The input of a sample whose annotations are known; `reading` as in `fundus_inputs`."""
    opening = partial(opened_sample, sample, reading or Reading())
    return SceneInput(str(sample.image), sample.name, opening, png=True)


def rasters_in(folder: Path, extensions: Sequence[str] = IMAGE_EXTENSIONS) -> list[str]:
    """The rasters of a folder, in the order of their names."""
    return sorted(
        str(path)
        for path in folder.iterdir()
        if extension_of(path.name) in extensions and not path.name.startswith(".")
    )


def expanded(sources: Sequence[str], listing: Callable[[Path], list[str]]) -> list[str]:
    """Replaces folders, globs and prefixes of S3 by the files in them; other names stay.

    A file that does not exist stays too: it is an error of that scene, not of the batch.

    Raises:
        DataError: A folder, glob or prefix holds no image, or cannot be listed.
    """
    found: list[str] = []
    for source in sources:
        kind = kind_of(source)
        if is_prefix(source):
            inside = objects_in(source, IMAGE_EXTENSIONS)
        elif kind == "glob":
            inside = sorted(glob.glob(source))
        elif kind == "path" and Path(source).is_dir():
            inside = listing(Path(source))
            _name_others(Path(source), inside)
        elif kind == "path" and Path(source).name.upper() == INDEX and Path(source).is_file():
            inside = [str(path) for path in photographs_of(Path(source))]
        else:
            inside = [source]
        if not inside:
            raise DataError(
                f"{source}: no images in it; give files of {', '.join(IMAGE_EXTENSIONS)} (a GIF is "
                "taken for a drawing, not for an image)"
            )
        found += [name for name in inside if name not in found]
    return found


def _name_others(folder: Path, inside: Sequence[str]) -> None:
    """Logs which files of a folder may be images, but are not among those that are taken."""
    others = sorted(
        path.name for path in folder.iterdir() if extension_of(path.name) in OTHER_IMAGES
    )
    if others:
        _LOG.warning(
            "%s: %d files are passed over (%s), which may be images, but in other formats; save "
            "them as PNG or TIFF, or give those that GDAL reads by their names",
            folder, len(others), first_few(others),
        )  # fmt: skip
    dicom = sorted(shown(path) for path in dicom_files(folder) if str(path) not in inside)
    if dicom:
        _LOG.warning(
            "%s: %d DICOM files are passed over (%s): infer-drive takes those that are photographs",
            folder, len(dicom), first_few(dicom),
        )  # fmt: skip


def check_names(items: Sequence[SceneInput]) -> None:
    """Checks that each scene's name is that of a folder of its own, inside of the output.

    Raises:
        PipelineError: Two have one name, or one names a folder elsewhere.
    """
    seen: dict[str, str] = {}
    for item in items:
        if item.name in ("", ".", "..") or {"/", "\\", "\0"} & set(item.name):
            raise PipelineError(
                f"{item.source}: the name {item.name!r} would lead out of the output; give one "
                "without slashes"
            )
        if item.name in seen and seen[item.name] == item.source:
            raise PipelineError(
                f"{item.source}: two DICOM files hold this image, or two of its name; leave one "
                "out (rurnet dicom-names FOLDER tells which files these are)"
            )
        if item.name in seen:
            raise PipelineError(
                f"{seen[item.name]} and {item.source} would both be written to {item.name}/; "
                "rename one, or run them with another --output"
            )
        seen[item.name] = item.source
