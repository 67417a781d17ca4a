"""What an earlier result says of the tiles and pixels of a scene, while it is open."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.inference.stepping.bands import CHANGE, DISAGREEMENT, STEPS, Bands
from pipelines.results.layout import STEP
from tiling.blend import NODATA, ONE, TOP
from tiling.grid import Grid
from tiling.readers.bands import CLASS_TYPES
from tiling.readers.files import open_scene
from tiling.scenes.resample import Resampling
from tiling.scenes.scene import FileScene
from tiling.store import Blended
from tiling.window import Window

Sources = Sequence[tuple[str, Sequence[int]]]
"""Rasters of levels, and which of their bands, counted from 0, follow each other."""


def sources_of(files: dict[str, Path], bands: Bands) -> Sources:
    """Where an earlier result keeps each of the bands that are blended."""
    classes = range(bands.classes)
    steps = [f"{STEP}{number + 1}" for number in range(bands.steps - 1)] + ["probability"]
    found: list[tuple[str, Sequence[int]]] = [(str(files[step]), classes) for step in steps]
    unsure = [name for name in (CHANGE, DISAGREEMENT) if name in bands.others]
    for name in bands.others:
        file, band = ("steps", 0) if name == STEPS else ("uncertainty", 1 + unsure.index(name))
        found.append((str(files[file]), [band]))
    return found


@dataclass(frozen=True)
class Ground:
    """The size of a scene as the network sees it, and as the user has it.

    Attributes:
        seen: Rows and columns.
        scene: Rows and columns.
    """

    seen: tuple[int, int]
    scene: tuple[int, int]

    @property
    def margin(self) -> int:
        """How far beyond a changed tile, in pixels seen, results may change at the most."""
        if self.seen == self.scene:
            return 0
        ratio = max(seen / scene for seen, scene in zip(self.seen, self.scene, strict=True))
        return ceil(4 * ratio) + 4

    def touched(self, tile: Window) -> Window:
        """A window of the scene with all pixels that a window of what is seen has a part in."""
        if self.seen == self.scene:
            return tile
        spans = []
        for start, stop, seen, scene in (
            (tile.row, tile.bottom, self.seen[0], self.scene[0]),
            (tile.column, tile.right, self.seen[1], self.scene[1]),
        ):
            beyond = ceil(scene / seen) + 1
            first = max(0, start * scene // seen - beyond)
            spans.append((first, min(scene, -(-stop * scene // seen) + beyond)))
        (top, bottom), (left, right) = spans
        return Window(top, left, bottom - top, right - left)


class KnownLevels:
    """An earlier result that is open; a `tiling.stitch.Known`.

    Args:
        grid: The tiles, as the network sees the scene.
        ground: Sizes of the scene.
        changed: Which tiles have other pixels than before [rows, columns].
        rasters: The open rasters of `Sources`, with their bands.
        probability: Which of all bands are those of the last step.
        refines: See `Known`.
    """

    def __init__(
        self,
        grid: Grid,
        ground: Ground,
        changed: NDArray[np.bool_],
        rasters: Sequence[tuple[FileScene, Sequence[int]]],
        probability: slice,
        *,
        refines: bool,
    ) -> None:
        self.refines = refines
        self._ground = ground
        self._rasters = rasters
        self._probability = probability
        self._changed = [
            tile for tile, new in zip(grid.tiles(), changed.ravel(), strict=True) if new
        ]
        self._all_new = bool(changed.all())
        self._are_changed = set(self._changed)
        self._back = Resampling(ground.scene, ground.seen)

    def taken(self, tile: Window) -> NDArray[np.uint16] | None:
        """See `Known`."""
        if tile in self._are_changed:
            return None
        levels = self._seen(tile)
        fixed: NDArray[np.uint16] = np.rint(levels * (ONE / TOP)).astype(np.uint16)
        fixed[levels == NODATA] = 0
        return fixed

    def start(self, tile: Window) -> NDArray[np.uint8]:
        """See `Known`."""
        return self._seen(tile)[self._probability]

    def over(self, blended: Blended, window: Window) -> Blended:
        """What was blended of a window of the scene, with what is as before taken over."""
        if self._all_new:
            return blended  # The earlier result may lie on the grid that the network sees.
        as_before = np.ones((window.height, window.width), bool)
        for tile in self._changed:
            touched = self._ground.touched(tile)
            if touched.meets(window):
                as_before[touched.intersection(window).slices(window)] = False
        if not as_before.any():
            return blended
        levels = np.where(as_before, self._scene(window), blended.levels)
        return Blended(levels, blended.probability)

    def _scene(self, window: Window) -> NDArray[np.uint8]:
        """Levels [bands, h, w] of a window of the scene."""
        found = []
        for raster, bands in self._rasters:
            pixels, valid = raster.read(window)
            levels = pixels[list(bands)]
            if levels.dtype.kind == "f":
                levels = np.rint(np.where(valid, levels, 0) * TOP).astype(np.uint8)
            levels[:, ~valid] = NODATA
            found.append(levels)
        return np.concatenate(found)

    def _seen(self, tile: Window) -> NDArray[np.uint8]:
        """Levels [bands, h, w] of a window of what the network sees."""
        if self._ground.seen == self._ground.scene:
            return self._scene(tile)
        levels = self._scene(self._back.source_window(tile))
        made, there = self._back(levels, (levels != NODATA).all(axis=0), tile)
        whole: NDArray[np.uint8] = np.where(there, np.rint(made), NODATA).astype(np.uint8)
        return whole


@contextmanager
def opened_levels(
    grid: Grid,
    ground: Ground,
    changed: NDArray[np.bool_],
    sources: Sources,
    probability: slice,
    *,
    refines: bool,
) -> Iterator[KnownLevels]:
    """Opens an earlier result; see `KnownLevels`."""
    with ExitStack() as stack:
        rasters = [
            (stack.enter_context(open_scene(path, bands=None, types=CLASS_TYPES)), bands)
            for path, bands in sources
        ]
        yield KnownLevels(grid, ground, changed, rasters, probability, refines=refines)
