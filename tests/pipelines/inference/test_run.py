"""Runs over road scenes, from a folder to scores, and what is refused before any."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError

from pipelines.config.inference import InferDrive, InferRoads
from pipelines.errors import DataError, WeightsError
from pipelines.inference.run import infer_drive, infer_roads
from pipelines.models import weights
from pipelines.results.progress import Silence
from pipelines.results.report import as_json
from tests.pipelines.inference.runs import ROADS_SMALL, Run, assert_scores, by_hand


@pytest.fixture(scope="module")
def roads(road_folder, roads_weights):
    """A run over a folder of road scenes with labels."""
    config = InferRoads(
        scenes=[str(road_folder / "sat")], labels=road_folder / "map",
        output=road_folder / "out", model=[str(roads_weights)], **ROADS_SMALL,
    )  # fmt: skip
    return Run(infer_roads(config, Silence()))


# Roads.


def test_every_scene_and_the_pool_score_what_is_computed_by_hand_from_the_files(roads, road_folder):
    levels, labels = [], []
    for scene in roads.report["scenes"]:
        levels.append(roads.read(scene["name"], "probability.tif"))
        with rasterio.open(road_folder / "map" / f"{scene['name']}.tif") as label:
            labels.append(label.read(1) > 0)
        assert_scores(scene, by_hand(levels[-1], labels[-1]))
        assert scene["label"] == str(road_folder / "map" / f"{scene['name']}.tif")
    assert [scene["name"] for scene in roads.report["scenes"]] == ["north", "south"]
    assert_scores(roads.report["pooled"], by_hand(np.concatenate(levels), np.concatenate(labels)))


def test_at_the_break_even_threshold_precision_is_recall(roads, road_folder):
    scene = roads.report["scenes"][0]
    levels = roads.read(scene["name"], "probability.tif")
    with rasterio.open(road_folder / "map" / f"{scene['name']}.tif") as raster:
        label = raster.read(1) > 0
    there = levels != 255
    point = scene["break_even"]["threshold"] * 254
    differences = []
    for level in (np.floor(point), np.ceil(point + 1e-9)):
        predicted = (levels >= level) & there
        hit = (predicted & label).sum()
        precision, recall = hit / predicted.sum(), hit / (label & there).sum()
        differences.append(precision - recall)
        assert abs(scene["break_even"]["value"] - precision) < 0.05
    assert differences[0] <= 0 <= differences[1]


def test_the_mask_on_disk_has_the_scores_at_half(roads, road_folder):
    for scene in roads.report["scenes"]:
        mask = roads.read(scene["name"], "mask.tif")
        with rasterio.open(road_folder / "map" / f"{scene['name']}.tif") as raster:
            label = raster.read(1) > 0
        hit = ((mask == 1) & label).sum()
        assert hit / (mask == 1).sum() == pytest.approx(scene["foreground"]["precision"])
        assert hit / (label & (mask != 255)).sum() == pytest.approx(scene["foreground"]["recall"])


def test_one_bad_file_is_reported_and_the_others_are_done(roads):
    [failed] = roads.report["failed"]
    assert failed["input"].endswith("broken.tif")
    assert "broken.tif" in failed["error"]
    assert not (roads.folder / "broken").exists()
    assert (roads.folder / "report.html").read_text(encoding="utf-8").count("broken.tif") >= 1


def test_the_table_has_every_scene_and_the_pool(roads):
    table = roads.table()
    assert list(table) == [
        ("prediction", of, scene)
        for of, scene in (
            ("scene", "north"), ("scene", "south"), ("mean", ""), ("sd", ""), ("pooled", ""),
            ("low", ""), ("high", ""),
        )
    ]  # fmt: skip
    for scene in roads.report["scenes"]:
        line = table["prediction", "scene", scene["name"]]
        assert float(line["foreground.f1"]) == pytest.approx(scene["foreground"]["f1"], abs=1e-6)


def test_the_result_is_what_the_report_file_holds(roads):
    assert json.loads(json.dumps(as_json(roads.result.report))) == roads.report


def test_without_labels_there_is_no_score(road_folder, roads_weights, tmp_path):
    config = InferRoads(
        scenes=[str(road_folder / "sat" / "north.tif")], output=tmp_path,
        model=[str(roads_weights)], **ROADS_SMALL,
    )  # fmt: skip
    run = Run(infer_roads(config, Silence()))
    assert run.report["pooled"] is None
    assert [scene["foreground"] for scene in run.report["scenes"]] == [None]
    assert (run.folder / "north" / "mask.tif").is_file()


def test_the_threshold_moves_the_mask_and_leaves_the_scores_at_half(
    roads, road_folder, roads_weights, tmp_path
):
    config = InferRoads(
        scenes=[str(road_folder / "sat" / "north.tif")], labels=road_folder / "map",
        output=tmp_path, model=[str(roads_weights)], threshold=0.53, **ROADS_SMALL,
    )  # fmt: skip
    run = Run(infer_roads(config, Silence()))
    assert run.report["scenes"][0]["foreground"] == roads.report["scenes"][0]["foreground"]
    levels, mask = run.read("north", "probability.tif"), run.read("north", "mask.tif")
    np.testing.assert_array_equal(mask == 1, (levels >= 0.53 * 254) & (levels != 255))


def test_the_threshold_that_the_weights_note_can_be_taken(road_folder, roads_weights, tmp_path):
    noted = []
    for number, threshold in enumerate((0.5, 0.56)):
        model = weights.load(str(roads_weights))
        noted.append(tmp_path / f"{number}.safetensors")
        weights.save(noted[-1], model.network, replace(model.card, threshold=threshold))
    config = InferRoads(
        scenes=[str(road_folder / "sat" / "north.tif")], output=tmp_path / "out",
        model=[str(path) for path in noted], noted_threshold=True, **ROADS_SMALL,
    )  # fmt: skip
    run = Run(infer_roads(config, Silence()))
    levels, mask = run.read("north", "probability.tif"), run.read("north", "mask.tif")
    np.testing.assert_array_equal(mask == 1, (levels >= 0.53 * 254) & (levels != 255))
    assert 0 < (mask == 1).sum() < ((levels >= 127) & (levels != 255)).sum()


def test_one_threshold_is_asked_for_not_two():
    with pytest.raises(ValidationError, match="give one of them"):
        InferRoads(threshold=0.6, noted_threshold=True)


# Before anything runs.


@pytest.mark.parametrize(
    ("infer", "config", "inbox", "fixture"),
    [
        (infer_roads, InferRoads, "inbox/roads", "roads_weights"),
        (infer_drive, InferDrive, "inbox/fundus", "vessels_weights"),
    ],
)
def test_an_empty_default_inbox_is_made_and_said_to_be_empty_and_nothing_is_reported(
    monkeypatch, request, tmp_path, infer, config, inbox, fixture
):
    weights = request.getfixturevalue(fixture)
    monkeypatch.chdir(tmp_path)
    for found in (
        f"no scenes in {inbox}, which was not there",
        f"no scenes in {inbox}, which is empty",
    ):
        result = infer(config(model=[str(weights)], device="cpu"), Silence())
        assert found in result.nothing
        assert not result.reported
        assert result.failed == []
        assert (tmp_path / inbox).is_dir()
        assert not (tmp_path / "outbox").exists()
        (tmp_path / inbox / ".gitkeep").touch()


def test_a_dry_run_of_an_inbox_that_is_not_there_makes_none(monkeypatch, roads_weights, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = InferRoads(model=[str(roads_weights)], device="cpu", dry_run=True)
    assert infer_roads(config, Silence()).estimates == []
    assert list(tmp_path.iterdir()) == []


def test_an_inbox_with_nothing_but_other_files_is_an_error(monkeypatch, roads_weights, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox" / "roads").mkdir(parents=True)
    (tmp_path / "inbox" / "roads" / "readme.txt").touch()
    with pytest.raises(DataError, match="inbox/roads"):
        infer_roads(InferRoads(model=[str(roads_weights)], device="cpu"), Silence())


def test_weights_of_the_other_task_are_refused_before_anything_runs(
    road_folder, vessels_weights, tmp_path
):
    config = InferRoads(
        scenes=[str(road_folder / "sat")], output=tmp_path / "out",
        model=[str(vessels_weights)], **ROADS_SMALL,
    )  # fmt: skip
    with pytest.raises(WeightsError, match="vessels, not roads"):
        infer_roads(config, Silence())
    assert not (tmp_path / "out").exists()
