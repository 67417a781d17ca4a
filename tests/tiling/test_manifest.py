import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio.shutil

from tiling.errors import ManifestError, SinkError, TilingError
from tiling.fingerprint import fingerprint
from tiling.grid import Grid
from tiling.manifest import MANIFEST, PARTS, working
from tiling.scenes.raster import RasterScene
from tiling.stitch import stitch
from tiling.window import Window

SIDE = 700
SETTINGS = {"weights": ["roads abc"], "tile": 64, "overlap": 16, "threshold": 0.5, "aoi": None}
GRID = Grid(SIDE, SIDE, 64, 16)
PART_SIZE = 256
PARTS_OF_IT = [part.name for part in GRID.parts(PART_SIZE)]

SAMPLED, NOT_SAMPLED = (30, 20), (75, 78)
"""A pixel that the fingerprint's samples hold, and one that lies between them."""


class Echo:
    """Says of every pixel what its first band says."""

    bands, batch, lanes, readers = 1, 8, 1, 1

    def __call__(self, pixels, valid):
        return pixels[:, :1].astype(np.uint16) * np.uint16(257)


@pytest.fixture
def path(write_raster, tmp_path):
    return write_raster(tmp_path / "in" / "scene.tif", pixels_of_the_scene())


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


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


# Going on.


def test_a_result_is_made_once(path, out):
    assert run(path, out) == PARTS_OF_IT
    check_result(path, out)
    before = contents(out)
    assert run(path, out) == []
    assert contents(out) == before


def test_an_interrupted_run_goes_on_with_what_is_missing(path, out):
    interrupted(path, out, after=5)
    assert names(out) == [PARTS]
    with RasterScene(path) as scene, working(out, scene, GRID, SETTINGS, PART_SIZE, 1) as work:
        assert not work.finished
        assert [part.name for part in work.store.missing()] == PARTS_OF_IT[5:]
    assert run(path, out) == PARTS_OF_IT[5:]
    check_result(path, out)


def test_it_goes_on_however_often_it_is_interrupted(path, out):
    for after in (1, 3, 2):
        interrupted(path, out, after=after)
    assert run(path, out) == PARTS_OF_IT[6:]
    check_result(path, out)


def test_an_interrupted_run_and_a_whole_one_give_the_same_bytes(path, out, tmp_path):
    interrupted(path, out)
    run(path, out)
    run(path, tmp_path / "at once")
    assert (out / "levels.npy").read_bytes() == (tmp_path / "at once/levels.npy").read_bytes()
    assert (out / MANIFEST).read_bytes() == (tmp_path / "at once" / MANIFEST).read_bytes()


@pytest.mark.parametrize("part_size", [100, 1000])
def test_another_part_size_keeps_to_the_plan(path, out, part_size):
    interrupted(path, out, after=5)
    assert run(path, out, part_size=part_size) == PARTS_OF_IT[5:]
    check_result(path, out)
    assert run(path, out, part_size=part_size) == []


def test_parts_that_were_left_beside_a_finished_result_go(path, out):
    interrupted(path, out)
    left = contents(out / PARTS)
    run(path, out)
    (out / PARTS).mkdir()
    for file, content in left.items():
        file.write_bytes(content)
    assert run(path, out) == []
    check_result(path, out)


def test_what_a_killed_run_had_half_done_goes(path, out):
    interrupted(path, out)
    half_done = [".0-0.npz.0123abcd", f".{MANIFEST}.0123", "mask.tif.raw", "mask.tif.built"]
    for name in half_done:
        (out / PARTS / name).write_bytes(b"half of it")
    with RasterScene(path) as scene, working(out, scene, GRID, SETTINGS, PART_SIZE, 1):
        expected = [MANIFEST, *(f"{name}.npz" for name in PARTS_OF_IT[:5])]
        assert names(out / PARTS) == sorted(expected)


@pytest.mark.parametrize("make", [lambda file: file.unlink(), lambda file: os.truncate(file, 999)],
                         ids=["missing", "shortened"])  # fmt: skip
def test_a_result_that_is_not_whole_is_made_anew(path, out, make):
    run(path, out)
    make(out / "levels.npy")
    assert run(path, out) == PARTS_OF_IT
    check_result(path, out)


# Other settings.


@pytest.mark.parametrize("finished", [True, False])
def test_changed_settings_are_refused_by_name_with_both_values(path, out, finished):
    run(path, out) if finished else interrupted(path, out)
    before = contents(out)
    changed = SETTINGS | {"tile": 128, "weights": ["roads def"]}
    with pytest.raises(ManifestError) as caught:
        run(path, out, settings=changed)
    assert isinstance(caught.value, TilingError)
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert message.startswith(f"{out}: ")
    assert "tile 64 (now 128)" in message
    assert "weights ['roads abc'] (now ['roads def'])" in message
    assert "--overwrite" in message
    assert "overlap" not in message
    assert contents(out) == before
    assert run(path, out) == ([] if finished else PARTS_OF_IT[5:])


