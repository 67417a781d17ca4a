"""Real Prefect: a served deployment, run by its short name, and runs whose process is killed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.service.api import answers
from flows.table import FLOWS
from pipelines.datasets.synthetic import write_drive_folder, write_road_scene

ROOT = Path(__file__).resolve().parents[3]
PREFECT = Path(sys.executable).parent / "prefect"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def clean_environment(home: Path) -> dict[str, str]:
    unset = ("PREFECT_", "OMP_WAIT_POLICY")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unset)}
    return {**kept, "PREFECT_HOME": str(home)}


class Served:
    """`python -m flows.serve` in a project folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # GNU's OpenMP, that of torch on Linux, then tells its settings when it is loaded.
        self.environment = clean_environment(folder / "home") | {"OMP_DISPLAY_ENV": "verbose"}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        # The root of a project as Prefect sees it: its pyproject.toml switches the plugin on.
        (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
        self.log = folder / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        before = self.log.read_text().count("Ctrl-C ends") if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.serve", "--port", str(self.port)],
                cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        end = time.monotonic() + 120
        while self.log.read_text().count("Ctrl-C ends") == before:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.3)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def prefect(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PREFECT, *words], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=240,
        )  # fmt: skip

    def read(self, path: str, **filters: object) -> list[dict]:
        from urllib.request import Request, urlopen

        body = json.dumps(filters).encode()
        headers = {"content-type": "application/json"}
        with urlopen(Request(f"{self.url}/{path}", body, headers), timeout=20) as reply:
            return json.load(reply)


@pytest.fixture(scope="module")
def served(tmp_path_factory, roads_weights):
    folder = tmp_path_factory.mktemp("project")
    write_road_scene(
        folder / "inbox/roads/scene.tif", folder / "labels/scene.tif", size=300, seed=3
    )
    service = Served(folder)
    service.start()
    yield service
    service.stop()
    assert not answers(service.url), "the server outlived flows.serve"


