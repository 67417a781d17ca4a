"""Whether an image that is trained on chooses or tests the weights too, under whatever name."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.inputs.normalisation import on_8_bits
from pipelines.inputs.scene_input import SceneInput
from pipelines.training.splits import Split
from tiling.readers.files import open_scene
from tiling.scenes.scene import FileScene
from tiling.window import Window

_LOG = logging.getLogger("rurnet")

_ROWS = 16
"""Rows in the middle of an image that tell most images apart."""

_ROWS_AT_ONCE = 512

_MIDDLE = 256
"""Side, in pixels, of the middle of an image in which copies are looked for that are not exact."""

_CELLS = 32
"""Cells along a side of that middle, whose means are compared: they outlive a JPEG."""

_ALIKE = 0.98
"""Correlation of these means from which on two images are told of as one. JPEGs of quality 50 have
at least 0.994 with what they were made of, those of HRF's large photographs 0.97; no two images of
Massachusetts Roads, SpaceNet 3, CHASE_DB1 and HRF, neighbours and both eyes of a person among them,
have more than 0.96."""

_FLAT = 2.0
"""Standard deviation of the means, on the scale of 8 bits, below which images are all alike."""

_TRAINED_ON, _CHOOSING, _TEST = "trained on", "held out to choose the weights", "a test image"


@dataclass(frozen=True, eq=False)
class _Middle:
    """What of an image outlives a copy with loss.

    Attributes:
        shape: Rows, columns and bands.
        means: See `_means`.
    """

    shape: tuple[int, int, int]
    means: NDArray[np.float32] | None


def check_apart(splits: Sequence[Split], tests: Sequence[SceneInput]) -> None:
    """Checks that no image has two roles in a training, going by pixels and not by names.

    Only the middle of each image is read, and all of those that are alike there. Images that are
    nearly alike, as saved anew with loss, are named in the log.

    Raises:
        DataError: One image is trained on, and chooses or tests the weights; or it does both of
            these. Its scores would be those of a network that has seen it.
        SceneError: An image cannot be read.
    """
    keys: dict[str, str] = {}
    middles: dict[str, _Middle] = {}
    told: dict[str, None] = {}
    for split in splits:
        roles: dict[str, str] = {}
        seen: dict[str, list[tuple[str, str]]] = {}
        for role, items in (
            (_TRAINED_ON, [one.scene_input for one in split.kept]),
            (_CHOOSING, [one.scene_input for one in split.held_out]),
            (_TEST, tests),
        ):
            for source in (item.source for item in items):
                if source not in keys:
                    keys[source], middles[source] = _looked_at(source)
                roles[source] = role
                alike = seen.setdefault(keys[source], [])
                for other, as_what in alike:
                    if as_what != role and _same_pixels(source, other):
                        raise DataError(
                            f"{source}: {role}, but its pixels are those of {other}, which is "
                            f"{as_what}, so its scores would be flattered; take one of the two "
                            "away, or the folder that holds it"
                        )
                alike.append((source, role))
        for line in _nearly_alike(roles, middles):
            told[line] = None
    for line in told:
        _LOG.warning("%s", line)


def _nearly_alike(roles: Mapping[str, str], middles: Mapping[str, _Middle]) -> Iterator[str]:
    """A line for each two images of different roles that look like copies of one."""
    for (source, role), (other, as_what) in combinations(roles.items(), 2):
        if role == as_what:
            continue
        one, another = middles[source], middles[other]
        if one.shape != another.shape or one.means is None or another.means is None:
            continue
        if float(one.means @ another.means) > _ALIKE:
            yield (
                f"{other}: {as_what}, but looks like a copy of {source}, which is {role}; if it is "
                "one, its scores are flattered: take one of the two away"
            )


def _looked_at(source: str) -> tuple[str, _Middle]:
    """What images of the same pixels have in common, and few others; and the middle of one."""
    with open_scene(source, bands=None) as scene:
        middle = _Middle((scene.height, scene.width, scene.bands), _means(scene))
        rows = min(_ROWS, scene.height)
        pixels, _ = scene.read(Window((scene.height - rows) // 2, 0, rows, scene.width))
    digest = hashlib.sha256(repr((scene.height, pixels.shape, str(pixels.dtype))).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest(), middle


def _means(scene: FileScene) -> NDArray[np.float32] | None:
    """Means of the cells in the middle, centred and of length 1; None where it is flat or small."""
    side = min(_MIDDLE, scene.height, scene.width)
    if side < _CELLS:
        return None
    window = Window((scene.height - side) // 2, (scene.width - side) // 2, side, side)
    pixels, _ = scene.read(window)
    edges = np.arange(_CELLS) * side // _CELLS
    sums = np.add.reduceat(np.add.reduceat(on_8_bits(pixels), edges, axis=1), edges, axis=2)
    sizes = np.diff(np.append(edges, side))
    means = sums / (sizes[:, None] * sizes)
    means -= means.mean(axis=(1, 2), keepdims=True)
    if means.std() < _FLAT:
        return None
    flat: NDArray[np.float32] = (means / np.linalg.norm(means)).ravel().astype(np.float32)
    return flat


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
