"""Real Prefect: served deployments, run by their short names."""

import json
import re
import subprocess
import sys
from contextlib import ExitStack
from urllib.request import urlopen

import pytest

from flows.service.api import answers
from flows.table import FLOWS
from pipelines.datasets.synthetic import write_drive_folder, write_road_scene
from pipelines.inbox.ledger import Ledger
from tests.flows.service.serving import (
    ROOT,
    Listener,
    Served,
    wait_until,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory, roads_weights):
    folder = tmp_path_factory.mktemp("project")
    write_road_scene(
        folder / "inbox/roads/scene.tif", folder / "labels/scene.tif", size=300, seed=3
    )
    service = Served(folder)
    try:
        service.start()
        yield service
    finally:
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
    assert "relaxed break-even" not in table[-1] or table[-1]["relaxed break-even"] is not None
    assert "report.html" in artifacts["infer-roads-report"]["data"]
    page = served.folder / "outbox/roads/report.html"
    [link] = re.findall(r"\((http://127.0.0.1.+)\)", artifacts["infer-roads-page"]["data"])
    assert f"[Open the report]({link})" in artifacts["infer-roads-report"]["data"]
    with urlopen(link, timeout=20) as reply:
        assert reply.read() == page.read_bytes()
    assert artifacts["infer-roads-worst"]["data"].startswith("data:image/webp;base64,")
    progress = next(a for a in artifacts.values() if a["type"] == "progress")
    assert progress["data"] == 100.0
    assert progress["task_run_id"] is None  # It is the run's, not a scene's.


def runs_of_scenes(served) -> dict[str, tuple[str, str]]:
    """State and message of each scene's task run, by its name, of the newest flow run."""
    newest = newest_run(served)
    tasks = served.read("task_runs/filter", flow_runs={"id": {"any_": [newest["id"]]}})
    return {each["name"]: (each["state"]["name"], each["state"]["message"]) for each in tasks}


def newest_run(served) -> dict:
    return served.read("flow_runs/filter", sort="EXPECTED_START_TIME_DESC", limit=1)[0]


def test_a_scene_is_a_task_run_of_its_name(served):
    assert runs_of_scenes(served) == {"scene": ("Completed", "9 tiles")}
    assert newest_run(served)["state"]["message"] == "1 of 1 scene done"


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


def test_threads_of_a_served_run_that_wait_leave_the_processor_to_others(served):
    spins = re.findall(r"GOMP_SPINCOUNT = '(\w+)'", served.log.read_text())
    if sys.platform == "linux":
        assert spins
    assert set(spins) <= {"0"}


@pytest.fixture(scope="module")
def told(served):
    """What a webhook was sent since `rurnet notify` had it told of failures."""
    with Listener() as listener:
        words = ("notify", "--on", "failure", "--webhook", "-")
        done = served.rurnet(*words, typed=f"{listener.url}/s3cret\n")
        assert "made: automation 'rurnet: failure to webhook'" in done.stdout, done.stderr
        yield listener


@pytest.fixture(scope="module")
def failed(served, roads_weights, told):
    """A run on two scenes, of which one is missing."""
    done = served.prefect(
        "deployment", "run", "infer-roads/infer-roads", "--watch",
        "-p", f'model=["{roads_weights}"]', "-p", "tile=128", "-p", "overlap=32",
        "-p", 'scenes=["inbox/roads/scene.tif", "missing.tif"]',
    )  # fmt: skip
    assert "Failed" in done.stdout, done.stdout + done.stderr
    return newest_run(served)


def test_a_webhook_is_told_of_a_failed_run_and_its_address_is_in_no_log(served, failed, told):
    path, sent = told.next()
    assert path == "/s3cret"
    assert {name: sent[name] for name in ("flow", "id", "state", "message")} == {
        "flow": "infer-roads",
        "id": failed["id"],
        "state": "Failed",
        "message": failed["state"]["message"],
    }
    logs = [served.log, served.folder / "home/rurnet-server.log"]
    assert not any("s3cret" in log.read_text() for log in logs)
    [block] = served.read("block_documents/filter", block_documents={
        "name": {"like_": "rurnet-failure"}})  # fmt: skip
    assert "s3cret" not in json.dumps(block)


def test_the_server_ends_runs_whose_process_is_gone(served):
    """The automation is there once, however often it is asked for; see `make soak` for its work."""
    served.python("from flows.service.alerts import end_dead_runs; end_dead_runs()")
    named = [each["name"] for each in served.read("automations/filter")]
    assert named.count("rurnet: end runs whose process is gone") == 1


