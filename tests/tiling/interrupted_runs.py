"""Runs over a scene that may be interrupted, and what they leave."""

import numpy as np
import pytest

from tests.tiling.stitching import Echo
from tiling.grid import Grid
from tiling.manifest import MANIFEST, working
from tiling.readers.raster import RasterScene
from tiling.stitch import stitch
from tiling.window import Window

SIDE = 700
SETTINGS = {"weights": ["roads abc"], "tile": 64, "overlap": 16, "threshold": 0.5, "aoi": None}
GRID = Grid(SIDE, SIDE, 64, 16)
PART_SIZE = 256
PARTS_OF_IT = [part.name for part in GRID.parts(PART_SIZE)]


def pixels_of_the_scene():
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE)).astype(np.uint8)


def run(path, out, *, stop_after=None, part_size=PART_SIZE, settings=SETTINGS, **options):
    """Makes `levels.npy` of a scene, or what is missing of it; returns the parts it computed.

    With `stop_after` it ends like one that was killed, but for the lock, after so many parts.
    """
    computed = []
    with RasterScene(path) as scene:
        grid = Grid(scene.height, scene.width, 64, 16)
        with working(out, scene, grid, settings, part_size, 1, **options) as work:

            def write(blended, digest):
                if len(computed) == stop_after:
                    raise KeyboardInterrupt
                work.store.write(blended, digest)
                computed.append(blended.part.name)

            if not work.finished:
                stitch(scene, grid, work.store.missing(), Echo(), write)
                result = out / "levels.npy"
                np.save(result, work.store.read(Window(0, 0, scene.height, scene.width)).levels)
                work.finish({"levels": result})
    return computed


def interrupted(path, out, after=5, **options):
    with pytest.raises(KeyboardInterrupt):
        run(path, out, stop_after=after, **options)


def check_result(path, out):
    """That what was made is what the scene's first band says, and nothing else is there."""
    with RasterScene(path) as scene:
        pixels, _ = scene.read(Window(0, 0, scene.height, scene.width))
    levels = np.load(out / "levels.npy")[0]
    assert abs(levels - pixels[0] / 255 * 254).max() <= 0.5
    assert names(out) == ["levels.npy", MANIFEST]


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def contents(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
