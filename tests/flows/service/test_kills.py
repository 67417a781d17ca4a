"""Runs whose process is killed, and services that are restarted."""

import os
import signal
import subprocess
import time
from datetime import UTC, datetime

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
