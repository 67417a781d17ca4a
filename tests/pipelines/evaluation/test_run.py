"""Rasters of ours and of other tools against labels, from the folder to the report."""

import json
import math
import re
import shutil
from dataclasses import fields

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import draw_fundus, write_road_scene
from pipelines.errors import DataError, PipelineError
from pipelines.evaluation.run import evaluate
from pipelines.inference.run import infer_roads
from pipelines.results.progress import Silence
from pipelines.results.report import as_json
from pipelines.scores.scores import Scores

HEIGHT, WIDTH = 60, 80
GROUPS = tuple(group.name for group in fields(Scores))


@pytest.fixture(autouse=True)
def _only_pages_that_are_looked_at(request, monkeypatch):
    """Drawing one takes half a second."""
    if "page" not in request.fixturenames:
        monkeypatch.setattr("pipelines.report.write.render_page", lambda report, pictures: "")


@pytest.fixture
def page(tmp_path):
    """Reads the page of an evaluation."""

    def read(output="out"):
        return (tmp_path / output / "report.html").read_text(encoding="utf-8")

    return read


def scored(predictions, labels, output, progress=None, **options):
    """What `report.json` holds of an evaluation."""
    predictions = predictions if isinstance(predictions, list) else [predictions]
    config = Evaluate(
        predictions=[str(path) for path in predictions], labels=labels, output=output, **options
    )
    result = evaluate(config, progress or Silence())
    assert result.folder == output
    assert not list(output.rglob("*.partial"))
    report = json.loads((output / "report.json").read_text(), parse_constant=not_json)
    assert report == json.loads(json.dumps(as_json(result.report)))
    return report


def not_json(word):
    raise AssertionError(f"{word} is not JSON")


def scores(of):
    return {group: of[group] for group in GROUPS}


def ungraded(of):
    """Whether there is none of the scores that only probabilities have."""
    numbers = (
        of["best"]["f1"], of["break_even"]["value"], of["roc_auc"], of["average_precision"],
        of["calibration"]["ece"],
    )  # fmt: skip
    return set(numbers) == {None}


def scene(report, name):
    [found] = [scene for scene in report["scenes"] if scene["name"] == name]
    return found


def names(report):
    return [scene["name"] for scene in report["scenes"]]


def by_hand(predicted, label, there=True):
    """Precision and recall of booleans."""
    predicted, label = predicted & there, label & there
    hit = (predicted & label).sum()
    return hit / predicted.sum(), hit / label.sum()


def assert_foreground(of, expected):
    found = of["foreground"]["precision"], of["foreground"]["recall"]
    assert found == pytest.approx(expected)


def drawing(seed):
    """Lines [h, w], True on them."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    for row in random.integers(5, HEIGHT - 5, 3):
        pixels[row - 1 : row + 2] = True
    for column in random.integers(5, WIDTH - 5, 2):
        pixels[:, column - 1 : column + 2] = True
    return pixels


def guess(label, seed):
    """Probabilities [1, h, w] of lines, not all of them right."""
    noise = np.random.default_rng(seed).normal(0, 0.25, label.shape)
    return (label * 0.4 + 0.3 + noise).clip(0, 1).astype(np.float32)[None]


@pytest.fixture
def tool(write_raster, tmp_path):
    """Another tool's rasters, and labels, of scenes a, b and c; returns what was drawn."""
    drawn = {}
    for seed, name in enumerate("abc"):
        drawn[name] = drawing(seed)
        write_raster(tmp_path / "labels" / f"{name}.tif", drawn[name].astype(np.uint8)[None])
        write_raster(tmp_path / "tool" / f"{name}.tif", guess(drawn[name], seed))
        write_raster(tmp_path / "other" / f"{name}.tif", guess(drawn[name], seed + 10))
    return drawn


def probability(tmp_path, name, folder="tool"):
    with rasterio.open(tmp_path / folder / f"{name}.tif") as raster:
        return raster.read(1)


# What we inferred.


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


# What another tool made.


