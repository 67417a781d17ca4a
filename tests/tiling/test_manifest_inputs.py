"""Inputs that changed since an earlier run: what is seen of it, and what is computed anew."""

import json
import os

import numpy as np
import pytest
import rasterio.shutil

from tests.tiling.interrupted_runs import (
    GRID,
    PART_SIZE,
    PARTS_OF_IT,
    SIDE,
    check_result,
    interrupted,
    names,
    pixels_of_the_scene,
    run,
)
from tiling.fingerprint import fingerprint
from tiling.grid import Grid
from tiling.manifest import MANIFEST, PARTS
from tiling.readers.raster import RasterScene
from tiling.window import Window

SAMPLED, NOT_SAMPLED = (30, 20), (75, 78)
"""A pixel that the fingerprint's samples hold, and one that lies between them."""


def with_pixel_changed(write_raster, path, pixel, *, keep_time=False):
    """Writes the scene again with one pixel changed, to a file of the same size."""
    before = path.stat()
    pixels = pixels_of_the_scene()
    pixels[(0, *pixel)] ^= 0x80
    write_raster(path, pixels)
    assert path.stat().st_size == before.st_size
    later = 0 if keep_time else 10**9
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + later))


def parts_at(pixel):
    parts = GRID.parts(PART_SIZE)
    return [part.name for part in parts if part.extent.meets(Window(*pixel, 1, 1))]


@pytest.mark.parametrize("finished", [True, False])
def test_a_touched_file_is_neither_refused_nor_computed_anew(path, out, finished):
    run(path, out) if finished else interrupted(path, out)
    os.utime(path, (1, 1))
    assert run(path, out) == ([] if finished else PARTS_OF_IT[5:])
    check_result(path, out)
    with RasterScene(path) as scene:
        # Noted, so that the next run need not look closer again.
        assert json.loads((out / MANIFEST).read_text())["input"] == fingerprint(scene)


@pytest.mark.parametrize(
    ("pixel", "keep_time"), [(SAMPLED, False), (NOT_SAMPLED, False), (SAMPLED, True)],
    ids=["seen by samples and time", "seen by time alone", "seen by samples alone"],
)  # fmt: skip
class TestChangedPixels:
    def test_only_parts_that_hold_them_are_computed_anew(
        self, write_raster, path, out, pixel, keep_time
    ):
        interrupted(path, out, after=7)
        with_pixel_changed(write_raster, path, pixel, keep_time=keep_time)
        touched = parts_at(pixel)
        assert 1 <= len(touched) < 7
        again = run(path, out)
        assert sorted(again) == sorted([*touched, *PARTS_OF_IT[7:]])
        check_result(path, out)

    def test_a_finished_result_is_made_anew(self, write_raster, path, out, pixel, keep_time):
        run(path, out)
        with_pixel_changed(write_raster, path, pixel, keep_time=keep_time)
        assert run(path, out) == PARTS_OF_IT
        check_result(path, out)

    def test_what_is_of_the_old_pixels_is_gone_before_the_new_ones_are_there(
        self, write_raster, path, out, pixel, keep_time
    ):
        run(path, out)
        with_pixel_changed(write_raster, path, pixel, keep_time=keep_time)
        interrupted(path, out, after=1)
        assert names(out) == [PARTS]


def test_samples_and_time_see_what_the_tests_above_say(write_raster, path):
    with RasterScene(path) as scene:
        before = fingerprint(scene)
    for pixel, keep_time in ((NOT_SAMPLED, True), (SAMPLED, True), (NOT_SAMPLED, False)):
        with_pixel_changed(write_raster, path, pixel, keep_time=keep_time)
        with RasterScene(path) as scene:
            now = fingerprint(scene)
        assert (now["samples"] != before["samples"]) == (pixel == SAMPLED)
        assert (now["files"] != before["files"]) == (not keep_time)
        with_pixel_changed(write_raster, path, pixel, keep_time=True)
        os.utime(path, ns=(before["files"][str(path)][1], before["files"][str(path)][1]))


def test_a_change_of_what_a_vrt_is_made_of_is_noticed(write_raster, path, tmp_path):
    vrt = tmp_path / "scene.vrt"
    rasterio.shutil.copy(path, vrt, driver="VRT")
    with RasterScene(vrt) as scene:
        before = fingerprint(scene)
    with_pixel_changed(write_raster, path, NOT_SAMPLED, keep_time=False)
    with RasterScene(vrt) as scene:
        now = fingerprint(scene)
    assert now["samples"] == before["samples"]
    assert now["files"] != before["files"]


def test_samples_see_a_pixel_that_is_no_longer_there(write_raster, tmp_path):
    valid, samples = np.ones((SIDE, SIDE), bool), []
    for name in ("before.tif", "after.tif"):
        write_raster(tmp_path / name, pixels_of_the_scene(), nodata_kind="mask", valid=valid)
        with RasterScene(tmp_path / name) as scene:
            samples.append(fingerprint(scene)["samples"])
        valid[SAMPLED] = False
    assert samples[0] != samples[1]


@pytest.mark.parametrize("finished", [True, False])
def test_a_scene_of_another_size_starts_afresh(write_raster, path, out, finished):
    run(path, out) if finished else interrupted(path, out)
    write_raster(path, pixels_of_the_scene()[:, :300, :500])
    grid = Grid(300, 500, 64, 16)
    assert run(path, out) == [part.name for part in grid.parts(PART_SIZE)]
    check_result(path, out)


def test_a_mask_counts_as_pixels(write_raster, path, out):
    valid = np.ones((SIDE, SIDE), bool)
    write_raster(path, pixels_of_the_scene(), nodata_kind="mask", valid=valid)
    interrupted(path, out, after=7)
    valid[NOT_SAMPLED] = False
    write_raster(path, pixels_of_the_scene(), nodata_kind="mask", valid=valid)
    again = run(path, out)
    assert sorted(again) == sorted([*parts_at(NOT_SAMPLED), *PARTS_OF_IT[7:]])
    assert np.load(out / "levels.npy")[0][NOT_SAMPLED] == 255
