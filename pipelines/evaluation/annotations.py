"""The files that belong to a predicted raster: labels, field of view and image."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.config.evaluation import Evaluate
from pipelines.errors import LabelError
from pipelines.evaluation.predictions import holds_results
from pipelines.inputs.field_masks import check_field, read_field
from pipelines.inputs.field_of_view import field_remarks
from pipelines.inputs.naming import FIELD, FIRST, SECOND, find_label, name_of, passed_over
from pipelines.results.levels import RasterLevels, at_size
from tiling.errors import TilingError
from tiling.readers.files import open_scene
from tiling.scenes.scene import FileScene


@dataclass(frozen=True)
class Annotations:
    """The files that belong to a predicted raster.

    Attributes:
        label: It is scored against.
        second: The second observer's label.
        field: Mask of the field of view, or a photograph.
        image: Picture that the report shows.
    """

    label: Path
    second: Path | None = None
    field: Path | None = None
    image: Path | None = None


def annotations_of(name: str, raster: Path | str, config: Evaluate) -> Annotations:
    """Finds the files that belong to a predicted raster.

    Args:
        name: Of the scene.
        raster: Its predicted raster.
        config: The folders to look in.

    Raises:
        LabelError: There is no label, or no other file that was asked for but the image.
    """

    def wanted(folder: Path, what: str, names: Sequence[str], other_than: str | None) -> Path:
        path = find_label(folder, name, names, other_than)
        if path is None and holds_results(folder):
            raise LabelError(
                f"{name}: no {what} in {folder}, which holds the results of a run; give the folder "
                "of what was drawn, or both runs and that to compare them: "
                "rurnet evaluate A B --labels DRAWN"
            )
        if path is None:
            called = dict.fromkeys(name_of(pattern, name) for pattern in names)
            raise LabelError(
                f"{name}: no {what} of this name in {folder} ({', '.join(called)})"
                f"{passed_over(folder, name, names)}; add or rename it, or score without this "
                "raster"
            )
        return path

    label = wanted(config.labels, "label", FIRST, str(raster))
    second = field = image = None
    if config.second is not None:
        second = wanted(config.second, "second observer's label", SECOND, str(label))
    if config.fov is not None:
        field = wanted(config.fov, "field of view", FIELD, None)
    if config.images is not None:
        image = find_label(config.images, name, ("{stem}",))
    return Annotations(label, second, field, image)


def image_of(
    found: Annotations, raster: Path | str, name: str, shape: tuple[int, int]
) -> str | None:
    """The picture to show of a scene: as it is given, or what our own run predicted it from.

    Args:
        found: The files that belong to it.
        raster: Its predicted raster; the report of our own runs lies a folder above.
        name: Of the scene.
        shape: Rows and columns of the raster: an image of another size is another image.
    """
    if found.image is not None or not isinstance(raster, Path):
        return None if found.image is None else str(found.image)
    try:
        source = _inputs_of(raster.parent.parent / "report.json")[name]
        with open_scene(source, bands=None) as scene:
            return source if (scene.height, scene.width) == shape else None
    except (OSError, ValueError, LookupError, TypeError, TilingError):
        # Not of ours, or moved since: a picture is nothing to fail for.
        return None


@lru_cache(maxsize=2)
def _inputs_of(report: Path) -> dict[str, str]:
    """The input of each scene that a run's report names."""
    scenes = json.loads(report.read_text(encoding="utf-8"))["scenes"]
    return {str(scene["name"]): str(scene["input"]) for scene in scenes}


def within_field(
    opened: Callable[..., AbstractContextManager[RasterLevels]],
    found: Annotations,
    shape: tuple[int, int],
    raster: Path | str,
) -> AbstractContextManager[RasterLevels]:
    """Opens a raster that counts inside the field of view that belongs to it only."""
    assert found.field is not None
    field, _ = field_of(found.field, shape, found.image)
    levels: AbstractContextManager[RasterLevels] = opened(raster, field=field)
    return levels


# Keeps the last one only: the fields of a large data set would fill the memory.
@lru_cache(maxsize=1)
def field_of(
    path: Path, shape: tuple[int, int], image: Path | None = None
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """A field of view [h, w], and what a person should know of it, line by line.

    It is read from a mask, or found in a photograph.

    Args:
        path: The mask or the photograph.
        shape: Rows and columns that it must have.
        image: A picture that a mask should fit; None where there is none.

    Raises:
        DataError: It cannot be read, has another size, or cannot be a field of view.
    """
    field = read_field(path, shape)
    with ExitStack() as stack:
        shown = None if image is None else _photograph(stack, image, shape)
        remarks = (*field_remarks(str(path), field), *check_field(path, field.mask, shown))
    return at_size(field.mask, shape), remarks


def _photograph(stack: ExitStack, image: Path, shape: tuple[int, int]) -> FileScene | None:
    """A picture in which a field of view can be found; a report may show others."""
    try:
        opened = stack.enter_context(open_scene(image))
    except TilingError:
        return None
    return opened if (opened.height, opened.width) == shape else None


def clear_caches() -> None:
    """Forgets what was read."""
    field_of.cache_clear()
    _inputs_of.cache_clear()