def test_a_flat_folder_of_probabilities_is_scored_by_its_stems(tool, tmp_path):
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out")
    assert names(report) == ["a", "b", "c"]
    every = []
    for name, label in tool.items():
        predicted = probability(tmp_path, name) >= 0.5
        assert_foreground(scene(report, name), by_hand(predicted, label))
        every.append((predicted, label))
    predicted, labels = map(np.stack, zip(*every, strict=True))
    assert_foreground(report["pooled"], by_hand(predicted, labels))
    assert report["pooled"]["pixels"] == labels.size
    assert report["model"] is report["second_observer"] is report["comparison"] is None
    assert report["data"] == str(tmp_path / "tool")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.json", "report.html", "scores.csv",
    }  # fmt: skip


@pytest.mark.parametrize("chosen", [["tool/*.tif"], ["tool/a.tif", "tool/b.tif", "tool/[c].tif"]])
def test_globs_and_files_are_scored_too(tool, tmp_path, chosen):
    chosen = [f"{tmp_path}/{one}" for one in chosen]
    report = scored(chosen, tmp_path / "labels", tmp_path / "out", topology=False)
    assert names(report) == ["a", "b", "c"]
    whole = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out2", topology=False)
    assert report["pooled"] == whole["pooled"]


@pytest.mark.parametrize("graded", [True, False])
def test_masks_and_probabilities_in_other_formats_are_told_apart(tool, tmp_path, graded):
    expected = {}
    (tmp_path / "mixed").mkdir()
    for name, label in tool.items():
        guessed = probability(tmp_path, name)
        white = guessed if graded else guessed > 0.5
        pixels = np.rint(white * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "mixed" / f"{name}.png")
        expected[name] = by_hand(pixels / 255 >= 0.5, label)
    report = scored(tmp_path / "mixed", tmp_path / "labels", tmp_path / "out")
    for name in "abc":
        assert_foreground(scene(report, name), expected[name])
        assert ungraded(scene(report, name)) == (not graded)


@pytest.mark.parametrize("kind", ["probability", "mask"])
def test_the_kind_that_is_asked_for_goes_before_what_it_looks_like(
    tool, write_raster, tmp_path, kind
):
    for name, label in tool.items():
        pixels = label * 255
        write_raster(tmp_path / "odd" / f"{name}.tif", pixels.astype(np.uint8)[None])
    report = scored(tmp_path / "odd", tmp_path / "labels", tmp_path / "out", kind=kind)
    assert ungraded(report["pooled"]) == (kind == "mask")
    assert report["pooled"]["foreground"]["recall"] == 1


def test_a_label_may_lie_beside_the_prediction_of_its_name(tool, tmp_path):
    pixels = np.rint(probability(tmp_path, "a") * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "labels" / "a.png")
    report = scored(tmp_path / "labels" / "a.png", tmp_path / "labels", tmp_path / "out")
    assert scene(report, "a")["label"] == str(tmp_path / "labels" / "a.tif")


def test_a_range_of_values_is_that_of_all_rasters(tool, write_raster, tmp_path):
    for name in tool:
        percent = np.rint(probability(tmp_path, name) * 100).astype(np.uint8)[None]
        write_raster(tmp_path / "percent" / f"{name}.tif", percent)
    report = scored(
        tmp_path / "percent", tmp_path / "labels", tmp_path / "out", value_range="0,100"
    )
    for name, label in tool.items():
        predicted = np.rint(probability(tmp_path, name) * 100) >= 50
        assert_foreground(scene(report, name), by_hand(predicted, label))


def test_the_threshold_is_the_chosen_one(tool, tmp_path):
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", threshold=0.7)
    predicted = probability(tmp_path, "b") * 254 >= 178
    found = scene(report, "b")["at_threshold"]
    expected = by_hand(predicted, tool["b"])
    assert (found["precision"], found["recall"]) == pytest.approx(expected)
    assert report["scoring"]["threshold"] == 0.7


