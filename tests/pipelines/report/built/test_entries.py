"""What a report says of its scenes, failures, weights and machine."""

import shlex
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime
from importlib.metadata import version

import pytest
import rasterio

from pipelines.config.evaluation import Evaluate
from pipelines.results.outcome import SceneOutcome
from pipelines.scores.scores import Scores


def test_a_scene_has_its_files_and_sizes_and_what_it_took(report, config, run):
    assert [scene["name"] for scene in report["scenes"]] == [run.awkward, "empty", "other", "plain"]
    for scene in report["scenes"]:
        assert (scene["height"], scene["width"]) == (run.height, run.width)
        assert scene["input"] == str(config.output.parent / "scenes" / f"{scene['name']}.tif")
        kinds = ("probability", "mask", *(f"probability-step{step}" for step in (1, 2, 3)))
        folder = config.output / scene["name"]
        assert scene["files"] == {kind: str(folder / f"{kind}.tif") for kind in kinds}
        assert scene["tiles"] == 6
        assert (scene["parts"], scene["parts_computed"]) == (1, 1)
        assert scene["seconds"] > 0


def test_a_failure_is_named_with_its_reason_and_is_no_scene(report, run):
    [failed] = report["failed"]
    assert failed["input"].endswith(f"{run.bad}.tif")
    assert "not a raster" in failed["error"]
    assert run.bad not in [scene["name"] for scene in report["scenes"]]


def test_a_scene_without_a_label_has_no_scores_and_does_not_count_in_the_pool(report):
    *labelled, plain = report["scenes"]
    assert all(plain[group.name] is None for group in fields(Scores))
    assert plain["label"] is None
    counted = [scene["pixels"] for scene in labelled]
    assert len(counted) == 3
    assert report["pooled"]["pixels"] == sum(counted)


def test_the_model_is_what_predicted(report, model, outcomes, config, built, run):
    assert report["model"] == {
        "name": model.name, "task": "roads", "bands": 3, "classes": ["background", *run.classes],
        "network": "dru-4", "steps": 3, "weights_sha256": model.digest,
    }  # fmt: skip
    fewer = config.model_copy(update={"steps": 2})
    assert built(outcomes, fewer, models=[model]).model.steps == 2
    both = built(outcomes, models=[model, replace(model, name="other", digest="ab12")]).model
    assert both.name == f"{model.name} + other"
    assert both.network == "dru-4"
    assert both.weights_sha256 == f"{model.digest},ab12"


def test_no_model_is_known_of_rasters_that_were_only_scored(outcomes, built):
    only_scored = [
        replace(outcome, prediction=None) for outcome in outcomes if outcome.error is None
    ]
    found = built(only_scored, Evaluate())
    assert found.model is None
    assert set(found.settings) == set(Evaluate.model_fields)
    for scene in found.scenes:
        took = (scene.tiles, scene.parts, scene.parts_computed, scene.seconds)
        assert took == (None,) * 4


def test_it_says_what_it_was_made_with(report):
    made = report["made_with"]
    assert made["python"] == ".".join(map(str, sys.version_info[:3]))
    for package in ("rurnet", "torch", "numpy", "scipy", "scikit-image", "rasterio"):
        assert made["packages"][package] == version(package)
    assert made["packages"]["GDAL"] == rasterio.__gdal_version__
    assert shlex.split(made["command"])[1:] == sys.orig_argv[1:]
    assert made["cores"] >= 1
    assert made["processor"]
    assert made["seconds"] == 12.3


def test_it_says_when_and_by_which_version(report):
    assert report["version"] == version("rurnet")
    created = datetime.fromisoformat(report["created"])
    assert created.utcoffset().total_seconds() == 0
    assert abs((datetime.now(UTC) - created).total_seconds()) < 600


def test_a_command_with_blanks_can_be_pasted_into_a_shell(monkeypatch, built):
    monkeypatch.setattr(sys, "orig_argv", ["/bin/python3", "-m", "flows.evaluate", "my run; rm x"])
    command = built([]).made_with.command
    assert command == "python -m flows.evaluate 'my run; rm x'"


@pytest.mark.parametrize(
    ("sources", "folder"),
    [
        (["/data/a/1.tif"], "/data/a"),
        (["/data/a/1.tif", "/data/b/2.tif"], "/data"),
        (["a/1.tif", "b/2.tif"], "."),
        (["/vsizip/x.zip/1.tif", "/vsizip/x.zip/2.tif"], "/vsizip/x.zip"),
        ([], None),
    ],
)
def test_data_is_the_folder_that_all_inputs_lie_in(built, sources, folder):
    outcomes = [SceneOutcome(str(n), source) for n, source in enumerate(sources)]
    assert built(outcomes).data == folder
