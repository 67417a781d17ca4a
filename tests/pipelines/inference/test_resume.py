"""Runs that are killed, or find the disk full, and the runs that go on where they stopped.

Real processes and real signals. Moments are told by what is on the disk, never by a clock.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from pipelines.datasets.synthetic import write_road_scene
from tests.pipelines.inference.commands import (
    CUT,
    PART_BYTES,
    PARTS,
    RASTERS,
    SMALL,
    Command,
    Ended,
    finished,
    parts,
    rasters,
    run,
    written,
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    write_road_scene(folder / "scene.tif", None, size=560, seed=3)
    return folder / "scene.tif"


@pytest.fixture(scope="module")
def words(scene, roads_weights) -> tuple[object, ...]:
    """The command line of all runs here."""
    return (scene, "--model", roads_weights, *SMALL)


@pytest.fixture(scope="module")
def unbroken(words, tmp_path_factory) -> dict[str, bytes]:
    """The rasters of a run that nothing happens to, in one part."""
    folder = tmp_path_factory.mktemp("unbroken")
    run(folder, *words, "--output", "out")
    return rasters(folder / "out/scene")


@pytest.fixture(scope="module")
def killed(words, tmp_path_factory) -> Path:
    """A folder in which a run was killed with part of the parts done."""
    folder = tmp_path_factory.mktemp("killed")
    with Command(folder, *words, *CUT, "--output", "out") as command:
        command.wait_until(lambda: len(parts(folder / "out/scene")) >= 12)
        assert command.send(signal.SIGKILL) == -signal.SIGKILL
    return folder


@pytest.fixture
def broken_off(killed, tmp_path) -> Path:
    """A copy of it."""
    shutil.copytree(killed / "out", tmp_path / "out")
    return tmp_path


def test_the_rasters_compared_with_here_are_whole(unbroken, tmp_path):
    assert set(unbroken) == set(RASTERS)
    for name, content in unbroken.items():
        (tmp_path / name).write_bytes(content)
        assert cog_validate(tmp_path / name, strict=True, quiet=True)[0]


# Kills.


Moment = Callable[[Path], bool]


def reached(count: int, random: random.Random) -> Moment:
    """The moment at which so many parts are whole and this run has made one, or a little later."""
    before: list[int] = []

    def moment(result: Path) -> bool:
        if not before:
            before.append(len(parts(result)))  # As the run begins.
        there = len(parts(result)) >= max(count, before[0] + 1)
        if there:
            time.sleep(random.uniform(0, 0.01))
        return there

    return moment


def visible(pattern: str) -> Moment:
    """The moment at which a file is there."""
    return lambda result: any(result.glob(pattern))


def kill_and_resume(
    folder: Path,
    words: tuple[object, ...],
    moments: list[Moment],
    expected: dict[str, bytes],
    afresh: bool = False,
) -> None:
    """Runs a command, kills it at each moment and runs it again, in the end to its end.

    At no time a raster is visible that is not whole, and no part that is whole is written again.
    """
    result = folder / "out/scene"
    words = (*words, *CUT, "--output", "out")
    before: dict[str, tuple[int, int]] = {}

    def look() -> None:
        assert rasters(result).items() <= expected.items()
        with suppress(FileNotFoundError):
            json.loads((result / "manifest.json").read_text())

    for moment in moments:
        with Command(folder, *words, afresh=afresh) as command:
            command.wait_until(lambda moment=moment: moment(result), look)
            assert command.send(signal.SIGKILL) == -signal.SIGKILL
        look()
        if (result / "manifest.json").exists():
            break  # It was done, and was clearing up.
        assert before.items() <= parts(result).items()
        assert len(before) < len(parts(result)) or len(before) == PARTS
        before = parts(result)
    with Command(folder, *words, afresh=afresh) as command:
        with suppress(Ended):
            command.wait_until(lambda: False, look)
        assert command.end() == 0, command.errors
    assert f"{len(before)} of {PARTS} parts were there already" in command.errors
    assert finished(result, expected)


def test_a_run_killed_three_times_gives_the_bytes_of_one_that_was_not(words, unbroken, tmp_path):
    chance = random.Random(1)
    counts = sorted(chance.sample(range(1, PARTS - 8), 2))
    moments = [*(reached(count, chance) for count in counts), visible(".parts/*.raw")]
    kill_and_resume(tmp_path, words, moments, unbroken)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_a_run_killed_at_any_moment_gives_the_same_bytes(words, unbroken, tmp_path, seed):
    chance = random.Random(seed)
    counts = sorted(chance.sample(range(1, PARTS - 8), 5))
    stages = (".parts/*.raw", ".parts/*.built", "probability.tif", "mask.tif")
    moments = [reached(count, chance) for count in counts] + [visible(name) for name in stages]
    kill_and_resume(tmp_path, words, moments, unbroken, afresh=seed == 2)


@pytest.mark.soak
def test_a_run_killed_while_it_clears_up_is_done(words, unbroken, tmp_path):
    words = (*words, *CUT, "--output", "out")
    with Command(tmp_path, *words) as command:
        command.wait_until(lambda: (tmp_path / "out/scene/manifest.json").exists())
        assert command.send(signal.SIGKILL) == -signal.SIGKILL
    done = written(tmp_path / "out/scene", "*.*")
    assert {*RASTERS, "manifest.json"} <= set(done)
    run(tmp_path, *words)
    assert written(tmp_path / "out/scene", "*.tif").items() <= done.items()
    assert finished(tmp_path / "out/scene", unbroken)


def test_a_batch_killed_in_its_second_scene_goes_on_there(roads_weights, tmp_path):
    for seed, name in enumerate("abc"):
        write_road_scene(tmp_path / f"in/{name}.tif", None, size=300, seed=seed)
    words = ("in", "--model", roads_weights, *SMALL)
    run(tmp_path, *words, "--output", "unbroken")
    words = (*words, *CUT, "--output", "out")
    with Command(tmp_path, *words) as command:
        command.wait_until(lambda: len(parts(tmp_path / "out/b")) >= 3)
        assert command.send(signal.SIGKILL) == -signal.SIGKILL
    done = written(tmp_path / "out/a", "*")
    assert rasters(tmp_path / "out/b") == {}
    assert not (tmp_path / "out/c").exists()
    again = run(tmp_path, *words)
    assert "b: predicted in" in again.errors
    assert "parts were there already" in again.errors
    assert written(tmp_path / "out/a", "*") == done
    for name in "abc":
        assert finished(tmp_path / "out" / name, rasters(tmp_path / "unbroken" / name))
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert [scene["name"] for scene in report["scenes"]] == ["a", "b", "c"]


# Runs that go on in another way.


def test_another_cut_and_batch_go_on_with_what_is_there(broken_off, words, unbroken):
    there = len(parts(broken_off / "out/scene"))
    again = run(broken_off, *words, "--part-size", "300", "--batch", "9", "--output", "out")
    assert f"{there} of {PARTS} parts were there already" in again.errors
    assert finished(broken_off / "out/scene", unbroken)


def test_another_tile_is_refused_by_name_and_nothing_is_lost(broken_off, words):
    before = parts(broken_off / "out/scene")
    words = ["128" if word == "64" else word for word in words]
    with Command(broken_off, *words, *CUT, "--output", "out") as command:
        assert command.end() == 1
    [line] = command.error_lines
    assert "tile 64 (now 128)" in line
    assert "--overwrite" in line
    assert "Traceback" not in command.errors
    assert parts(broken_off / "out/scene") == before


def test_changed_pixels_are_computed_anew_and_no_others(broken_off, scene, words):
    """The corner above and to the left of the second tiles is seen by one part only."""
    before = parts(broken_off / "out/scene")
    shutil.copy(scene, broken_off)
    words = ("scene.tif", *words[1:], *CUT)
    with rasterio.open(broken_off / "scene.tif", "r+") as raster:
        corner = ((0, 20), (0, 20))
        raster.write(255 - raster.read(window=corner), window=corner)
    run(broken_off, *words, "--output", "fresh")
    # Stopped before the rasters, while the parts can still be looked at.
    with Command(broken_off, *words, "--output", "out", largest_file=PART_BYTES) as command:
        assert command.end() == 1
    after = parts(broken_off / "out/scene")
    assert len(after) == PARTS
    assert {name for name, there in before.items() if after[name] != there} == {"0-0.npz"}
    run(broken_off, *words, "--output", "out")
    assert finished(broken_off / "out/scene", rasters(broken_off / "fresh/scene"))


# No space.


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 5 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def leave_free(folder: Path, count: int) -> Path:
    """Fills a file system with a file until so many bytes are free."""
    stat = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(stat.f_bavail * stat.f_frsize - count))
    return ballast


def check_refusal(command: Command, named: str) -> None:
    """Status 1, and what is said: which file, and what to do."""
    assert command.end() == 1, command.errors
    said = command.errors.splitlines()
    assert any(named in line and "free some space" in line for line in said), said
    assert command.error_lines
    assert all("free some space" in line for line in command.error_lines)
    assert "Traceback" not in command.errors


@pytest.mark.parametrize(
    ("free", "named"),
    [
        pytest.param(600_000, ".npz: ", id="parts"),
        pytest.param(PARTS * PART_BYTES + 300_000, ".tif: ", id="rasters", marks=pytest.mark.soak),
    ],
)
def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_space(
    small_disk, words, unbroken, tmp_path, free, named
):
    ballast = leave_free(small_disk, free)
    words = (*words, *CUT, "--output", small_disk)
    with Command(tmp_path, *words) as command:
        check_refusal(command, named)
    assert rasters(small_disk / "scene") == {}
    there = len(parts(small_disk / "scene"))
    assert there > 3
    ballast.unlink()
    again = run(tmp_path, *words)
    assert f"{there} of {PARTS} parts were there already" in again.errors
    assert finished(small_disk / "scene", unbroken)


def test_a_limit_on_files_is_said_and_the_run_goes_on_without_it(words, unbroken, tmp_path):
    words = (*words, *CUT, "--output", "out")
    with Command(tmp_path, *words, largest_file=PART_BYTES) as command:
        check_refusal(command, "probability.tif: ")
    assert rasters(tmp_path / "out/scene") == {}
    assert len(parts(tmp_path / "out/scene")) == PARTS
    again = run(tmp_path, *words)
    assert f"{PARTS} of {PARTS} parts were there already" in again.errors
    assert finished(tmp_path / "out/scene", unbroken)