def test_a_run_with_a_bad_scene_fails_and_says_which(served, failed):
    newest = failed
    assert newest["state"]["message"].startswith("1 of 2 scenes done; missing.tif: no such file")
    states = runs_of_scenes(served)
    assert states["scene"] == ("There already", "was done by an earlier run")
    assert states["missing"][0] == "Failed"
    assert states["missing"][1].startswith("missing.tif: no such file")
    of_run = {"flow_run_id": {"any_": [newest["id"]]}}
    lines = [line["message"] for line in served.read("logs/filter", logs=of_run)]
    assert sum("missing.tif" in line for line in lines) == 2, lines  # Of the scene; of the run.
    assert not any("Traceback" in line for line in lines)
    assert f"results go to {served.folder / 'outbox/roads'}" in lines


def test_parameters_that_do_not_go_together_are_refused_in_one_line(served):
    ran = served.prefect("deployment", "run", "infer-roads", "--watch", "-p", "tile=64")
    assert ran.returncode != 0
    run = newest_run(served)
    assert (run["state"]["type"], run["state"]["message"]) == (
        "FAILED",
        "overlap (128) must be less than tile (64); nothing was run: change these parameters of "
        "the run",
    )
    logged = served.read("logs/filter", logs={"flow_run_id": {"any_": [run["id"]]}})
    assert not any("Traceback" in line["message"] for line in logged)


@pytest.mark.soak
def test_an_empty_inbox_is_nothing_to_do_and_names_no_report(served):
    (served.folder / "inbox/fundus").mkdir()
    done = served.prefect("deployment", "run", "infer-drive", "--watch")
    state = newest_run(served)["state"]
    assert (state["type"], state["name"]) == ("COMPLETED", "Nothing to do"), done.stdout
    assert state["message"].startswith(
        "Nothing was done: no scenes in inbox/fundus, which is empty"
    )
    assert not (served.folder / "outbox/fundus").exists()


@pytest.mark.soak
def test_a_scene_that_arrives_in_a_watched_folder_is_done_by_the_job(served):
    folder = served.folder / "arrivals"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "flows", "watch", str(folder), "--every", "0.5"],
        cwd=served.folder, env={**served.environment, "PREFECT_API_URL": served.url},
        stdout=subprocess.PIPE, text=True,
    ) as watching:  # fmt: skip
        try:
            assert "Made the automation" in watching.stdout.readline()
            assert "Watching" in watching.stdout.readline()
            write_road_scene(folder / "late.tif", served.folder / "late-label.tif", 64, seed=5)
            assert watching.stdout.readline() == f"1 arrived: {folder / 'late.tif'}\n"
        finally:
            watching.terminate()
    assert watching.returncode == 0
    mask = served.folder / "outbox/roads/late/mask.tif"
    wait_until(lambda: mask.is_file() and newest_run(served)["state"]["type"] == "COMPLETED")
    run = newest_run(served)
    assert run["parameters"]["scenes"] == [str(folder)]
    assert run["state"]["message"].startswith(
        "1 scene computed in this run, 1 of 1 done in outbox/roads"
    )
    line = Ledger(served.folder / "outbox/roads").lines()["late"]
    assert (line.state, line.run) == ("done", run["id"])


def test_every_flow_has_a_deployment_of_its_name_with_the_options_as_parameters(served):
    found = {d["name"]: d for d in served.read("deployments/filter")}
    assert set(found) == set(FLOWS)
    for name, flow in FLOWS.items():
        assert found[name]["description"] == flow.help
        properties = found[name]["parameter_openapi_schema"]["properties"]
        assert set(properties) == set(flow.config().model_fields)


SET_BY_A_PERSON = {
    "parameters": {"steps": 2, "scenes": ["/nightly"]},
    "tags": ["night"],
    "paused": True,
    "concurrency_limit": 1,
    "schedules": [{"schedule": {"cron": "0 2 * * *"}, "active": False}],
}


def set_of(deployment: dict) -> dict:
    """What `SET_BY_A_PERSON` has, as the server tells it."""
    return {
        **{name: deployment[name] for name in ("parameters", "tags", "paused")},
        "concurrency_limit": deployment["global_concurrency_limit"]["limit"],
        "schedules": [
            {"schedule": {"cron": each["schedule"]["cron"]}, "active": each["active"]}
            for each in deployment["schedules"]
        ],
    }


REGISTER = """
from flows.service.deployments import deployments
for deployment in deployments():
    deployment.apply()
    print(*deployment.remarks)
"""


