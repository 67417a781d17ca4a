"""Errors of predictors, scenes and disks come out of a stitching as themselves."""

import threading

import pytest

from tests.tiling.stitching import GRID, Constant, noise, stitched
from tiling.errors import SceneError, SinkError
from tiling.readers.raster import RasterScene
from tiling.stitch import stitch


class Failing(Constant):
    """Cannot go on after some batches."""

    def __init__(self, after, error):
        super().__init__(5, batch=2, lanes=2, readers=2)
        self.left, self.error = after, error

    def __call__(self, pixels, valid):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().__call__(pixels, valid)


@pytest.mark.parametrize("after", [0, 3, 17])
@pytest.mark.parametrize("kind", [MemoryError, KeyboardInterrupt])
def test_an_error_of_the_predictor_comes_out_as_itself(scene, after, kind):
    error = kind("no memory left")
    before = threading.active_count()
    with pytest.raises(kind) as caught:
        stitch(scene, GRID, GRID.parts(100), Failing(after, error), lambda blended, digest: None)
    assert caught.value is error
    assert threading.active_count() == before


@pytest.mark.parametrize("after", [0, 2, 8])
def test_an_error_in_writing_comes_out_as_itself(scene, after):
    error, written = SinkError("part.npz: the disk is full"), []

    def write(blended, digest):
        if len(written) == after:
            raise error
        written.append(blended.part)

    parts = GRID.parts(112)
    before = threading.active_count()
    assert len(parts) == 9
    with pytest.raises(SinkError) as caught:
        stitch(scene, GRID, parts, Constant(5, lanes=2, readers=2), write)
    assert caught.value is error
    assert threading.active_count() == before


def test_an_error_in_telling_progress_comes_out_as_itself(scene):
    error = KeyboardInterrupt()

    def progress(tiles):
        raise error

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt) as caught:
        stitch(
            scene, GRID, GRID.parts(112), Constant(5, lanes=2), lambda blended, digest: None,
            progress=progress,
        )  # fmt: skip
    assert caught.value is error
    assert threading.active_count() == before


@pytest.mark.parametrize("readers", [1, 3])
def test_pixels_that_cannot_be_read_are_an_error_of_the_scene(write_raster, tmp_path, readers):
    path = write_raster(tmp_path / "cut.tif", noise(300, 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = threading.active_count()
    with pytest.raises(SceneError, match=r"cut\.tif"), RasterScene(path) as scene:
        stitched(scene, Constant(5, lanes=2, readers=readers), tmp_path)
    assert threading.active_count() == before


def test_no_thread_is_left_when_all_went_well(scene, tmp_path):
    before = threading.active_count()
    stitched(scene, Constant(5, lanes=2, readers=3), tmp_path, part_size=100)
    assert threading.active_count() == before