def test_names_of_data_sets_and_of_anyone_are_matched(write_raster, page, tmp_path):
    drawn = drawing(1)
    labels = {
        "21_training": "21_manual1.gif",
        "Image_01L": "Image_01L_1stHO.png",
        "a b": "a b.png",
        'it\'s "so"': 'it\'s "so".png',
        "<b>bold</b>".replace("/", "∕"): "<b>bold</b>.png".replace("/", "∕"),
        "[1]*": "[1]*.png",
        "Straße 北": "Straße 北.png",
        "v1.2": "v1.2.png",
    }
    (tmp_path / "labels").mkdir()
    for name, label in labels.items():
        write_raster(tmp_path / "tool" / f"{name}.tif", guess(drawn, 1), crs=None)
        Image.fromarray((drawn * 255).astype(np.uint8)).save(tmp_path / "labels" / label)
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", topology=False)
    assert report["failed"] == []
    assert sorted(names(report)) == sorted(labels)
    for name, label in labels.items():
        assert scene(report, name)["label"] == str(tmp_path / "labels" / label)
    assert "Straße 北" in page()
    assert "&lt;b&gt;bold" in page()
    assert "<b>bold" not in page()


# Two runs.


def f1_of(report):
    return {one["name"]: one["foreground"]["f1"] for one in report["scenes"]}


def test_two_folders_differ_by_what_their_own_reports_do(tool, tmp_path):
    labels = tmp_path / "labels"
    both = scored([tmp_path / "tool", tmp_path / "other"], labels, tmp_path / "out")
    a = scored(tmp_path / "tool", labels, tmp_path / "a")
    b = scored(tmp_path / "other", labels, tmp_path / "b")
    compared = both["comparison"]
    assert (compared["a"], compared["b"]) == (str(tmp_path / "tool"), str(tmp_path / "other"))
    assert compared["scenes"] == 3
    assert both["pooled"] == a["pooled"]
    first, second = f1_of(a), f1_of(b)
    assert [pair["scene"] for pair in compared["paired"]] == ["a", "b", "c"]
    for pair in compared["paired"]:
        name = pair["scene"]
        assert (pair["a"], pair["b"]) == (first[name], second[name])
        assert pair["difference"] == pytest.approx(second[name] - first[name])
    rows = {row["column"]: row for row in compared["rows"]}
    for path in ("foreground.f1", "break_even.value", "class_mean.iou", "topology.cldice"):
        group, score = path.split(".")
        row = rows[path]
        assert row["a"] == pytest.approx(a["pooled"][group][score])
        assert row["b"] == pytest.approx(b["pooled"][group][score])
        assert row["difference"] == pytest.approx(row["b"] - row["a"])
        assert row["mean"] == pytest.approx(b["mean"][path] - a["mean"][path])
        assert row["low"] <= row["high"]
        assert row["mean_low"] <= row["mean"] <= row["mean_high"]


def test_a_run_does_not_differ_from_itself(tool, tmp_path):
    runs = [tmp_path / "tool"] * 2
    report = scored(runs, tmp_path / "labels", tmp_path / "out")
    assert all(pair["difference"] == 0 for pair in report["comparison"]["paired"])
    for row in report["comparison"]["rows"]:
        keys = ("difference", "low", "high", "mean", "mean_low", "mean_high")
        assert {row[key] for key in keys} <= {0, None}
        if row["a"] is not None:
            assert row["difference"] == 0


def test_only_scenes_that_both_have_are_compared(tool, tmp_path):
    (tmp_path / "tool" / "a.tif").unlink()
    (tmp_path / "other" / "c.tif").unlink()
    runs = [tmp_path / "tool", tmp_path / "other"]
    report = scored(runs, tmp_path / "labels", tmp_path / "out")
    assert [pair["scene"] for pair in report["comparison"]["paired"]] == ["b"]
    assert names(report) == ["b", "c"]
    [row] = [row for row in report["comparison"]["rows"] if row["column"] == "foreground.f1"]
    assert row["a"] == scene(report, "b")["foreground"]["f1"]
    assert row["low"] is None  # Of one scene there is no interval.


def test_runs_without_a_scene_in_common_are_not_compared(tool, tmp_path):
    for folder, gone in (("tool", "a"), ("other", "bc")):
        for name in gone:
            (tmp_path / folder / f"{name}.tif").unlink()
    report = scored([tmp_path / "tool", tmp_path / "other"], tmp_path / "labels", tmp_path / "out")
    assert report["comparison"] is None
    assert names(report) == ["b", "c"]


