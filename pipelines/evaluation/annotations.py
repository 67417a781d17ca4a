"""The files that belong to a predicted raster: labels, field of view and image."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.config.evaluation import Evaluate
from pipelines.errors import LabelError
from pipelines.inputs.field_of_view import field_of_view
from pipelines.inputs.naming import FIELD, FIRST, SECOND, find_label, name_of
from pipelines.inputs.opening import FIELD_SEEN_AT
from pipelines.results.levels import RasterLevels, at_size
from tiling.scenes.files import open_scene
from tiling.window import Window


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
        if path is None:
            called = dict.fromkeys(name_of(pattern, name) for pattern in names)
            raise LabelError(
                f"{name}: no {what} of this name in {folder} ({', '.join(called)}); add "
                "or rename it, or score without this raster"
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


def within_field(
    opened: Callable[..., AbstractContextManager[RasterLevels]],
    field: Path,
    shape: tuple[int, int],
    raster: Path | str,
) -> AbstractContextManager[RasterLevels]:
    """Opens a raster that counts inside a field of view only."""
    levels: AbstractContextManager[RasterLevels] = opened(raster, field=field_of(field, shape))
    return levels


# Keeps the last one only: the fields of a large data set would fill the memory.
@lru_cache(maxsize=1)
def field_of(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A field of view [h, w]: read from a mask, or found in a photograph."""
    with open_scene(path, bands=None) as scene:
        if (scene.height, scene.width) != shape:
            raise LabelError(
                f"{path}: {scene.width} x {scene.height} pixels, but its image has "
                f"{shape[1]} x {shape[0]}; give the one made for this image"
            )
        pixels, _ = scene.overview(FIELD_SEEN_AT)
        if scene.bands >= 3 and not np.isin(pixels, (0, 255)).all():
            found: NDArray[np.bool_] = at_size(field_of_view(pixels[:3]), shape)
            return found
        if scene.dtype.kind == "f":
            raise LabelError(f"{path}: floats are no mask; give one of 0 and 255, or a photograph")
        pixels, valid = scene.read(Window(0, 0, *shape))
    mask: NDArray[np.bool_] = (pixels[0] > 0) & valid
    return mask
