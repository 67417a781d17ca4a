"""Folders that were inferred to, scored again."""

import json
import shutil

import pytest

from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import write_road_scene
from pipelines.inference.run import infer_roads
from pipelines.results.progress import Silence
from tests.pipelines.evaluation.reported import names, scene, scored, scores, ungraded


@pytest.fixture(scope="module")
def inferred(tmp_path_factory, roads_weights):
    """Two drawn scenes that were inferred with their steps, and the report of that."""
    folder = tmp_path_factory.mktemp("roads")
    for seed, name in ((1, "north"), (2, "south")):
        write_road_scene(folder / "sat" / f"{name}.tif", folder / "map" / f"{name}.tif", 150, seed)
    config = InferRoads(
        scenes=[str(folder / "sat")], labels=folder / "map", output=folder / "out",
        model=[str(roads_weights)], tile=64, overlap=16, steps=2, device="cpu", save_steps=True,
        threshold=0.4, rho=2,
    )  # fmt: skip
    infer_roads(config, Silence())
    return folder, json.loads((folder / "out" / "report.json").read_text())


@pytest.fixture(scope="module")
def again(inferred):
    """The report of an evaluation of `inferred`."""
    folder, _ = inferred
    return scored(folder / "out", folder / "map", folder / "again", threshold=0.4, rho=2)


def test_a_folder_that_was_inferred_to_scores_what_inference_reported(inferred, again):
    folder, own = inferred
    report = again
    assert report["failed"] == []
    assert names(report) == names(own) == ["north", "south"]
    for name in names(own):
        assert scores(scene(report, name)) == scores(scene(own, name))
        assert scene(report, name)["height"] == 150
        assert scene(report, name)["label"] == str(folder / "map" / f"{name}.tif")
        assert scene(report, name)["files"] == scene(own, name)["files"]
    for summary in ("pooled", "mean", "sd", "intervals", "curve"):
        assert report[summary] == own[summary]
    assert report["model"] is None
    assert report["scoring"] == own["scoring"]


def test_the_steps_that_were_kept_are_scored_though_not_timed(inferred, again):
    _, own = inferred
    report = again
    assert [step["step"] for step in report["steps"]] == [1, 2]
    for step, before in zip(report["steps"], own["steps"], strict=True):
        assert step["pooled"] == before["pooled"]
        assert step["intervals"] == before["intervals"]
        assert step["seconds_per_megapixel"] is None
    assert report["steps"][0]["pooled"] != report["steps"][1]["pooled"]
    assert report["steps"][1]["pooled"] == report["pooled"]


def test_the_folder_of_a_single_scene_will_do_too(inferred, tmp_path):
    folder, own = inferred
    report = scored(
        folder / "out" / "south", folder / "map", tmp_path / "out", threshold=0.4, rho=2,
        topology=False,
    )  # fmt: skip
    assert names(report) == ["south"]
    assert scores(scene(report, "south")) == scores(scene(own, "south")) | {"topology": None}
    assert report["intervals"] is None


def test_masks_are_scored_where_they_are_asked_for(inferred, tmp_path):
    folder, own = inferred
    as_mask = scored(folder / "out", folder / "map", tmp_path / "k", kind="mask", rho=2)
    by_glob = scored(
        f"{folder}/out/*/mask.tif", folder / "map", tmp_path / "g", rho=2, topology=False
    )
    for report in (as_mask, by_glob):
        assert names(report) == ["north", "south"]
        assert report["failed"] == report["steps"] == []
        assert ungraded(report["pooled"])
        assert report["curve"] is None
        # The mask is that of the threshold.
        expected, found = own["pooled"]["at_threshold"], report["pooled"]["foreground"]
        assert {**expected, "threshold": None} == {**found, "threshold": None}
    assert as_mask["pooled"]["topology"] == own["pooled"]["topology"]


def test_a_run_of_which_only_masks_are_left_is_scored_by_them(inferred, tmp_path):
    folder, own = inferred
    for name in names(own):
        (tmp_path / "left" / name).mkdir(parents=True)
        shutil.copy(folder / "out" / name / "mask.tif", tmp_path / "left" / name)
    report = scored(tmp_path / "left", folder / "map", tmp_path / "o", topology=False)
    assert names(report) == ["north", "south"]
    expected = own["pooled"]["at_threshold"]["f1"]
    assert report["pooled"]["foreground"]["f1"] == pytest.approx(expected)


def test_rasters_of_ours_take_the_name_of_their_folder(inferred, tmp_path):
    folder, own = inferred
    report = scored(
        f"{folder}/out/*/probability-step1.tif", folder / "map", tmp_path / "o",
        threshold=0.4, rho=2, topology=False,
    )  # fmt: skip
    assert names(report) == ["north", "south"]
    assert report["pooled"] == own["steps"][0]["pooled"] | {"topology": None}


def test_steps_and_the_second_observer_are_told_too(inferred, told, tmp_path):
    folder, _ = inferred
    (tmp_path / "second").mkdir()
    shutil.copy(folder / "map" / "south.tif", tmp_path / "second" / "south.tif")
    scored(
        folder / "out" / "south", folder / "map", tmp_path / "out", told,
        second=tmp_path / "second", topology=False,
    )  # fmt: skip
    assert told.scenes == {"south": 3}
    assert told.done == 3