def test_two_rasters_of_one_scene_are_compared(tool, tmp_path):
    runs = [tmp_path / "tool" / "a.tif", tmp_path / "other" / "a.tif"]
    report = scored(runs, tmp_path / "labels", tmp_path / "out")
    assert report["comparison"]["a"] == str(runs[0])
    assert [pair["scene"] for pair in report["comparison"]["paired"]] == ["a"]


def test_probabilities_may_be_compared_with_masks(tool, write_raster, tmp_path):
    for name in tool:
        mask = (probability(tmp_path, name) > 0.6).astype(np.uint8)[None]
        write_raster(tmp_path / "masks" / f"{name}.tif", mask)
    runs = [tmp_path / "tool", tmp_path / "masks"]
    report = scored(runs, tmp_path / "labels", tmp_path / "out")
    rows = {row["column"]: row for row in report["comparison"]["rows"]}
    assert rows["foreground.f1"]["difference"] is not None
    assert rows["break_even.value"]["a"] is not None
    assert rows["break_even.value"]["b"] is rows["break_even.value"]["difference"] is None


def test_an_undefined_score_of_a_scene_is_null_in_the_comparison(tool, write_raster, tmp_path):
    """Nothing is there and nothing is found: there is no F1."""
    nothing = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    for folder in ("tool", "other", "labels"):
        write_raster(tmp_path / folder / "b.tif", nothing)
    runs = [tmp_path / "tool", tmp_path / "other"]
    report = scored(runs, tmp_path / "labels", tmp_path / "out")
    [pair] = [pair for pair in report["comparison"]["paired"] if pair["scene"] == "b"]
    assert pair == {"scene": "b", "a": None, "b": None, "difference": None}
    assert report["comparison"]["scenes"] == 3


def test_what_fails_in_the_second_run_is_named_too(tool, page, tmp_path):
    (tmp_path / "other" / "b.tif").write_text("no raster")
    runs = [tmp_path / "tool", tmp_path / "other"]
    report = scored(runs, tmp_path / "labels", tmp_path / "out")
    [failed] = report["failed"]
    assert failed["input"] == str(tmp_path / "other" / "b.tif")
    assert "other/b.tif" in failed["error"]
    assert "1 failed" in page()
    assert [pair["scene"] for pair in report["comparison"]["paired"]] == ["a", "c"]


# What goes wrong with one scene.


def gone(tmp_path, write_raster):
    (tmp_path / "labels" / "b.tif").unlink()
    return r"b: no label of this name in .*labels"


def other_size(tmp_path, write_raster):
    write_raster(tmp_path / "labels" / "b.tif", np.zeros((1, HEIGHT, WIDTH - 1), np.uint8))
    return r"labels/b\.tif: 79 x 60 pixels, but .*tool/b\.tif has 80 x 60"


def other_crs(tmp_path, write_raster):
    pixels = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    write_raster(tmp_path / "labels" / "b.tif", pixels, crs="EPSG:32619")
    return r"labels/b\.tif: .*EPSG:32619.*EPSG:26986; .*gdalwarp"


def elsewhere(tmp_path, write_raster):
    pixels = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    place = Affine(1.0, 0, 200_002.5, 0, -1.0, 900_000.25)
    write_raster(tmp_path / "labels" / "b.tif", pixels, transform=place)
    return r"labels/b\.tif: .*2\.0 pixels away"


def damaged(tmp_path, write_raster):
    path = tmp_path / "tool" / "b.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return r"tool/b\.tif: .*"


def damaged_label(tmp_path, write_raster):
    path = tmp_path / "labels" / "b.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return r"labels/b\.tif: .*"


def no_raster(tmp_path, write_raster):
    (tmp_path / "tool" / "b.tif").write_text("no raster")
    return r"tool/b\.tif: not a raster"


def no_probability(tmp_path, write_raster):
    write_raster(tmp_path / "tool" / "b.tif", np.full((1, HEIGHT, WIDTH), 7, np.float32))
    return r"tool/b\.tif: value 7 is no probability.*--value-range"


def more_bands(tmp_path, write_raster):
    write_raster(tmp_path / "tool" / "b.tif", np.zeros((2, HEIGHT, WIDTH), np.float32))
    return r"tool/b\.tif: 2 bands"


