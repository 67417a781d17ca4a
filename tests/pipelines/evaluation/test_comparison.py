"""Two runs, scene by scene."""

import numpy as np
import pytest

from tests.pipelines.evaluation.reported import HEIGHT, WIDTH, names, probability, scene, scored


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