def test_what_a_person_set_stays_when_deployments_are_registered_again(served):
    before = served.deployment("infer-drive")
    served.send("PATCH", f"deployments/{before['id']}", SET_BY_A_PERSON)
    served.send("PATCH", f"deployments/{before['id']}", {"description": "of an older release"})
    served.python(REGISTER)
    found = served.deployment("infer-drive")
    assert found["id"] == before["id"]
    assert set_of(found) == SET_BY_A_PERSON
    assert found["description"] == FLOWS["infer-drive"].help


def test_what_a_person_set_stays_when_flows_are_deployed_to_a_pool_and_served_again(served):
    """By our command, which makes the pool, then by Prefect's with `prefect.yaml`."""
    before = served.deployment("infer-drive")
    served.send("PATCH", f"deployments/{before['id']}", SET_BY_A_PERSON)
    said = served.rurnet("deploy", "--pool", "rurnet").stdout
    assert "pool rurnet: made, of type process" in said
    assert "was run by flows.serve, is now run by the workers of the pool rurnet" in said
    found = served.deployment("infer-drive")
    assert found["work_pool_name"] == "rurnet"
    assert set_of(found) == SET_BY_A_PERSON
    [step] = found["pull_steps"]
    assert step == {
        "prefect.deployments.steps.set_working_directory": {"directory": str(served.folder)}
    }
    refused = served.rurnet("deploy", "--pool", "rurnet", "--type", "docker")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: pool rurnet: is there and runs process, not docker")
    (served.folder / "prefect.yaml").write_text((ROOT / "prefect.yaml").read_text())
    done = served.prefect("--no-prompt", "deploy", "--name", "infer-drive")
    assert done.returncode == 0, done.stdout + done.stderr
    found = served.deployment("infer-drive")
    assert found["work_pool_name"] == "rurnet"
    assert set_of(found) == SET_BY_A_PERSON
    said = served.python(REGISTER)
    assert (
        "infer-drive: was run by the workers of the pool rurnet, is now run by flows.serve" in said
    )
    assert set_of(served.deployment("infer-drive")) == SET_BY_A_PERSON


def test_parameters_that_a_release_no_longer_has_are_named_and_kept(served):
    before = served.deployment("train-roads")
    older = before["parameter_openapi_schema"]
    older["properties"]["gone"] = {"type": "integer"}
    served.send("PATCH", f"deployments/{before['id']}",
                {"parameters": {"gone": 3}, "parameter_openapi_schema": older})  # fmt: skip
    said = served.python(REGISTER)
    assert "train-roads: parameters that were set for it or its schedules no longer fit" in said
    assert "there is no gone" in said
    assert served.deployment("train-roads")["parameters"] == {"gone": 3}


@pytest.mark.soak
def test_a_command_is_a_run_where_an_api_is_configured(served, roads_weights):
    done = subprocess.run(
        [sys.executable, "-m", "flows.infer_roads", "inbox/roads/scene.tif", "missing.tif",
         "--model", str(roads_weights), "--tile", "128", "--overlap", "32", "--output", "here"],
        cwd=served.folder, env={**served.environment, "PREFECT_API_URL": served.url},
        capture_output=True, text=True, timeout=900,
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
        cwd=served.folder, env=served.environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"already served by process {served.process.pid}" in done.stderr


TWO_GPUS = """#!/bin/sh
echo 'GPU 0: NVIDIA (UUID: GPU-aaaa)'
echo 'GPU 1: NVIDIA (UUID: GPU-bbbb)'
"""

HOLD = """
import os, sys
from flows.service.gpus import own_gpus
with own_gpus(lambda gpus: min(1, gpus), lambda line: print(line, flush=True)):
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.readline()
"""


def test_runs_have_different_gpus_and_one_more_waits_until_one_is_free(served):
    program = served.folder / "driver/nvidia-smi"
    program.parent.mkdir()
    program.write_text(TWO_GPUS)
    program.chmod(0o755)
    environment = {
        **served.environment,
        "PREFECT_API_URL": served.url,
        "PATH": f"{program.parent}:{served.environment['PATH']}",
    }
    with ExitStack() as stack:

        def run():
            process = subprocess.Popen(
                [sys.executable, "-c", HOLD], cwd=served.folder, env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            stack.callback(process.communicate)
            return process

        def said(process):
            return process.stdout.readline().strip()

        first, second = run(), run()
        assert {said(first), said(second)} == {"computes on GPU-aaaa", "computes on GPU-bbbb"}
        own = said(first)
        third = run()
        assert said(third) == "waits for a GPU: all 2 are other runs', or out of use"
        first.communicate("\n", timeout=60)
        assert said(third) == f"computes on {own}"


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