@pytest.mark.parametrize(
    "spoil",
    [gone, other_size, other_crs, elsewhere, damaged, damaged_label, no_raster, no_probability,
     more_bands],
)  # fmt: skip
def test_what_is_wrong_with_one_scene_ends_that_one_alone(
    tool, write_raster, tmp_path, spoil, told
):
    whole = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "whole", topology=False)
    said = spoil(tmp_path, write_raster)
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", told, topology=False)
    [failed] = report["failed"]
    assert failed["input"] == str(tmp_path / "tool" / "b.tif")
    assert re.match(rf"({tmp_path}/)?{said}", failed["error"])
    assert "\n" not in failed["error"]
    assert names(report) == ["a", "c"]
    for name in "ac":
        assert scene(report, name) == scene(whole, name)
    assert [outcome.error is None for outcome in told.outcomes] == [True, False, True]


@pytest.mark.parametrize("missing", ["toool/b.tif", "toool"])
def test_a_mistyped_prediction_is_named_before_anything_is_written(tool, tmp_path, missing):
    chosen = [tmp_path / "tool" / "a.tif", tmp_path / missing]
    with pytest.raises(DataError, match=rf"{missing}: no such file or folder; check the path"):
        scored(chosen, tmp_path / "labels", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_one_scene_looks_like_does_not_decide_for_the_others(tool, write_raster, tmp_path):
    for name in tool:
        grey = np.rint(probability(tmp_path, name) * 255).astype(np.uint8)
        # Hardly anything in it: by itself it would be a mask.
        grey = (grey > 200).astype(np.uint8) if name == "c" else grey
        write_raster(tmp_path / "grey" / f"{name}.tif", grey[None])
    report = scored(tmp_path / "grey", tmp_path / "labels", tmp_path / "out")
    assert not any(ungraded(scene(report, name)) for name in tool)
    assert scene(report, "c")["foreground"]["recall"] == 0
    assert report["pooled"]["average_precision"] is not None


def test_runs_that_count_other_pixels_are_told(tool, write_raster, tmp_path):
    for name in tool:
        pixels = probability(tmp_path, name).astype(np.float32)
        if name == "b":
            pixels[:7] = np.nan
        write_raster(tmp_path / "holes" / f"{name}.tif", pixels[None])
    both = [tmp_path / "tool", tmp_path / "holes"]
    report = scored(both, tmp_path / "labels", tmp_path / "out")
    assert report["comparison"]["unlike"] == ["b"]


def test_figures_of_an_earlier_run_are_no_predictions(tool, tmp_path):
    for _ in range(2):
        report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "tool", figures=True)
        assert report["failed"] == []
        assert len(report["scenes"]) == len(tool)


# What goes wrong before anything is scored.


