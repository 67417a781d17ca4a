"""The command lines: one-line errors, exit status, and Prefect only where it is configured."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

import flows
from flows.cli.signature import option_of
from flows.command import command
from flows.table import FLOWS
from pipelines.datasets.synthetic import write_road_scene


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
        "scene", "report.json", "scores.csv", "tables.xlsx", "report.html", "errors.gpkg",
        "measurements.csv", "uncertain.csv",
    }  # fmt: skip
    assert {p.name for p in (folder / "out" / "scene").iterdir()} == {
        "mask.tif", "mask.qml", "probability.tif", "probability.qml", "manifest.json",
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


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--bands", "0,1,2"], "--bands"),
        (["--bands", "red"], "--bands"),
        (["--value-range", "255"], "--value-range"),
        (["--value-range", "9,3"], "value range"),
        (["--dtype", "uint16"], "--dtype"),
        (["--min-size", "2km"], "--min-size: '2km' does not fit its description: Remove specks"),
        (["--min-size", "2km"], "for example 25m2. See"),
        (["--tile", "300.5"], "for --tile: 300.5 is not a whole number."),
        (["--steps", "0.5"], "for --steps: 0.5 is not a whole number, nor auto."),
        (["--steps", "0"], "--steps: Input should be greater than or equal to 1. See"),
        (["--threshold", "2"], "--threshold: Input should be less than or equal to 1. See"),
        (["--gsd", "0"], "--gsd"),
        (["--workers=-1"], "--workers"),
        (["--batch", "1"], "--batch"),
    ],
)
def test_wrong_values_are_status_2_and_one_line_that_names_them(words, named, capsys):
    with pytest.raises(SystemExit) as ended:
        command(FLOWS["infer-roads"], "rurnet infer-roads", ["x.tif", *words])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert named in line
    assert line.endswith("See rurnet infer-roads --help")


def test_training_without_data_says_how_to_get_it(tmp_path):
    done = run("flows.train_drive", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    for said in ("DRIVE: no such folder", "drive.grand-challenge.org", "1st_manual", "--data"):
        assert said in done.stderr


def test_a_bad_folder_of_ones_own_is_one_line_and_nothing_is_written(tmp_path):
    done = run("flows.train_folder", "--images", "a", "--labels", "b", "--folds", "5", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: a: no such folder; check --images\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_help_lists_every_option(flow, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    with pytest.raises(SystemExit) as ended:
        command(flow, f"rurnet {flow.name}", ["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: rurnet {flow.name} [OPTIONS]")
    assert flow.help in said
    for field in flow.config().model_fields:
        assert option_of(field) in said


MODULES = sorted({f"flows.{name.replace('-', '_')}" for name in FLOWS} & {
    f"flows.{path.stem}" for path in Path(flows.__path__[0]).glob("*.py")
})  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_a_flow_with_a_module_is_run_by_it(module, tmp_path):
    done = run(module, "--bogus", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith(f"See python -m {module} --help\n")


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
    for title in ("scene", "size", "tiles left", "parts", "done twice", "memory", "disk", "time"):
        assert title in header
    assert re.fullmatch(r"scene +100 x 90 +4 of 4 +4 +0\.0% +\d\.\d GB +\d\.\d\d GB +–", line)
    assert "--measure tells the time too. Nothing was written." in last
    assert [path.name for path in tmp_path.iterdir()] == ["text.tif"]
