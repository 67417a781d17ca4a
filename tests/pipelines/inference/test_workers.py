"""Runs shared by several processes: the same bytes, whatever becomes of a worker.

Real processes and real signals. Moments are told by what is on the disk, never by a clock.
"""

import json
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import rasterio
from distributed import Client

from pipelines.datasets.synthetic import write_road_scene
from tests.pipelines.inference.clusters import Cluster
from tests.pipelines.inference.commands import (
    CUT,
    GUARD_S,
    PARTS,
    SMALL,
    Command,
    finished,
    marked,
    parts,
    rasters,
    run,
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scene")
    write_road_scene(folder / "scene.tif", None, size=560, seed=3)
    return folder / "scene.tif"


@pytest.fixture(scope="module")
def words(scene, roads_weights) -> tuple[object, ...]:
    return (scene, "--model", roads_weights, *SMALL, *CUT, "--output", "out")


@pytest.fixture(scope="module")
def alone(words, tmp_path_factory) -> dict[str, bytes]:
    """The rasters of a run in one process."""
    folder = tmp_path_factory.mktemp("alone")
    run(folder, *words)
    return rasters(folder / "out/scene")


# Workers that a command starts itself.


@pytest.fixture(scope="module")
def team(write_raster, roads_weights, tmp_path_factory):
    """Two good scenes and two bad ones, by two workers; and by one process."""
    folder = tmp_path_factory.mktemp("team")
    for seed, name in enumerate("ad"):
        write_road_scene(folder / f"in/{name}.tif", None, size=250, seed=seed)
    noise = np.random.default_rng(0).integers(0, 256, (3, 700, 700), dtype=np.uint8)
    cut = write_raster(folder / "in/cut.tif", noise, compress="deflate")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    hole = write_raster(
        folder / "in/hole.tif", noise, compress="deflate", tiled=True, blockxsize=16, blockysize=16
    )
    with rasterio.open(hole) as raster, hole.open("r+b") as file:
        # Samples of a scene are looked at when it is opened: between the first two.
        file.seek(int(raster.get_tag_item("BLOCK_OFFSET_4_4", "TIFF", bidx=1)))
        file.write(bytes(int(raster.get_tag_item("BLOCK_SIZE_4_4", "TIFF", bidx=1))))
    words = ("in", "--model", roads_weights, *SMALL, *CUT, "--dtype", "float32", "--save-steps")
    with Command(folder, *words, "--output", "alone") as command:
        assert command.end() == 1
    options = {"afresh": True, "marker": str(folder)}
    with Command(folder, *words, "--output", "out", "--workers", "2", **options) as command:
        status = command.end()
        return folder, command, status


@pytest.mark.parametrize("name", "ad")
def test_workers_give_the_bytes_of_one_process(team, name):
    folder, command, _ = team
    expected = rasters(folder / "alone" / name)
    assert set(expected) == {"probability.tif", "probability-step1.tif", "mask.tif"}
    assert finished(folder / "out" / name, expected), command.errors


def test_scenes_that_cannot_be_read_fail_by_themselves_on_workers_too(team):
    folder, command, status = team
    assert status == 1
    assert "Traceback" not in command.errors
    assert [Path(line.split(":")[1]).name for line in command.error_lines] == [
        "cut.tif", "hole.tif",
    ]  # fmt: skip
    # That one was begun: it is a worker that met the hole.
    assert "hole: 225 tiles" in command.errors
    assert "cut: " not in command.errors
    report = json.loads((folder / "out/report.json").read_text())
    assert [scene["name"] for scene in report["scenes"]] == ["a", "d"]
    for name in ("cut", "hole"):
        assert rasters(folder / "out" / name) == {}


def left(marker: object) -> dict[int, str]:
    """What processes of a command are there still, some time after its end."""
    end = time.monotonic() + GUARD_S
    while (found := marked(str(marker))) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_no_process_is_left_behind_by_a_run_with_an_error(team):
    folder, _, _ = team
    assert left(folder) == {}


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGKILL, marks=pytest.mark.soak),
    ],
)
def test_no_process_is_left_behind_by_a_run_that_is_stopped(words, alone, tmp_path, number):
    options = {"afresh": True, "marker": str(tmp_path)}
    with Command(tmp_path, *words, "--workers", "1", **options) as command:
        command.wait_until(lambda: bool(parts(tmp_path / "out/scene")))
        assert any("spawn_main" in line for line in marked(str(tmp_path)).values())
        assert command.send(number) != 0
    if number == signal.SIGTERM:
        # In order: else what its processes shared would be named as leaked after that.
        assert command.errors.splitlines()[-1].startswith("error: stopped; ")
    assert left(tmp_path) == {}
    there = len(parts(tmp_path / "out/scene"))
    assert 0 < there < PARTS
    again = run(tmp_path, *words)
    assert f"{there} of {PARTS} parts were there already" in again.errors
    assert finished(tmp_path / "out/scene", alone)