def error_of(tmp_path, predictions, **options):
    given = {"labels": tmp_path / "labels", "output": tmp_path / "out", **options}
    config = Evaluate(predictions=[str(tmp_path / one) for one in predictions], **given)
    with pytest.raises(PipelineError) as error:
        evaluate(config, Silence())
    assert isinstance(error.value, DataError)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
    return str(error.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("option", ["labels", "fov", "second", "images"])
def test_a_folder_that_is_not_there_is_named_with_its_option(tool, tmp_path, option):
    said = error_of(tmp_path, ["tool"], **{option: tmp_path / "nowhere"})
    assert said == f"nowhere: no such folder; check --{option}"


def test_a_folder_without_rasters_is_named(tool, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    assert error_of(tmp_path, ["empty"]).startswith("empty: no predicted rasters in it")
    assert error_of(tmp_path, ["tool", "empty"]).startswith("empty: no predicted rasters in it")
    assert "empty/*.tif: no images" in error_of(tmp_path, ["empty/*.tif"])


def test_two_rasters_of_one_scene_among_several_are_named(tool, tmp_path):
    shutil.copy(tmp_path / "tool" / "a.tif", tmp_path / "tool" / "a.tiff")
    said = error_of(tmp_path, ["tool"])
    assert said == "tool/a.tif and tool/a.tiff are both of scene a; leave one out"
    assert "both of scene b" in error_of(tmp_path, ["tool/b.tif", "other/b.tif", "other/c.tif"])


def test_folders_and_rasters_are_not_mixed_and_no_more_than_two_are_compared(tool, tmp_path):
    assert "give one folder, two" in error_of(tmp_path, ["tool", "other/b.tif"])
    assert "give one folder, two" in error_of(tmp_path, ["tool", "other", "labels"])


def test_a_report_that_cannot_be_written_is_an_error(tool, tmp_path):
    (tmp_path / "file").touch()
    config = Evaluate(
        predictions=[str(tmp_path / "tool")], labels=tmp_path / "labels",
        output=tmp_path / "file" / "out", topology=False,
    )  # fmt: skip
    with pytest.raises(PipelineError, match=r"cannot be written .* --output"):
        evaluate(config, Silence())


# Fields of view, second observers, values and classes.


def disc():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(rows - HEIGHT / 2, columns - WIDTH / 2) < 25


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_nothing_counts_outside_the_masks_of_the_field_of_view(tool, tmp_path, mode):
    field = disc()
    field[2:12, 2:12] = True  # In a photograph it would be taken for a speck.
    (tmp_path / "fov").mkdir()
    for name in tool:
        mask = Image.fromarray((field * 255).astype(np.uint8)).convert(mode)
        mask.save(tmp_path / "fov" / f"{name}_mask.png")
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", fov=tmp_path / "fov")
    for name, label in tool.items():
        predicted = probability(tmp_path, name) >= 0.5
        assert_foreground(scene(report, name), by_hand(predicted, label, field))
        assert scene(report, name)["pixels"] == field.sum()
    assert "inside the field of view" in report["scoring"]["counted"]


def test_a_field_of_view_that_is_missing_or_does_not_fit_ends_its_scene(tool, tmp_path):
    (tmp_path / "fov").mkdir()
    for name, pixels in (("a", disc()), ("c", disc()[1:])):
        Image.fromarray((pixels * 255).astype(np.uint8)).save(tmp_path / "fov" / f"{name}.png")
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", fov=tmp_path / "fov")
    assert names(report) == ["a"]
    missing, size = (failed["error"] for failed in report["failed"])
    assert missing.startswith("b: no field of view of this name in ")
    assert re.search(r"fov/c\.png: 80 x 59 pixels, but its image has 80 x 60", size)


def test_in_photographs_the_field_of_view_is_found(write_raster, page, tmp_path):
    photograph, label, field = draw_fundus(3)
    rows, columns = slice(None, None, 4), slice(None, None, 4)
    photograph, label, field = (
        photograph[:, rows, columns],
        label[rows, columns],
        field[rows, columns],
    )
    (tmp_path / "photos").mkdir()
    photograph = photograph.clip(9)  # Of cameras, the border is not quite black.
    Image.fromarray(np.moveaxis(photograph, 0, -1)).save(tmp_path / "photos" / "eye.png")
    write_raster(tmp_path / "labels" / "eye.tif", label[None], crs=None)
    write_raster(tmp_path / "tool" / "eye.tif", guess(label > 0, 2), crs=None)
    photos = tmp_path / "photos"
    report = scored(
        tmp_path / "tool", tmp_path / "labels", tmp_path / "out", fov=photos, images=photos
    )
    assert report["failed"] == []
    [eye] = report["scenes"]
    assert eye["pixels"] == pytest.approx(field.sum(), rel=0.03)
    assert eye["pixels"] < 0.8 * field.size
    assert "data:image/webp;base64," in page()


def test_a_photograph_of_another_size_is_no_field_of_view(tool, tmp_path):
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(1).integers(0, 255, (HEIGHT + 3, WIDTH, 3)).astype(np.uint8)
    for name in tool:
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    report = scored(
        tmp_path / "tool", tmp_path / "labels", tmp_path / "out", fov=tmp_path / "photos"
    )
    assert report["scenes"] == []
    assert len(report["failed"]) == 3
    assert "80 x 63 pixels, but its image has 80 x 60" in report["failed"][0]["error"]


def test_the_second_observer_is_scored_in_rows_of_its_own(tool, write_raster, tmp_path):
    every = []
    for name, label in tool.items():
        other = np.roll(label, 1, axis=0)
        every.append((other, label))
        write_raster(
            tmp_path / "second" / f"{name}_manual2.tif", (other * 255).astype(np.uint8)[None]
        )
    alone = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "alone")
    report = scored(
        tmp_path / "tool", tmp_path / "labels", tmp_path / "out", second=tmp_path / "second"
    )
    second = report["second_observer"]
    assert names(second) == ["a", "b", "c"]
    for name, pair in zip("abc", every, strict=True):
        assert_foreground(scene(second, name), by_hand(*pair))
    assert ungraded(second["pooled"])
    assert report["pooled"] == alone["pooled"]
    lines = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert sum(line.startswith("second observer,") for line in lines) >= 4


def test_a_second_observers_label_that_does_not_fit_ends_its_scene(tool, write_raster, tmp_path):
    for name, label in tool.items():
        cut = label[1:] if name == "b" else label
        write_raster(tmp_path / "second" / f"{name}.tif", cut[None].astype("u1"))
    report = scored(
        tmp_path / "tool", tmp_path / "labels", tmp_path / "out", second=tmp_path / "second"
    )
    assert names(report) == names(report["second_observer"]) == ["a", "c"]
    [failed] = report["failed"]
    assert "second/b.tif: 80 x 59 pixels" in failed["error"]


def test_both_observers_may_lie_in_one_folder(tool, write_raster, tmp_path):
    """As in CHASE_DB1."""
    for name, label in tool.items():
        for observer in ("1stHO", "2ndHO"):
            drawn = np.roll(label, 2 if observer == "2ndHO" else 0, axis=1)
            write_raster(tmp_path / "chase" / f"{name}_{observer}.tif", drawn[None].astype("u1"))
    chase = tmp_path / "chase"
    report = scored(tmp_path / "tool", chase, tmp_path / "out", second=chase)
    assert report["failed"] == []
    for name, label in tool.items():
        expected = by_hand(np.roll(label, 2, axis=1), label)
        assert_foreground(scene(report["second_observer"], name), expected)


def test_a_label_is_not_its_own_second_observer(tool, tmp_path):
    labels = tmp_path / "labels"
    report = scored(tmp_path / "tool", labels, tmp_path / "out", second=labels)
    assert report["scenes"] == []
    assert "a: no second observer's label of this name" in report["failed"][0]["error"]


def test_values_to_ignore_do_not_count(tool, write_raster, tmp_path):
    for name, label in tool.items():
        pixels = np.where(disc(), label, 254).astype(np.uint8)
        write_raster(tmp_path / "labels" / f"{name}.tif", pixels[None])
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", ignore="254,255")
    for name, label in tool.items():
        predicted = probability(tmp_path, name) >= 0.5
        assert_foreground(scene(report, name), by_hand(predicted, label, disc()))
    assert report["scoring"]["ignore"] == [254, 255]


def test_masks_of_several_classes_are_scored_class_by_class(write_raster, tmp_path):
    random = np.random.default_rng(4)
    label = np.kron(random.integers(0, 4, (6, 8)), np.ones((10, 10))).astype(np.uint8)
    predicted = np.where(
        random.random(label.shape) > 0.2, label, random.integers(0, 4, label.shape)
    )
    write_raster(tmp_path / "labels" / "a.tif", label[None])
    write_raster(tmp_path / "tool" / "a.tif", predicted.astype(np.uint8)[None])
    report = scored(
        tmp_path / "tool", tmp_path / "labels", tmp_path / "out", classes="road,rail,river"
    )
    assert report["failed"] == []
    of_class = report["pooled"]["classes"]
    assert list(of_class) == ["road", "rail", "river"]
    for number, name in enumerate(of_class, start=1):
        assert_foreground(of_class[name], by_hand(predicted == number, label == number))
    iou = [
        ((predicted == number) & (label == number)).sum()
        / ((predicted == number) | (label == number)).sum()
        for number in range(4)
    ]
    assert report["pooled"]["class_mean"]["iou"] == pytest.approx(np.mean(iou))
    assert_foreground(report["pooled"], by_hand(predicted > 0, label > 0))


def test_a_band_for_each_class_is_scored_class_by_class(write_raster, tmp_path):
    random = np.random.default_rng(4)
    label = np.kron(random.integers(0, 3, (6, 8)), np.ones((10, 10))).astype(np.uint8)
    odds = np.exp(random.normal(size=(3, *label.shape)))
    odds += 2 * np.moveaxis(np.eye(3)[label], -1, 0)
    bands = (odds / odds.sum(axis=0))[1:].astype(np.float32)
    write_raster(tmp_path / "labels" / "a.tif", label[None])
    path = write_raster(tmp_path / "tool" / "a.tif", bands)
    with rasterio.open(path, "r+") as raster:
        raster.descriptions = ("probability of road", "probability of rail")
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out")
    assert list(report["pooled"]["classes"]) == ["road", "rail"]
    predicted = np.rint(bands[0] * 254) >= 127  # Described as ours are, which are rounded.
    road = report["pooled"]["classes"]["road"]
    assert_foreground(road, by_hand(predicted, label == 1))
    assert road["break_even"]["value"] is not None


def test_topology_is_left_out_where_it_is_not_wanted(tool, tmp_path):
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", topology=False)
    assert report["pooled"]["topology"] is None
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "with")
    assert 0 < report["pooled"]["topology"]["cldice"] <= 1


