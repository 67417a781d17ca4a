"""The command lines: one-line errors, exit status, and Prefect only where it is configured."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from flows.command import command, prefect_is_configured, with_fields
from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import write_road_scene, write_roads_folder
from pipelines.inference.run import infer_roads


def run(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    clean |= {"PREFECT_HOME": str(cwd / "prefect-home"), **environment}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=cwd, env=clean, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, roads_weights):
    """One command line with one good scene and two bad ones."""
    folder = tmp_path_factory.mktemp("command")
    write_road_scene(folder / "scene.tif", folder / "labels" / "scene.tif", size=300, seed=3)
    (folder / "text.tif").write_text("not a raster\n")
    done = run(
        "flows.infer_roads", "scene.tif", "missing.tif", "text.tif", "--labels", "labels",
        "--output", "out", "--model", str(roads_weights), "--tile", "128", "--overlap", "32",
        cwd=folder,
    )  # fmt: skip
    return folder, done


def test_bad_scenes_are_named_in_a_line_each_and_the_others_finish(outcome):
    folder, done = outcome
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert "missing.tif" in errors[0]
    assert "text.tif" in errors[1]
    assert "Traceback" not in done.stderr
    assert {p.name for p in (folder / "out").iterdir()} == {
        "scene", "report.json", "scores.csv", "report.html",
    }  # fmt: skip
    assert {p.name for p in (folder / "out" / "scene").iterdir()} == {
        "mask.tif", "probability.tif", "manifest.json",
    }  # fmt: skip


def test_scores_and_report_are_printed(outcome):
    _, done = outcome
    assert "pooled" in done.stdout
    assert "out/report.html" in done.stdout


def test_without_a_configured_api_no_server_is_started(outcome):
    folder, _ = outcome
    assert not (folder / "prefect-home").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--bogus", "3"], "--bogus"),
        (["--tile", "8"], "--tile"),
        (["--tile", "100", "--overlap", "100"], "overlap"),
        (["--steps", "many"], "--steps"),
    ],
)
def test_wrong_usage_is_status_2_and_one_line(words, named, tmp_path):
    done = run("flows.infer_roads", "x.tif", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert named in done.stderr


@pytest.mark.filterwarnings("ignore:Cyclopts application invoked")
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--bands", "0,1,2"], "--bands"),
        (["--bands", "red"], "--bands"),
        (["--value-range", "255"], "--value-range"),
        (["--value-range", "9,3"], "value range"),
        (["--dtype", "uint16"], "--dtype"),
        (["--min-size", "2km"], "--min-size: '2km' is not what it takes: Remove specks"),
        (["--min-size", "2km"], "for example 25m2. See"),
        (["--gsd", "0"], "--gsd"),
        (["--workers=-1"], "--workers"),
        (["--batch", "1"], "--batch"),
    ],
)
def test_wrong_values_are_status_2_and_one_line_that_names_them(words, named, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["infer_roads", "x.tif", *words])
    with pytest.raises(SystemExit) as ended:
        command("infer_roads", InferRoads, infer_roads)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert named in line


def test_training_without_data_says_how_to_get_it(tmp_path):
    done = run("flows.train_drive", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    for said in ("DRIVE: no such folder", "drive.grand-challenge.org", "1st_manual", "--data"):
        assert said in done.stderr


def test_threads_of_torch_that_wait_leave_the_processor_to_others(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)  # Set in this process by `flows`.
    done = run("flows.train_drive", cwd=tmp_path, OMP_DISPLAY_ENV="verbose")
    # What the policy comes to in GNU's OpenMP, that of torch on Linux; the policy itself is said
    # to be passive where none is set, and is not.
    spins = re.findall(r"GOMP_SPINCOUNT = '(\w+)'", done.stderr)
    if sys.platform == "linux":
        assert spins
    assert set(spins) <= {"0"}


def test_a_bad_folder_of_ones_own_is_one_line_and_nothing_is_written(tmp_path):
    done = run("flows.train_folder", "--images", "a", "--labels", "b", "--folds", "5", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: a: no such folder; check --images\n"
    assert list(tmp_path.iterdir()) == []


def test_help_lists_every_field_of_the_configuration(tmp_path):
    done = run("flows.infer_roads", "--help", cwd=tmp_path, COLUMNS="160")
    assert done.returncode == 0
    for field in InferRoads.model_fields:
        assert field == "scenes" or f"--{field.replace('_', '-')}" in done.stdout


def test_prefect_counts_as_configured_by_environment_or_profile(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("PREFECT_PROFILE", raising=False)
    assert not prefect_is_configured()
    (tmp_path / "profiles.toml").write_text(
        'active = "local"\n[profiles.ephemeral]\n'
        '[profiles.local]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"\n'
    )
    assert prefect_is_configured()
    monkeypatch.setenv("PREFECT_PROFILE", "ephemeral")
    assert not prefect_is_configured()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert prefect_is_configured()


def test_a_function_with_a_models_fields_checks_them_by_the_model():
    function = with_fields(InferRoads, lambda config: config)
    assert function(["a.tif"], tile=256).tile == 256
    with pytest.raises(ValueError, match="overlap"):
        function(tile=64, overlap=64)
    with pytest.raises(TypeError):
        function(unknown=1)


@pytest.fixture(scope="module")
def white_scene(tmp_path_factory, roads_weights, fresh_weights):
    """A scene of four bands with a white patch, and two weights files, in a folder."""
    folder = tmp_path_factory.mktemp("asked")
    pixels = np.random.default_rng(2).integers(0, 235, (4, 90, 100)).astype(np.uint8)
    pixels[:, :40, :40] = 255
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", dtype="uint8", count=4, height=90, width=100,
        crs="EPSG:26986", transform=Affine(1, 0, 2e5, 0, -1, 9e5), photometric="minisblack",
    ) as raster:  # fmt: skip
        raster.write(pixels)
    shutil.copy(roads_weights, folder / "a.safetensors")
    fresh_weights(folder / "b.safetensors", seed=5)
    return folder


SMALL = ("--tile", "64", "--overlap", "16", "--steps", "1", "--device", "cpu")


def test_options_with_several_values_leave_the_scene_alone(white_scene):
    words = (
        "flows.infer_roads", "--bands", "4,3,2", "--white-is-nodata", "--value-range=-5,300",
        "--model", "a.safetensors", "--model", "b.safetensors", "scene.tif", *SMALL,
        "--output", "out",
    )  # fmt: skip
    done = run(*words, cwd=white_scene)
    assert done.returncode == 0, done.stderr
    report = json.loads((white_scene / "out" / "report.json").read_text())
    assert report["model"]["name"] == "a + b"
    assert [scene["input"] for scene in report["scenes"]] == ["scene.tif"]
    assert report["settings"]["bands"] == "4,3,2"
    assert report["settings"]["value_range"] == "-5,300"
    with rasterio.open(white_scene / "out" / "scene" / "probability.tif") as raster:
        assert raster.tags()["RURNET_MODEL"] == "a,b"
        missing = raster.read(1) == 255
    assert missing[:40, :40].all()
    assert not missing[41:].any()

    again = run(*words, cwd=white_scene)
    assert again.returncode == 0
    assert "1 of 1 parts were there already" in again.stderr

    other = run(*words, "--threshold", "0.4", cwd=white_scene)
    assert other.returncode == 1
    [error] = [line for line in other.stderr.splitlines() if line.startswith("error: ")]
    assert "threshold 0.5 (now 0.4); give --overwrite" in error


def test_a_dry_run_prints_what_a_run_would_take_and_writes_nothing(white_scene, tmp_path):
    (tmp_path / "text.tif").write_text("no raster")
    done = run(
        "flows.infer_roads", str(white_scene / "scene.tif"), "text.tif", "--bands", "1,2,3",
        "--model", str(white_scene / "a.safetensors"), "--output", "out", *SMALL, "--dry-run",
        "--part-size", "64", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "text.tif" in error
    header, line, last = done.stdout.splitlines()
    for title in ("scene", "size", "tiles", "parts", "done twice", "memory", "disk", "time"):
        assert title in header
    assert line.split()[:7] == ["scene", "100", "x", "90", "4", "4", "0.0%"]
    assert re.fullmatch(
        r"scene +100 x 90 +4 +4 +0\.0% +\d\.\d GB +\d\.\d\d GB +\d+:\d\d:\d\d", line
    )
    assert "Nothing was written" in last
    assert [path.name for path in tmp_path.iterdir()] == ["text.tif"]


def crops(child):
    """The process that makes crops."""
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    (number,) = (
        int(number)
        for number in children
        if "spawn_main" in Path(f"/proc/{number}/cmdline").read_text()
    )
    return number


@pytest.mark.parametrize(
    ("stop", "status", "said"),
    [
        # As a terminal does: to the processes that make crops too.
        (lambda child: os.killpg(child.pid, signal.SIGINT), 130, "stopped; the same command goes"),
        (lambda child: child.terminate(), 143, "stopped; the same command goes"),
        # As a scheduler or `timeout` does.
        (lambda child: os.killpg(child.pid, signal.SIGTERM), 143, "stopped; the same command goes"),
        (lambda child: os.kill(crops(child), signal.SIGKILL), 1, "a process that makes crops died"),
    ],
    ids=["interrupted", "terminated", "all terminated", "crops killed"],
)
def test_a_training_that_is_stopped_says_so_and_goes_on(tmp_path, stop, status, said):
    write_roads_folder(tmp_path / "roads", train=3, valid=1, size=64)
    words = (
        "flows.train_roads", "--data", "roads", "--output", "out", "--crop-sizes", "32",
        "--batch-pixels", "2048", "--steps", "1", "--scorings", "250000", "--iterations",
    )  # fmt: skip
    last = tmp_path / "out" / "checkpoints" / "last.ckpt"
    with subprocess.Popen(
        [sys.executable, "-m", *words, "1000000"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PREFECT_HOME": str(tmp_path / "prefect-home")},
        # What a shell starts in the background does not hear interrupts, and hands that on.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as child:  # fmt: skip
        deadline = time.monotonic() + 240
        while not last.exists():
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        stop(child)
        _, errors = child.communicate(timeout=120)
    assert child.returncode == status
    last = errors.splitlines()[-1]
    assert last.startswith(f"error: {said}")
    assert "goes on from what is there" in last
    assert "Traceback" not in errors


STUCK = """
import os, signal, threading
from flows import command
from pipelines.config.inference import InferRoads

class Late:
    def __del__(self):
        os.write(2, b"what Python's own end takes down")

late = Late()

def run(config, progress):
    threading.Thread(target=threading.Event().wait).start()
    os.kill(os.getpid(), signal.SIGTERM)

command._ORDERLY_EXIT_S = 0.5
command.command("infer_roads", InferRoads, run)
"""


@pytest.mark.parametrize("stuck", [True, False], ids=["stuck", "free"])
def test_a_stopped_command_waits_neither_for_its_threads_nor_for_pythons_end(tmp_path, stuck):
    code = STUCK if stuck else STUCK.replace("target=threading.Event().wait", "")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=240,
        env={**os.environ, "PREFECT_HOME": str(tmp_path / "prefect-home")},
    )  # fmt: skip
    assert done.returncode == 143
    assert done.stderr.splitlines()[-1].startswith("error: stopped; the same command goes")