def workers_of(marker: object) -> set[int]:
    """The worker processes that a command has started."""
    return {
        number
        for number, line in marked(str(marker)).items()
        if "multiprocessing.spawn" in line and "resource_tracker" not in line
    }


@pytest.mark.soak
def test_one_of_three_own_workers_is_killed_and_the_bytes_are_the_same(words, alone, tmp_path):
    options = {"afresh": True, "marker": str(tmp_path)}
    with Command(tmp_path, *words, "--workers", "3", **options) as command:
        command.wait_until(lambda: len(parts(tmp_path / "out/scene")) >= 3)
        workers = workers_of(tmp_path)
        assert len(workers) == 3
        os.kill(min(workers), signal.SIGKILL)
        assert command.end() == 0, command.errors
    assert command.error_lines == []
    assert finished(tmp_path / "out/scene", alone)
    assert left(tmp_path) == {}


# A cluster that is there already.


def test_a_cluster_gives_the_bytes_of_one_process(cluster, words, alone, tmp_path):
    run(tmp_path, *words, "--scheduler", cluster.address)
    assert finished(tmp_path / "out/scene", alone)


def test_a_cluster_goes_on_where_one_process_was_killed(cluster, words, alone, tmp_path):
    with Command(tmp_path, *words) as command:
        command.wait_until(lambda: len(parts(tmp_path / "out/scene")) >= 7)
        command.send(signal.SIGKILL)
    there = len(parts(tmp_path / "out/scene"))
    again = run(tmp_path, *words, "--scheduler", cluster.address)
    assert f"{there} of {PARTS} parts were there already" in again.errors
    assert finished(tmp_path / "out/scene", alone)


def test_the_parts_of_a_killed_worker_are_done_by_the_others(cluster, words, alone, tmp_path):
    doomed = cluster.add("doomed")
    with Client(cluster.address) as client:

        def workers() -> dict[str, str]:
            info = client.scheduler_info(n_workers=-1)["workers"]
            return {str(worker["name"]): address for address, worker in info.items()}

        client.wait_for_workers(3, timeout=GUARD_S)
        address = workers()["doomed"]
        with Command(tmp_path, *words, "--scheduler", cluster.address) as command:
            command.wait_until(lambda: len(parts(tmp_path / "out/scene")) >= 3)
            # First it stops, so that it cannot finish what it has.
            doomed.send_signal(signal.SIGSTOP)
            command.wait_until(lambda: bool(client.processing().get(address)))
            before = len(parts(tmp_path / "out/scene"))
            doomed.kill()
            assert command.end() == 0, command.errors
        assert before < PARTS
        assert set(workers()) == {"one", "two"}
    assert finished(tmp_path / "out/scene", alone)


@pytest.fixture(params=["nobody", "no workers", "no address"])
def wrong_address(request, tmp_path):
    if request.param == "no address":
        yield "nowhere"
    elif request.param == "nobody":
        yield "tcp://127.0.0.1:9"
    else:
        with ExitStack() as stack:
            yield Cluster(tmp_path, stack).address


def test_an_address_without_workers_is_one_line_and_status_1(wrong_address, words, tmp_path):
    words = (*words, "--scheduler", wrong_address)
    with Command(tmp_path, *words, patience=1) as command:
        assert command.end() == 1
    said, line = command.errors.splitlines()
    assert "reading weights" in said
    assert line.startswith("error: ")
    assert wrong_address in line
    assert "check --scheduler" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.soak
def test_a_part_that_ends_its_workers_is_an_error_that_says_what_helps(words, tmp_path):
    with ExitStack() as stack:
        once = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
        cluster = Cluster(tmp_path, stack, **once)
        worker = cluster.add("one")
        with Command(tmp_path, *words, "--scheduler", cluster.address) as command:
            command.wait_until(lambda: len(parts(tmp_path / "out/scene")) >= 3)
            worker.kill()
            assert command.end() == 1
    [line] = command.error_lines
    assert "ended several workers" in line
    assert "--part-size" in line
    assert len(parts(tmp_path / "out/scene")) >= 3
