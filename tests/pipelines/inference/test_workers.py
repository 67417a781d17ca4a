"""Runs shared by several processes: the same bytes, whatever becomes of a worker.

Real processes and real signals. Moments are told by what is on the disk, never by a clock.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import rasterio
from distributed import Client
from distributed.core import Status

from pipelines.config.inference import PredictionSettings
from pipelines.datasets.synthetic import write_road_scene
from pipelines.errors import PipelineError
from pipelines.inference import workers
from pipelines.inference.batch import run_batch
from pipelines.inference.cluster.client import team_of
from pipelines.inference.cluster.team import Member, Team, check_member, marked_output
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.opening import Reading, opened_scene
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.weights import load
from pipelines.results.progress import Progress, Silence
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

ROOT = Path(__file__).resolve().parents[3]


def wait_for(moment: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + GUARD_S
    while not moment():
        assert time.monotonic() < end, what
        time.sleep(0.01)


class Cluster:
    """A scheduler and workers in processes of their own; they end with the stack."""

    def __init__(self, folder: Path, stack: ExitStack, **environment: str) -> None:
        self._folder = folder
        self._stack = stack
        self._environment = {**os.environ, **environment}
        contact = folder / "contact.json"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0",
            "--scheduler-file", str(contact),
        )  # fmt: skip
        wait_for(lambda: contact.exists() and contact.stat().st_size > 0, "no scheduler")
        self.address = str(json.loads(contact.read_text())["address"])

    def add(self, name: str) -> subprocess.Popen[bytes]:
        """Starts a worker; it joins later."""
        return self._start(
            "worker", self.address, "--name", name, "--no-nanny", "--nthreads", "1",
            "--memory-limit", "0", "--no-dashboard", "--local-directory", str(self._folder),
        )  # fmt: skip

    def _start(self, kind: str, *words: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{kind}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words],
                cwd=ROOT, env=self._environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of two workers."""
    with ExitStack() as stack:
        cluster = Cluster(tmp_path_factory.mktemp("cluster"), stack)
        cluster.add("one")
        cluster.add("two")
        yield cluster


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


def opened_and_noted(log: Path, scene: str) -> AbstractContextManager[OpenedScene]:
    """Opens a scene, and notes which process did."""
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {scene}\n")
    return opened_scene(scene, None, Reading())


def test_a_worker_opens_a_scene_once_for_all_its_parts_and_anew_for_the_next_run(
    cluster, roads_weights, tmp_path
):
    log, path = tmp_path / "log", tmp_path / "scene.tif"
    item = SceneInput(str(path), "scene", partial(opened_and_noted, log, str(path)))
    models = [load(str(roads_weights))]
    settings = PredictionSettings(tile=64, overlap=16, steps=1, part_size=64, device="cpu")
    spread = settings.model_copy(update={"scheduler": cluster.address})

    def rasters_of(settings, name):
        [outcome] = run_batch([item], models, settings, tmp_path / name, Silence())
        assert outcome.error is None
        return rasters(tmp_path / name / "scene")

    write_road_scene(path, None, size=250, seed=3)
    before = rasters_of(spread, "before")
    openings = Counter(log.read_text().splitlines())
    assert (
        openings.pop(f"{os.getpid()} {path}") == 2
    )  # Its tiles are counted before the batch begins.
    assert len(openings) in (1, 2)
    assert set(openings.values()) == {1}
    # Written over in place: a file that is open still would show some of the old pixels.
    with rasterio.open(path, "r+") as raster:
        raster.write(raster.read()[:, ::-1])
    after = rasters_of(spread, "after")
    assert after == rasters_of(settings, "alone")
    assert after["probability.tif"] != before["probability.tif"]


def test_a_worker_with_other_weights_under_the_name_is_refused(
    cluster, scene, roads_weights, vessels_weights, tmp_path
):
    path = tmp_path / "weights.safetensors"
    shutil.copy(roads_weights, path)
    models = [load(str(path))]
    shutil.copy(vessels_weights, path)
    settings = PredictionSettings(tile=64, overlap=16, steps=1, scheduler=cluster.address)
    items = road_inputs([str(scene)], None)
    with pytest.raises(PipelineError) as caught:
        run_batch(items, models, settings, tmp_path / "out", Silence())
    assert str(caught.value).startswith(f"{path}: worker tcp://127.0.0.1:")
    assert "has other weights under this name" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_workers_that_do_not_share_the_output_are_refused(cluster, roads_weights, tmp_path):
    """As where another machine has no such folder."""
    models = [load(str(roads_weights))]
    with Client(cluster.address) as client:
        client.wait_for_workers(1, timeout=GUARD_S)
        with pytest.raises(
            PipelineError, match=r"^tcp://127\.0\.0\.1:\d+: a worker that does not see"
        ):
            team_of(client, models, PredictionSettings(device="cpu"), tmp_path / "gone" / "marker")
        with marked_output(tmp_path / "new" / "out") as marker:
            team = team_of(client, models, PredictionSettings(device="cpu"), marker)
            assert (team.marker, team.release) == (marker, version("rurnet"))
    assert not (tmp_path / "new").exists()