def test_a_setting_more_is_refused_unless_it_is_left_unset(path, out):
    run(path, out)
    with pytest.raises(ManifestError, match=r"gsd None \(now 0\.5\)"):
        run(path, out, settings=SETTINGS | {"gsd": 0.5})
    assert run(path, out, settings=SETTINGS | {"gsd": None}) == []


def test_settings_bind_only_where_something_was_computed(path, out):
    with RasterScene(path) as scene, working(out, scene, GRID, SETTINGS, PART_SIZE, 1):
        plan = (out / PARTS / MANIFEST).read_bytes()
    (out / PARTS).mkdir(parents=True)
    (out / PARTS / MANIFEST).write_bytes(plan)  # As if it had been killed.
    assert run(path, out, settings=SETTINGS | {"threshold": 0.7}) == PARTS_OF_IT


@pytest.mark.parametrize("finished", [True, False])
def test_overwrite_starts_afresh(path, out, finished):
    run(path, out) if finished else interrupted(path, out)
    (out / "notes.txt").write_text("mine")
    changed = SETTINGS | {"threshold": 0.7}
    assert run(path, out, settings=changed, overwrite=True) == PARTS_OF_IT
    assert json.loads((out / MANIFEST).read_text())["settings"] == changed
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    check_result(path, out)


def test_overwrite_takes_a_new_part_size(path, out):
    interrupted(path, out)
    assert len(run(path, out, part_size=1000, overwrite=True)) == 1


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"other": 1}', b"\xff\xfe\x00"])
def test_a_damaged_manifest_is_refused_by_name_but_for_overwrite(path, out, finished, content):
    run(path, out) if finished else interrupted(path, out)
    manifest = out / MANIFEST if finished else out / PARTS / MANIFEST
    manifest.write_bytes(content)
    before = contents(out)
    with pytest.raises(ManifestError) as caught:
        run(path, out)
    assert str(caught.value).startswith(f"{manifest}: ")
    assert "--overwrite" in str(caught.value)
    assert contents(out) == before
    assert run(path, out, overwrite=True) == PARTS_OF_IT
    check_result(path, out)


# Another input.


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


# One at a time, and nothing left behind.


def test_a_second_run_in_one_folder_is_refused(path, out):
    with (
        RasterScene(path) as scene,
        working(out, scene, GRID, SETTINGS, PART_SIZE, 1) as work,
    ):
        before = names(out / PARTS)
        for overwrite in (False, True):
            with pytest.raises(SinkError, match=rf"{out}: another run is writing there"):
                run(path, out, overwrite=overwrite)
        assert names(out / PARTS) == before
        assert len(work.store.missing()) == len(PARTS_OF_IT)
    assert run(path, out) == PARTS_OF_IT


AT_WORK = """
import sys, time
from pathlib import Path
from tests.tiling.test_manifest import GRID, PART_SIZE, SETTINGS, Echo
from tiling.manifest import working
from tiling.scenes.raster import RasterScene
from tiling.stitch import stitch

with RasterScene(sys.argv[1]) as scene:
    with working(Path(sys.argv[2]), scene, GRID, SETTINGS, PART_SIZE, 1) as work:
        stitch(scene, GRID, work.store.missing()[:3], Echo(), work.store.write)
        print("ready", flush=True)
        time.sleep(600)
"""


def test_a_killed_run_keeps_no_one_out(path, out):
    with subprocess.Popen(
        [sys.executable, "-c", AT_WORK, str(path), str(out)],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        try:
            assert other.stdout.readline() == "ready\n"
            with pytest.raises(SinkError, match="another run is writing there"):
                run(path, out)
        finally:
            other.send_signal(signal.SIGKILL)
    assert run(path, out) == PARTS_OF_IT[3:]
    check_result(path, out)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("there", [True, False])
def test_where_nothing_was_computed_nothing_is_left(path, out, error, there):
    folder = out if there else out / "scene"

    def nothing():
        with RasterScene(path) as scene, working(folder, scene, GRID, SETTINGS, PART_SIZE, 1):
            assert folder.is_dir()
            if error:
                raise error

    out.mkdir()
    (out / "notes.txt").write_text("mine")
    if error:
        with pytest.raises(error):
            nothing()
    else:
        nothing()
    assert names(out) == ["notes.txt"]


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(path, tmp_path):
    (tmp_path / "taken").write_text("a file")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "deeper"):
        with pytest.raises(SinkError) as caught:
            run(path, folder)
        assert str(caught.value).startswith(f"{folder}: cannot be written")
        assert "\n" not in str(caught.value)
    assert (tmp_path / "taken").read_text() == "a file"
