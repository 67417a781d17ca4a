"""Whether an image that is trained on chooses or tests the weights too, under whatever name."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from pipelines.errors import DataError
from pipelines.inputs.scene_input import SceneInput
from pipelines.training.splits import Split
from tiling.readers.files import open_scene
from tiling.scenes.scene import FileScene
from tiling.window import Window

_ROWS = 16
"""Rows in the middle of an image that tell most images apart."""

_ROWS_AT_ONCE = 512

_TRAINED_ON, _CHOOSING, _TEST = "trained on", "held out to choose the weights", "a test image"


def check_apart(splits: Sequence[Split], tests: Sequence[SceneInput]) -> None:
    """Checks that no image has two roles in a training, going by pixels and not by names.

    Only the middle of each image is read, and all of those that are alike there.

    Raises:
        DataError: One image is trained on, and chooses or tests the weights; or it does both of
            these. Its scores would be those of a network that has seen it.
        SceneError: An image cannot be read.
    """
    keys: dict[str, str] = {}
    for split in splits:
        seen: dict[str, list[tuple[str, str]]] = {}
        for role, items in (
            (_TRAINED_ON, [one.scene_input for one in split.kept]),
            (_CHOOSING, [one.scene_input for one in split.held_out]),
            (_TEST, tests),
        ):
            for source in (item.source for item in items):
                if source not in keys:
                    keys[source] = _key(source)
                alike = seen.setdefault(keys[source], [])
                for other, as_what in alike:
                    if as_what != role and _same_pixels(source, other):
                        raise DataError(
                            f"{source}: {role}, but its pixels are those of {other}, which is "
                            f"{as_what}, so its scores would be flattered; take one of the two "
                            "away, or the folder that holds it"
                        )
                alike.append((source, role))


def _key(source: str) -> str:
    """What images of the same pixels have in common, and few others."""
    with open_scene(source, bands=None) as scene:
        rows = min(_ROWS, scene.height)
        pixels, _ = scene.read(Window((scene.height - rows) // 2, 0, rows, scene.width))
    digest = hashlib.sha256(repr((scene.height, pixels.shape, str(pixels.dtype))).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _same_pixels(source: str, other: str) -> bool:
    """Whether two images of one key have the same pixels, and not one value everywhere."""
    found = set()
    with open_scene(source, bands=None) as one, open_scene(other, bands=None) as another:
        for window in _strips(one):
            (pixels, _), (others, _) = one.read(window), another.read(window)
            if not np.array_equal(pixels, others):
                return False
            found |= {pixels.min().item(), pixels.max().item()}
    return len(found) > 1


def _strips(scene: FileScene) -> Iterable[Window]:
    for first in range(0, scene.height, _ROWS_AT_ONCE):
        yield Window(first, 0, min(_ROWS_AT_ONCE, scene.height - first), scene.width)