def test_a_worker_of_another_release_is_refused(tmp_path):
    team = Team((("a", "1"),), PredictionSettings(), "cpu", "2.0", tmp_path / "marker")
    member = Member("cpu", "2.0", ("1",), shares=True)
    check_member("tcp://host:1", member, team)
    with pytest.raises(
        PipelineError, match=r"tcp://host:1: a worker of release 1\.9 .* this is 2\.0"
    ):
        check_member("tcp://host:1", replace(member, release="1.9"), team)
    with pytest.raises(PipelineError, match="computes on cuda, the others on cpu"):
        check_member("tcp://host:1", replace(member, device="cuda"), team)


def test_each_worker_opens_each_scene_once(cluster, roads_weights, tmp_path):
    log, items = tmp_path / "log", []
    for seed, name in enumerate("abc"):
        write_road_scene(tmp_path / f"{name}.tif", None, size=250, seed=seed)
        opening = partial(opened_and_noted, log, str(tmp_path / f"{name}.tif"))
        items.append(SceneInput(str(tmp_path / f"{name}.tif"), name, opening))
    settings = PredictionSettings(
        tile=64, overlap=16, steps=1, part_size=64, device="cpu", scheduler=cluster.address
    )
    outcomes = run_batch(items, [load(str(roads_weights))], settings, tmp_path / "out", Silence())
    assert [one.error for one in outcomes] == [None, None, None]
    openings = Counter(line for line in log.read_text().splitlines())
    own = {
        line: times for line, times in openings.items() if not line.startswith(f"{os.getpid()} ")
    }
    assert {line.split()[1] for line in own} == {item.source for item in items}
    assert set(own.values()) == {1}


def paused(dask_worker):
    """What Dask does where a worker's memory is full."""
    dask_worker.status = Status.paused


@pytest.mark.parametrize("how", ["hangs", pytest.param("is paused", marks=pytest.mark.soak)])
def test_parts_of_a_worker_that_hangs_are_done_by_another(
    cluster, scene, roads_weights, alone, tmp_path, monkeypatch, how
):
    """Neither dead, nor at work: its connection is open."""
    monkeypatch.setattr(workers, "_STUCK_S", 2.0)
    monkeypatch.setattr(workers, "_LOOK_EVERY_S", 0.5)
    frozen = cluster.add(how)
    with Client(cluster.address) as client:

        def address() -> str | None:
            found = client.scheduler_info(n_workers=-1)["workers"].items()
            return next((one for one, worker in found if worker["name"] == how), None)

        wait_for(lambda: address() is not None, "no worker")
        doomed = address()
        stopped = []

        class Stopping(Progress):
            def tiles(self, name: str, done: int) -> None:
                if stopped or not client.processing().get(doomed):
                    return
                stopped.append(name)
                if how == "hangs":
                    frozen.send_signal(signal.SIGSTOP)
                else:
                    client.run(paused, workers=[doomed])

        settings = PredictionSettings(
            tile=64, overlap=16, steps=1, part_size=128, device="cpu", scheduler=cluster.address
        )
        models = [load(str(roads_weights))]
        [outcome] = run_batch(
            road_inputs([str(scene)], None), models, settings, tmp_path, Stopping()
        )
    frozen.kill()
    assert stopped
    assert outcome.error is None
    assert finished(tmp_path / "scene", alone)


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
def test_a_scheduler_that_is_lost_is_said_and_the_run_goes_on_without(words, alone, tmp_path):
    with ExitStack() as stack:
        cluster = Cluster(tmp_path, stack)
        cluster.add("one")
        with Command(tmp_path, *words, "--scheduler", cluster.address) as command:
            command.wait_until(lambda: len(parts(tmp_path / "out/scene")) >= 3)
            cluster.scheduler.kill()
            assert command.end() == 1
    [line] = command.error_lines
    assert "the Dask cluster was lost" in line
    assert "run again" in line
    run(tmp_path, *words)
    assert finished(tmp_path / "out/scene", alone)


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