def test_the_short_name_runs_a_job_on_the_inbox_to_the_end(served, roads_weights):
    done = served.prefect(
        "deployment", "run", "infer-roads", "--watch",
        "-p", f'model=["{roads_weights}"]', "-p", "tile=128", "-p", "overlap=32",
        "-p", f"labels={served.folder / 'labels'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + served.log.read_text()
    assert "Completed" in done.stdout
    report = json.loads((served.folder / "outbox/roads/report.json").read_text())
    assert [scene["name"] for scene in report["scenes"]] == ["scene"]
    artifacts = {a["key"]: a for a in served.read("artifacts/filter")}
    table = json.loads(artifacts["infer-roads-scores"]["data"])
    f1 = report["pooled"]["foreground"]["f1"]
    assert table[-1]["scene"] == "pooled"
    assert table[-1]["F1"] == pytest.approx(f1, abs=1e-3)
    assert "report.html" in artifacts["infer-roads-report"]["data"]


@pytest.fixture(scope="module")
def evaluated(served):
    """A run has scored what the job of the first test left."""
    done = served.prefect("deployment", "run", "evaluate", "--watch")
    assert "Completed" in done.stdout, done.stdout + done.stderr + served.log.read_text()


def test_what_a_job_left_is_evaluated_by_another(served, evaluated):
    report, first = (
        json.loads((served.folder / "outbox" / name / "report.json").read_text())
        for name in ("evaluation", "roads")
    )
    assert report["pooled"] == first["pooled"]


def test_threads_of_a_served_run_that_wait_leave_the_processor_to_others(served, evaluated):
    spins = re.findall(r"GOMP_SPINCOUNT = '(\w+)'", served.log.read_text())
    if sys.platform == "linux":
        assert spins
    assert set(spins) <= {"0"}


def test_a_run_with_a_bad_scene_fails_and_says_which(served, roads_weights):
    done = served.prefect(
        "deployment", "run", "infer-roads/infer-roads", "--watch",
        "-p", f'model=["{roads_weights}"]', "-p", 'scenes=["missing.tif"]',
    )  # fmt: skip
    assert "Failed" in done.stdout, done.stdout + done.stderr
    newest = served.read("flow_runs/filter", sort="EXPECTED_START_TIME_DESC", limit=1)[0]
    assert "missing.tif: no such file" in newest["state"]["message"]


def test_every_flow_has_a_deployment_of_its_name_with_the_options_as_parameters(served):
    found = {d["name"]: d for d in served.read("deployments/filter")}
    assert set(found) == set(FLOWS)
    for name, flow in FLOWS.items():
        assert found[name]["description"] == flow.help
        properties = found[name]["parameter_openapi_schema"]["properties"]
        assert set(properties) == set(flow.config().model_fields)


def test_a_command_is_a_run_where_an_api_is_configured(served, roads_weights):
    done = subprocess.run(
        [sys.executable, "-m", "flows.infer_roads", "inbox/roads/scene.tif", "missing.tif",
         "--model", str(roads_weights), "--tile", "128", "--overlap", "32", "--output", "here"],
        cwd=served.folder, env={**served.environment, "PREFECT_API_URL": served.url},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 1
    assert "error: missing.tif: no such file" in done.stderr
    assert (served.folder / "here/scene/mask.tif").is_file()
    newest = served.read("flow_runs/filter", sort="START_TIME_DESC", limit=1)[0]
    assert newest["deployment_id"] is None
    assert newest["state"]["type"] == "FAILED"
    assert newest["parameters"]["output"] == "here"


def test_a_second_serve_says_that_one_is_there(served):
    done = subprocess.run(
        [sys.executable, "-m", "flows.serve", "--port", str(served.port)],
        cwd=served.folder, env=served.environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"already served by process {served.process.pid}" in done.stderr


def test_without_a_server_the_short_name_says_how_to_start_one(tmp_path):
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    # Not the default address: another project's server may be there.
    (tmp_path / "home").mkdir()
    (tmp_path / "home/rurnet-server.url").write_text(f"http://127.0.0.1:{free_port()}/api")
    done = subprocess.run(
        [PREFECT, "deployment", "run", "infer-roads"], cwd=tmp_path,
        env=clean_environment(tmp_path / "home"), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "python -m flows.serve" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.soak
def test_a_training_runs_as_a_deployment_and_logs_how_it_gets_on(served):
    data = write_drive_folder(served.folder / "DRIVE", train=3, test=1)
    done = served.prefect(
        "deployment", "run", "train-drive", "--watch", "-p", f'data=["{data}"]',
        "-p", "iterations=4", "-p", "scorings=1", "-p", "held_out=[1]", "-p", "crop_sizes=[64]",
        "-p", "batch_pixels=8192",
    )  # fmt: skip
    assert "Completed" in done.stdout, done.stdout + done.stderr
    assert (served.folder / "runs/train-drive/vessels.safetensors").is_file()
    assert json.loads((served.folder / "runs/train-drive/test/report.json").read_text())["pooled"]
    lines = [line["message"] for line in served.read("logs/filter")]
    assert any("held-out images have F1" in line for line in lines), lines
    assert "train-drive-scores" in {a["key"] for a in served.read("artifacts/filter")}


@pytest.mark.soak
def test_a_killed_run_is_crashed_and_gives_its_slot_back(tmp_path, roads_weights):
    """Killed twice: the run's own process, and the whole service under a run."""
    write_road_scene(tmp_path / "big.tif", None, size=3000, seed=4)
    service = Served(tmp_path)
    service.start()
    slow = ("deployment", "run", "infer-roads", "-p", f'model=["{roads_weights}"]',
            "-p", 'scenes=["big.tif"]', "-p", "tile=64", "-p", "overlap=48")  # fmt: skip
    try:
        assert service.prefect(*slow).returncode == 0
        os.kill(_engine(service), signal.SIGKILL)
        assert _state_of_newest(service, {"CRASHED"}, 60) == "CRASHED"

        assert service.prefect(*slow).returncode == 0
        engine = _engine(service)
        service.process.kill()
        os.kill(engine, signal.SIGKILL)
        service.process.wait()
        assert _state_of_newest(service, {"RUNNING"}, 5) == "RUNNING"
        service.start()
        assert _state_of_newest(service, {"CRASHED"}, 30) == "CRASHED"

        (tmp_path / "inbox/roads").mkdir(parents=True)
        done = service.prefect("deployment", "run", "infer-roads", "--watch",
                               "-p", f'model=["{roads_weights}"]')  # fmt: skip
        assert "Completed" in done.stdout, done.stdout + done.stderr
    finally:
        service.stop()
        subprocess.run(["pkill", "-f", f"prefect server start.*{service.port}"], check=False)


def _state_of_newest(service: Served, wanted: set[str], within: float) -> str:
    end = time.monotonic() + within
    while True:
        runs = service.read("flow_runs/filter", sort="EXPECTED_START_TIME_DESC", limit=1)
        if runs[0]["state"]["type"] in wanted or time.monotonic() > end:
            return str(runs[0]["state"]["type"])
        time.sleep(0.5)


def _engine(service: Served) -> int:
    """The process of the flow run that is going on: a child of the service."""
    assert _state_of_newest(service, {"RUNNING"}, 90) == "RUNNING"
    listed = subprocess.run(
        ["ps", "--ppid", str(service.process.pid), "-o", "pid=,args="],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    engines = [line.split()[0] for line in listed.splitlines() if "server start" not in line]
    assert engines, listed
    return int(engines[-1])
