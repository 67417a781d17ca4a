"""Rasters of other tools against labels, from the folder to the report."""

import math
import re

import numpy as np
import pytest
from PIL import Image

from tests.pipelines.evaluation.reported import (
    HEIGHT,
    WIDTH,
    assert_foreground,
    by_hand,
    drawing,
    guess,
    names,
    probability,
    scene,
    scored,
    ungraded,
)

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
        "report.json", "report.html", "scores.csv", "tables.xlsx", "errors.gpkg",
    }  # fmt: skip


@pytest.mark.parametrize("chosen", [["tool/*.tif"], ["tool/a.tif", "tool/b.tif", "tool/[c].tif"]])
def test_globs_and_files_are_scored_too(tool, tmp_path, chosen):
    chosen = [f"{tmp_path}/{one}" for one in chosen]
    report = scored(chosen, tmp_path / "labels", tmp_path / "out", topology=False)
    assert names(report) == ["a", "b", "c"]
    whole = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out2", topology=False)
    assert report["pooled"] == whole["pooled"]


def test_one_label_may_have_any_name(tool, tmp_path):
    label = tmp_path / "labels" / "a.tif"
    moved = label.rename(tmp_path / "drawn by hand.tif")
    report = scored([str(tmp_path / "tool" / "a.tif")], moved, tmp_path / "out", topology=False)
    predicted = probability(tmp_path, "a") >= 0.5
    assert_foreground(scene(report, "a"), by_hand(predicted, tool["a"]))


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


# Topology and relaxed scores.


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
    assert len(list((tmp_path / "out").iterdir())) == 5


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


def test_windows_do_not_show_in_scores(tool, monkeypatch, tmp_path):
    whole = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "whole")
    monkeypatch.setattr("pipelines.evaluation.run.AT_ONCE", 29)
    monkeypatch.setattr("pipelines.evaluation.scoring.AT_ONCE", 29)
    pieces = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "pieces")
    assert pieces["pooled"] == whole["pooled"]
    assert pieces["scenes"] == whole["scenes"]
