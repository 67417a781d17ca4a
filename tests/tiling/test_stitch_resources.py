"""How much a stitching holds, reads and opens."""

import time
import weakref
from pathlib import Path

import pytest

from tests.tiling.stitching import GRID, OVERLAP, TILE, Constant, noise, stitched
from tiling.blend import Accumulator
from tiling.grid import Grid
from tiling.readers.raster import RasterScene
from tiling.scenes.scene import WrappedScene
from tiling.stitch import stitch


@pytest.mark.parametrize("part_size", [160, 208])
@pytest.mark.parametrize("lanes", [1, 2])
def test_at_most_two_parts_are_held(write_raster, tmp_path, monkeypatch, part_size, lanes):
    alive, most = weakref.WeakSet(), []

    class Remembered(Accumulator):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            alive.add(self)
            most.append(len(alive))

    monkeypatch.setattr("tiling.stitch.Accumulator", Remembered)
    grid = Grid(700, 700, TILE, OVERLAP)
    parts = grid.parts(part_size)
    assert len(parts) >= 16

    def write(blended, digest):
        time.sleep(0.02)  # A slow disk.

    with RasterScene(write_raster(tmp_path / "scene.tif", noise(700, 700))) as scene:
        stitch(scene, grid, parts, Constant(5, batch=2, lanes=lanes), write)
    assert len(most) == len(parts)
    assert max(most) == 2


def test_a_part_reads_each_of_its_pixels_once(scene):
    class Counting(WrappedScene):
        pixels = 0

        def read(self, window):
            self.pixels += window.pixels
            return self.scene.read(window)

    counting, parts = Counting(scene), GRID.parts(150)
    stitch(counting, GRID, parts, Constant(5), lambda blended, digest: None)
    assert counting.pixels == sum(part.extent.pixels for part in parts)


@pytest.mark.parametrize("readers", [1, 3])
def test_a_file_is_opened_once_for_each_thread_that_reads(write_raster, tmp_path, readers):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("open files are counted in /proc")
    path = write_raster(tmp_path / "scene.tif", noise(300, 300))
    with RasterScene(path) as scene:
        stitched(scene, Constant(5, lanes=2, readers=readers), tmp_path, part_size=64)
        opened = [handle for handle in handles.iterdir() if handle.resolve() == path.resolve()]
    # And once where its size was asked for.
    assert 2 <= len(opened) <= 1 + readers
