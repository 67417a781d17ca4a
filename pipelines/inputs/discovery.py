"""From what a user names (files, globs, folders, /vsi paths) to the scenes of a batch."""

import glob
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pipelines.errors import DataError, PipelineError
from pipelines.inputs.fundus import FundusSample, images_in
from pipelines.inputs.naming import find_label, stem_of
from pipelines.inputs.opening import (
    Reading,
    opened_fundus,
    opened_sample,
    opened_scene,
)
from pipelines.inputs.scene_input import SceneInput

SCENE_EXTENSIONS = (".tif", ".tiff", ".vrt", ".png", ".jpg", ".jpeg", ".jp2", ".img")


def road_inputs(
    scenes: Sequence[str], labels: Path | None, reading: Reading | None = None
) -> list[SceneInput]:
    """Inputs from aerial scenes.

    Args:
        scenes: Files, globs, folders, or /vsi paths.
        labels: Folder of labels with the scenes' stems; other values than 0 are road.
        reading: How they are read.

    Raises:
        DataError: The folder of labels is missing, or a folder or glob holds no scene.
    """
    if labels is not None and not labels.is_dir():
        raise DataError(f"{labels}: no such folder of labels; check --labels")
    reading = reading or Reading()
    return [
        aerial_input(
            source,
            None if labels is None else find_label(labels, stem_of(source), other_than=source),
            reading,
        )
        for source in expanded(scenes, rasters_in)
    ]


def fundus_inputs(
    images: Sequence[str], labels: Path | None, reading: Reading | None = None
) -> list[SceneInput]:
    """Inputs from fundus images: inside the field of view only, with a PNG mask besides.

    Args:
        images: Files, globs or folders; annotations of DRIVE, CHASE_DB1 and HRF that lie in a
            folder are passed over.
        labels: Folder of the first observer's labels; None scores nothing.
        reading: How they are read: which bands, at which scale, and what labels mean.

    Raises:
        DataError: The folder of labels is missing, or a folder or glob holds no image.
    """
    if labels is not None and not labels.is_dir():
        raise DataError(f"{labels}: no such folder of labels; check --labels")
    reading = reading or Reading()
    found = expanded(images, lambda folder: [str(path) for path in images_in(folder)])
    return [
        SceneInput(
            source, stem_of(source), partial(opened_fundus, source, labels, reading), png=True
        )
        for source in found
    ]


def aerial_input(source: str, label: Path | None, reading: Reading) -> SceneInput:
    """The input of a scene whose label is known."""
    return SceneInput(source, stem_of(source), partial(opened_scene, source, label, reading))


def fundus_input(sample: FundusSample, reading: Reading | None = None) -> SceneInput:
    """The input of a sample whose annotations are known; `reading` as in `fundus_inputs`."""
    opening = partial(opened_sample, sample, reading or Reading())
    return SceneInput(str(sample.image), sample.name, opening, png=True)


def rasters_in(folder: Path, extensions: Sequence[str] = SCENE_EXTENSIONS) -> list[str]:
    """The rasters of a folder by name."""
    return sorted(
        str(path)
        for path in folder.iterdir()
        if path.suffix.lower() in extensions and not path.name.startswith(".")
    )


def expanded(sources: Sequence[str], listing: Callable[[Path], list[str]]) -> list[str]:
    """Folders and globs replaced by what they hold; other names stay, be they there or not.

    A file that is not there is an error of that scene, not of the batch.
    """
    found: list[str] = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            inside = listing(path)
        elif glob.has_magic(source) and not path.exists():
            inside = sorted(glob.glob(source))
        else:
            inside = [source]
        if not inside:
            raise DataError(
                f"{source}: no images in it; give files of {', '.join(SCENE_EXTENSIONS)}"
            )
        found += [name for name in inside if name not in found]
    return found


def check_names(items: Sequence[SceneInput]) -> None:
    """Two scenes of one name would write to one folder.

    Raises:
        PipelineError: There are two.
    """
    seen: dict[str, str] = {}
    for item in items:
        if item.name in seen:
            raise PipelineError(
                f"{seen[item.name]} and {item.source} would both be written to {item.name}/; "
                "rename one, or run them with another --output"
            )
        seen[item.name] = item.source