def test_relaxed_scores_forgive_as_many_pixels_as_asked_for(tool, tmp_path):
    relaxed = [
        scored(tmp_path / "tool", tmp_path / "labels", tmp_path / f"{rho}", rho=rho)["pooled"]
        for rho in (0, 2)
    ]
    assert relaxed[0]["relaxed"]["f1"] == pytest.approx(relaxed[0]["foreground"]["f1"])
    assert relaxed[1]["relaxed"]["rho"] == 2
    assert relaxed[1]["relaxed"]["f1"] > relaxed[0]["relaxed"]["f1"]


# The report.


def pictures(page):
    return re.findall(r"data:image/webp;base64,[\w+/=]+", page)


def test_images_are_shown_in_the_report(tool, page, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in tool:
        pixels = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(images / f"{name}.png")
    found = []
    for output, options in (("without", {}), ("with", {"images": images})):
        scored(tmp_path / "tool", tmp_path / "labels", tmp_path / output, **options)
        found.append(sum(map(len, pictures(page(output)))))
    assert found[1] > 2 * found[0]  # Noise, and not grey.


def test_an_image_that_is_missing_or_damaged_costs_no_scores(tool, page, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_text("no image")
    plain = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "plain")
    report = scored(
        tmp_path / "tool", tmp_path / "labels", tmp_path / "out", images=tmp_path / "images"
    )
    assert report["failed"] == []
    assert report["pooled"] == plain["pooled"]


def test_evaluating_again_replaces_the_report(tool, tmp_path):
    first = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out")
    second = scored(tmp_path / "other", tmp_path / "labels", tmp_path / "out")
    assert first["pooled"] != second["pooled"]
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_what_is_read_is_left_as_it_is(tool, tmp_path):
    def files():
        return {
            path: path.read_bytes() for path in tmp_path.glob("[tlo]*/*") if "out" not in str(path)
        }

    before = files()
    assert len(before) == 9
    scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "result")
    assert files() == before


def test_every_window_of_every_raster_is_told(tool, told, monkeypatch, tmp_path):
    monkeypatch.setattr("pipelines.evaluation.run.AT_ONCE", 32)
    monkeypatch.setattr("pipelines.evaluation.scoring.AT_ONCE", 32)
    scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", told)
    windows = math.ceil(HEIGHT / 32) * math.ceil(WIDTH / 32)
    assert told.scenes == {"a": windows, "b": windows, "c": windows}
    assert told.done == 3 * windows
    assert [outcome.name for outcome in told.outcomes] == ["a", "b", "c"]


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


def test_windows_do_not_show_in_scores(tool, monkeypatch, tmp_path):
    whole = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "whole")
    monkeypatch.setattr("pipelines.evaluation.run.AT_ONCE", 29)
    monkeypatch.setattr("pipelines.evaluation.scoring.AT_ONCE", 29)
    pieces = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "pieces")
    assert pieces["pooled"] == whole["pooled"]
    assert pieces["scenes"] == whole["scenes"]
