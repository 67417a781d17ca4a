"""The command lines: one-line errors, exit status, and Prefect only where it is configured."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.command import prefect_is_configured, with_fields
from pipelines.config import InferRoads
from pipelines.samples import write_road_scene


def run(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

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
    assert {p.name for p in (folder / "out" / "scene").iterdir()} == {"mask.tif", "probability.tif"}


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


def test_training_without_data_says_how_to_get_it(tmp_path):
    done = run("flows.train_drive", cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    for said in ("DRIVE: no such folder", "drive.grand-challenge.org", "1st_manual", "--data"):
        assert said in done.stderr


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
