"""Runs that go on where others ended, one at a time, and leave nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.tiling.interrupted_runs import (
    GRID,
    PART_SIZE,
    PARTS_OF_IT,
    SETTINGS,
    check_result,
    contents,
    interrupted,
    names,
    run,
)
from tiling.errors import SinkError
from tiling.manifest import MANIFEST, PARTS, working
from tiling.readers.raster import RasterScene

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


@pytest.mark.parametrize("ended", [False, True])
def test_a_file_beside_the_results_that_a_killed_run_had_half_written_goes(path, out, ended):
    (run if ended else interrupted)(path, out)
    half_done = out / f".probability.qml.{uuid4().hex}"
    others = [out / name for name in (".notes", "notes.0123456789abcdef0123456789abcdef")]
    for file in (half_done, *others):
        file.write_bytes(b"half of it")
    run(path, out)
    assert not half_done.exists()
    assert all(file.exists() for file in others)


@pytest.mark.parametrize("make", [lambda file: file.unlink(), lambda file: os.truncate(file, 999)],
                         ids=["missing", "shortened"])  # fmt: skip
def test_a_result_that_is_not_whole_is_made_anew(path, out, make):
    run(path, out)
    make(out / "levels.npy")
    assert run(path, out) == PARTS_OF_IT
    check_result(path, out)


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
from uuid import uuid4
from tests.tiling.interrupted_runs import GRID, PART_SIZE, SETTINGS
from tests.tiling.stitching import Echo
from tiling.manifest import working
from tiling.readers.raster import RasterScene
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
