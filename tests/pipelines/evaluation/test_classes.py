"""Scores of several classes."""

import numpy as np
import pytest
import rasterio

from tests.pipelines.evaluation.reported import assert_foreground, by_hand, scored


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
