"""`--threshold auto`: a threshold for each scene, from its probabilities alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio

from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import write_road_scene
from pipelines.errors import PipelineError
from pipelines.inference.planning.averaged import check_models
from pipelines.inference.run import infer_roads
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.scores.expected import best_expected
from tests.pipelines.inference.runs import ROADS_SMALL, Run, read_label


@pytest.fixture(scope="module")
def config(road_folder, roads_weights, tmp_path_factory):
    return InferRoads(
        scenes=[str(road_folder / "sat" / f"{name}.tif") for name in ("north", "south")],
        labels=road_folder / "map", model=[str(roads_weights)], threshold="auto",
        output=tmp_path_factory.mktemp("auto"), topology=False, part_size=64, **ROADS_SMALL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(config):
    return Run(infer_roads(config, Silence()))


def thresholds(report):
    return {scene["name"]: scene["threshold"] for scene in report["scenes"]}


def test_each_mask_is_cut_where_its_scene_expects_the_best_f1(run, roads_weights):
    weight = load(str(roads_weights)).card.foreground_weight
    own = thresholds(run.report)
    for name, threshold in own.items():
        levels, mask = run.read(name, "probability.tif"), run.read(name, "mask.tif")
        pixels = np.bincount(levels[levels != 255], minlength=255)
        level = best_expected(pixels, weight)
        assert threshold == level / 254
        np.testing.assert_array_equal(mask[levels != 255], levels[levels != 255] >= level)
        with rasterio.open(run.folder / name / "mask.tif") as file:
            assert float(file.tags()["RURNET_THRESHOLD"]) == threshold
    assert len(set(own.values())) == 2
    assert run.report["scoring"]["threshold"] == "auto"


def test_scores_are_of_the_masks_as_they_were_cut(run, road_folder):
    right = found = drawn = 0
    for scene in run.report["scenes"]:
        mask = run.read(scene["name"], "mask.tif")
        label = read_label(road_folder / "map" / f"{scene['name']}.tif")
        there = mask != 255
        hit, predicted, labelled = (
            int(one.sum()) for one in ((mask == 1) & label & there, mask == 1, label & there)
        )
        assert scene["at_threshold"]["f1"] == pytest.approx(2 * hit / (predicted + labelled))
        assert scene["at_threshold"]["threshold"] == scene["threshold"]
        right, found, drawn = right + hit, found + predicted, drawn + labelled
    pooled = run.report["pooled"]["at_threshold"]
    assert pooled["f1"] == pytest.approx(2 * right / (found + drawn))
    assert (pooled["precision"], pooled["recall"]) == pytest.approx((right / found, right / drawn))
    assert pooled["threshold"] == pytest.approx(np.mean([*thresholds(run.report).values()]))


def test_a_rerun_finds_the_thresholds_in_the_masks(run, config):
    before = thresholds(run.report)
    again = infer_roads(config, Silence())
    assert [scene.parts_computed for scene in again.report.scenes] == [0, 0]
    assert {scene.name: scene.threshold for scene in again.report.scenes} == before


def test_however_the_work_is_cut_the_masks_are_the_same(run, config, tmp_path):
    whole = config.model_copy(update={"output": tmp_path, "part_size": 256})
    infer_roads(whole, Silence())
    for name in thresholds(run.report):
        ours, others = (folder / name / "mask.tif" for folder in (run.folder, tmp_path))
        assert ours.read_bytes() == others.read_bytes()


def test_masks_of_another_threshold_are_not_taken_for_these(run, config):
    manifest = json.loads((run.folder / "north" / "manifest.json").read_text())
    assert manifest["settings"]["threshold"] == "auto"
    other = infer_roads(config.model_copy(update={"threshold": 0.5}), Silence())
    assert "threshold" in other.failed[0].error


def test_a_scene_in_which_little_is_expected_is_named(write_raster, tmp_path, caplog):
    write_road_scene(tmp_path / "town.tif", None, 160, 1)
    field = np.random.default_rng(2).normal(90, 4, (3, 160, 160)).astype(np.uint8)
    write_raster(tmp_path / "field.tif", field)
    settings = ROADS_SMALL | {"tile": 128, "overlap": 32, "measurements": True}
    found = {}
    for threshold in ("auto", 0.5):
        done = infer_roads(
            InferRoads(
                scenes=[str(tmp_path / f"{name}.tif") for name in ("town", "field")],
                output=tmp_path / str(threshold), threshold=threshold, **settings,
            ),
            Silence(),
        )  # fmt: skip
        found[threshold] = {
            scene.name: [one for one in scene.remarks if "make expect an F1" in one]
            for scene in done.report.scenes
        }
    [said] = found["auto"].pop("field")
    assert said.startswith(
        f"{tmp_path / 'field.tif'}: its own probabilities make expect an F1 of 0."
    )
    assert said in caplog.text
    assert found == {"auto": {"town": []}, 0.5: {"town": [], "field": []}}


def test_it_chooses_for_one_class(config, roads_weights):
    model = load(str(roads_weights))
    of_two = replace(model.card, classes=("background", "road", "path"))
    with pytest.raises(PipelineError, match="--threshold auto chooses for one"):
        check_models([replace(model, card=of_two)], config)


def test_evaluate_knows_no_weights_so_it_wants_a_number():
    with pytest.raises(ValueError, match="give a number"):
        Evaluate(threshold="auto")
    with pytest.raises(ValueError, match="exclude each other"):
        InferRoads(threshold="auto", noted_threshold=True)
