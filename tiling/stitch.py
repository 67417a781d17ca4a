"""From a scene to its parts: read tiles, have them predicted, blend.

The next batch is read while the last one is predicted. What predicts is handed in.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiling.blend import Accumulator
from tiling.grid import Grid
from tiling.scene import Scene
from tiling.window import Window

Pixel = TypeVar("Pixel", bound=np.generic)


class TilePredictor(Protocol):
    """What turns tiles into probabilities.

    A tile's result must not depend on its place in the batch or on the batch's size.
    """

    @property
    def classes(self) -> int:
        """Foreground classes it returns."""
        ...

    def __call__(self, pixels: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """Pixels [b, bands, t, t] and validity [b, t, t] to 16-bit levels [b, classes, t, t]."""
        ...


@dataclass(frozen=True)
class TileBatch:
    """Tiles read together.

    Attributes:
        windows: Where they lie in the scene.
        pixels: [b, bands, t, t]; a scene smaller than a tile is reflected.
        valid: Which pixels are there [b, t, t].
        skipped: Tiles passed over since the last batch because none of their pixels is there.
    """

    windows: list[Window]
    pixels: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    skipped: int


def stitch(
    scene: Scene,
    grid: Grid,
    parts: Sequence[Window],
    predict: TilePredictor,
    *,
    batch: int,
    progress: Callable[[int], None] = lambda tiles: None,
) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    """Predicts the parts of a scene, one after the other.

    Args:
        scene: Where pixels come from.
        grid: Its tiles.
        parts: Rectangles of final pixels.
        predict: What turns tiles into probabilities.
        batch: Tiles predicted at once.
        progress: Told how many tiles were done or skipped, each time some were.

    Yields:
        Each part and its levels [classes, h, w], 0 to 254, 255 where no pixel is.

    Raises:
        SceneError: Pixels cannot be read.
    """
    # One thread for all parts: a scene opens its file anew for every thread that reads.
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        for part in parts:
            blended = Accumulator(grid, part, predict.classes)
            for tiles in _read_ahead(reader, _batches(scene, grid, part, batch)):
                if tiles.windows:
                    predicted = predict(tiles.pixels, tiles.valid)
                    for window, levels, valid in zip(
                        tiles.windows, predicted, tiles.valid, strict=True
                    ):
                        blended.add(window, levels, valid)
                progress(len(tiles.windows) + tiles.skipped)
            yield part, blended.levels()


def _batches(scene: Scene, grid: Grid, part: Window, batch: int) -> Iterator[TileBatch]:
    """Reads the tiles that meet a part, in full batches; the last one may be smaller."""
    windows: list[Window] = []
    pixels: list[NDArray[np.uint8]] = []
    masks: list[NDArray[np.bool_]] = []
    skipped = 0
    for window in grid.tiles(part):
        read, valid = scene.read(window)
        if not valid.any():
            skipped += 1
            continue
        windows.append(window)
        pixels.append(_reflected(read, grid.tile))
        masks.append(_reflected(valid, grid.tile))
        if len(windows) == batch:
            yield TileBatch(windows, np.stack(pixels), np.stack(masks), skipped)
            windows, pixels, masks, skipped = [], [], [], 0
    if windows:
        yield TileBatch(windows, np.stack(pixels), np.stack(masks), skipped)
    elif skipped:
        nothing = np.zeros((0, scene.bands, grid.tile, grid.tile), np.uint8)
        yield TileBatch([], nothing, nothing[:, 0].astype(bool), skipped)


def _reflected(array: NDArray[Pixel], tile: int) -> NDArray[Pixel]:
    """Fills up to [..., tile, tile] by reflection below and to the right."""
    height, width = array.shape[-2:]
    if height == tile and width == tile:
        return array
    margins = [(0, 0)] * (array.ndim - 2) + [(0, tile - height), (0, tile - width)]
    return np.pad(array, margins, mode="symmetric")


def _read_ahead(reader: ThreadPoolExecutor, batches: Iterator[TileBatch]) -> Iterator[TileBatch]:
    """The same, each read in the reader's thread while the one before is in use."""
    coming = reader.submit(next, batches, None)
    while (tiles := coming.result()) is not None:
        coming = reader.submit(next, batches, None)
        yield tiles
