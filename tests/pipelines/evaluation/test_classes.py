"""Scores of several classes."""

import numpy as np
import pytest
import rasterio

from tests.pipelines.evaluation.reported import (
    HEIGHT,
    WIDTH,
    assert_foreground,
    by_hand,
    drawing,
    guess,
    scored,
)


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


@pytest.fixture
def classes_of_runs(write_raster, tmp_path):
    """Writes probabilities as ours are, by run; returns what was drawn in the label."""

    def make(**runs):
        drawn = drawing(1)
        write_raster(tmp_path / "labels" / "a.tif", drawn.astype(np.uint8)[None])
        for seed, (run, names) in enumerate(runs.items()):
            bands = np.repeat(guess(drawn, seed), len(names), axis=0) / len(names)
            levels = np.rint(bands * 254).astype(np.uint8)
            path = write_raster(tmp_path / run / "a" / "probability.tif", levels, nodata=255)
            with rasterio.open(path, "r+") as raster:
                raster.scales = [1 / 254] * len(names)
                raster.descriptions = [f"probability of {name}" for name in names]
        return drawn

    return make


@pytest.mark.parametrize("order", [("theirs", "ours"), ("ours", "theirs")])
def test_one_class_is_compared_with_one_class_whatever_they_are_called(
    classes_of_runs, tmp_path, order
):
    classes_of_runs(ours=["vessel"], theirs=["foreground"])
    alone = [
        scored(tmp_path / run, tmp_path / "labels", tmp_path / f"{run}-out", threshold=0.7)
        for run in order
    ]
    both = scored(
        [tmp_path / run for run in order], tmp_path / "labels", tmp_path / "out", threshold=0.7
    )
    assert both["failed"] == []
    rows = {row["column"]: row for row in both["comparison"]["rows"]}
    for path in ("at_threshold.f1", "break_even.value", "average_precision", "relaxed.f1"):
        group, _, score = path.partition(".")
        expected = [one["pooled"][group][score] if score else one["pooled"][group] for one in alone]
        assert [rows[path]["a"], rows[path]["b"]] == pytest.approx(expected)
        assert expected[0] != expected[1]


def test_one_class_may_be_called_otherwise_by_hand_and_by_a_mask(
    classes_of_runs, write_raster, tmp_path
):
    drawn = classes_of_runs(ours=["vessel"])
    write_raster(tmp_path / "masks" / "a.tif", drawn.astype(np.uint8)[None])
    report = scored(
        [tmp_path / "ours", tmp_path / "masks"], tmp_path / "labels", tmp_path / "out",
        classes="street",
    )  # fmt: skip
    assert report["failed"] == []
    [f1] = [row for row in report["comparison"]["rows"] if row["column"] == "foreground.f1"]
    assert (f1["a"] < 1, f1["b"]) == (True, 1)
    assert report["pooled"]["pixels"] == HEIGHT * WIDTH


def test_several_classes_of_other_names_are_not_compared(classes_of_runs, tmp_path):
    classes_of_runs(ours=["road", "rail"], theirs=["rail", "road"])
    report = scored([tmp_path / "ours", tmp_path / "theirs"], tmp_path / "labels", tmp_path / "out")
    [failure] = report["failed"]
    assert "bands of rail, road, but road, rail are scored" in failure["error"]
