"""Runs whose process is killed, and services that are restarted."""

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.service.api import answers
from pipelines.datasets.synthetic import write_road_scene
from tests.flows.service.serving import Served, engine_of, state_of_newest


def serving_a_slow_run(folder, weights):
    """A service that was started, and the words that have it begin a run of minutes."""
    write_road_scene(folder / "big.tif", None, size=3000, seed=4)
    service = Served(folder)
    service.start()
    return service, (
        "deployment", "run", "infer-roads", "-p", f'model=["{weights}"]',
        "-p", 'scenes=["big.tif"]', "-p", "tile=64", "-p", "overlap=48",
    )  # fmt: skip


@pytest.mark.soak
def test_a_killed_run_is_crashed_and_gives_its_slot_back(tmp_path, roads_weights):
    """Killed twice: the run's own process, and the whole service under a run."""
    service, slow = serving_a_slow_run(tmp_path, roads_weights)
    try:
        assert service.prefect(*slow).returncode == 0
        os.kill(engine_of(service), signal.SIGKILL)
        assert state_of_newest(service, {"CRASHED"}, 60) == "CRASHED"

        assert service.prefect(*slow).returncode == 0
        engine = engine_of(service)
        service.process.kill()
        os.kill(engine, signal.SIGKILL)
        service.process.wait()
        assert state_of_newest(service, {"RUNNING"}, 5) == "RUNNING"
        service.start()
        assert state_of_newest(service, {"CRASHED"}, 30) == "CRASHED"

        (tmp_path / "inbox/roads").mkdir(parents=True)
        done = service.prefect("deployment", "run", "infer-roads", "--watch",
                               "-p", f'model=["{roads_weights}"]')  # fmt: skip
        assert "finished successfully" in done.stdout, done.stdout + done.stderr
    finally:
        service.stop()
        subprocess.run(["pkill", "-f", f"prefect server start.*{service.port}"], check=False)


@pytest.mark.soak
def test_a_schedule_fires_after_two_restarts(tmp_path):
    service = Served(tmp_path)
    service.start()
    try:
        made = service.prefect("deployment", "schedule", "create", "infer-roads/infer-roads",
                               "--interval", "20")  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        for _ in range(2):
            service.stop()
            service.start()
        started = datetime.now(UTC).isoformat()
        end = time.monotonic() + 600
        while time.monotonic() < end:
            runs = service.read("flow_runs/filter", flow_runs={"start_time": {"after_": started}})
            if any(run["auto_scheduled"] and run["state_type"] == "COMPLETED" for run in runs):
                return
            time.sleep(1)
        pytest.fail(service.log.read_text())
    finally:
        service.stop()


@pytest.mark.soak
def test_a_run_whose_process_is_gone_is_ended_though_nobody_serves(tmp_path, roads_weights):
    """The server lives on: it has heard nothing of the run for ten minutes."""
    service, slow = serving_a_slow_run(tmp_path, roads_weights)
    try:
        assert service.prefect(*slow).returncode == 0
        engine = engine_of(service)
        time.sleep(20)  # It has said that it is there.
        service.process.kill()
        os.kill(engine, signal.SIGKILL)
        service.process.wait()
        assert state_of_newest(service, {"CRASHED"}, 900) == "CRASHED"
    finally:
        service.stop()
        subprocess.run(["pkill", "-f", f"prefect server start.*{service.port}"], check=False)


@pytest.mark.soak
def test_a_server_that_dies_is_started_again_and_runs_go_on(tmp_path, roads_weights):
    service = Served(tmp_path)
    service.start()
    try:
        subprocess.run(["pkill", "-9", "-f", f"prefect server start.*{service.port}"], check=True)
        end = time.monotonic() + 300
        while "is started again" not in service.log.read_text() or not answers(service.url):
            assert time.monotonic() < end, service.log.read_text()
            time.sleep(0.5)
        (tmp_path / "inbox/roads").mkdir(parents=True)
        done = service.prefect("deployment", "run", "infer-roads", "--watch",
                               "-p", f'model=["{roads_weights}"]')  # fmt: skip
        assert "finished successfully" in done.stdout, (
            done.stdout + done.stderr + service.log.read_text()
        )
    finally:
        service.stop()


def processes_of(service) -> list[int]:
    """Server, runner and runs, and what they started."""
    home = f"PREFECT_HOME={service.folder / 'home'}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if home in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.soak
def test_a_service_killed_twenty_times_at_any_moment_loses_nothing(tmp_path, roads_weights):
    """All of it at once: the server, the runner and the run, which the next one goes on with."""
    chance = random.Random(7)
    for seed, name in enumerate("abcdefgh"):
        write_road_scene(tmp_path / f"inbox/roads/{name}.tif", None, size=560, seed=seed)
    options = {"tile": 64, "overlap": 48, "steps": 1, "part_size": 128}
    service = Served(tmp_path)
    words = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    alone = service.rurnet(
        "infer-roads", "inbox/roads", "--model", str(roads_weights), "--output", "alone", *words
    )
    assert alone.returncode == 0, alone.stderr
    job = ("deployment", "run", "infer-roads", "-p", f'model=["{roads_weights}"]')
    job += tuple(word for key, value in options.items() for word in ("-p", f"{key}={value}"))
    try:
        for _ in range(20):
            service.start()
            assert service.prefect(*job).returncode == 0
            time.sleep(chance.uniform(0, 15))  # Before it begins, at work, or after its end.
            for process in processes_of(service):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            service.process.wait()
        service.start()
        done = service.prefect(*job, "--watch")
        assert "finished successfully" in done.stdout, done.stdout + done.stderr
        states = [one["state_type"] for one in service.read("flow_runs/filter")]
        assert "RUNNING" not in states
        # The others were killed before they began, or, on a fast machine, after their end.
        assert states.count("CRASHED") >= 5, states
    finally:
        service.stop()
    for name in "abcdefgh":
        for raster in ("probability.tif", "mask.tif"):
            made = tmp_path / "outbox/roads" / name / raster
            assert made.read_bytes() == (tmp_path / "alone" / name / raster).read_bytes()
