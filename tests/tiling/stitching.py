"""Predictors of which one knows what comes out, and scenes stitched with them."""

import numpy as np

from tiling.blend import ONE
from tiling.grid import Grid
from tiling.stitch import stitch
from tiling.store import PartStore
from tiling.window import Window

TILE, OVERLAP = 64, 16


class Predictor:
    """What `stitch` asks of one; those below say what comes out."""

    bands = 1

    def __init__(self, batch=4, lanes=1, readers=1):
        self.batch, self.lanes, self.readers = batch, lanes, readers


class Constant(Predictor):
    """Says the same of every pixel."""

    def __init__(self, fixed, **options):
        super().__init__(**options)
        self.fixed = fixed

    def __call__(self, pixels, valid):
        return np.full((len(pixels), 1, *pixels.shape[-2:]), self.fixed, np.uint16)


class Echo(Predictor):
    """Says of every pixel what its first band says."""

    def __call__(self, pixels, valid):
        return pixels[:, :1].astype(np.uint16) * np.uint16(257)


class FromBorderToBorder(Predictor):
    """Rises from 0 at a tile's left border to 1 at its right one: neighbours disagree."""

    def __call__(self, pixels, valid):
        rise = np.linspace(0, ONE, pixels.shape[-1]).astype(np.uint16)
        return np.broadcast_to(rise, (len(pixels), 1, *pixels.shape[-2:]))


class OfTheWholeTile(Predictor):
    """Says of a pixel what depends on all of its tile, like group norm does."""

    bands = 2

    def __init__(self, **options):
        super().__init__(**options)
        self.batches = []

    def __call__(self, pixels, valid):
        self.batches.append(
            [(tile.copy(), there.copy()) for tile, there in zip(pixels, valid, strict=True)]
        )
        seen = np.where(valid[:, None], pixels, 0).astype(np.int64)
        of_tile = seen.sum(axis=(1, 2, 3), keepdims=True) * 7919
        return ((seen[:, :2] * 257 + of_tile) % (ONE + 1)).astype(np.uint16)

    @property
    def seen(self):
        return [tile for batch in self.batches for tile in batch]


def stitched(scene, predict, folder, *, part_size=4096, tile=TILE, overlap=OVERLAP, told=None):
    """The store of a scene whose parts have all been computed."""
    grid = Grid(scene.height, scene.width, tile, overlap)
    store = PartStore(folder, grid, grid.parts(part_size), predict.bands, raw=True)
    progress = (lambda tiles: None) if told is None else told.append
    stitch(scene, grid, store.parts, predict, store.write, progress=progress)
    assert store.missing() == []
    return store


def whole(scene):
    return Window(0, 0, scene.height, scene.width)


def levels_of(scene, predict, folder, **options):
    """The whole scene's levels."""
    return stitched(scene, predict, folder, **options).read(whole(scene)).levels


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (3, height, width)).astype(np.uint8)


def disc_missing(height, width):
    """Which pixels are there [h, w]: all but those of a disc."""
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(rows - 0.4 * height, columns - 0.5 * width) > 0.3 * min(height, width)


GRID = Grid(300, 300, TILE, OVERLAP)
