"""Runs small enough for tests, and what is on disk of them."""

import csv
import json
from dataclasses import dataclass

import numpy as np
import pytest
import rasterio
from PIL import Image

from pipelines.results.result import Result
from tiling.readers.raster import without_georeferencing_warning

ROADS_SMALL = {"tile": 64, "overlap": 16, "batch": 4, "steps": 1, "device": "cpu"}
FUNDUS_SMALL = {"tile": 256, "overlap": 32, "batch": 2, "steps": 1, "device": "cpu"}


@dataclass
class Run:
    """A finished run, and what is on disk of it."""

    result: Result

    @property
    def folder(self):
        return self.result.folder

    @property
    def report(self):
        return json.loads((self.folder / "report.json").read_text())

    def read(self, scene, name):
        with without_georeferencing_warning(), rasterio.open(self.folder / scene / name) as raster:
            return raster.read(1)

    def table(self):
        with (self.folder / "scores.csv").open(newline="") as file:
            return {(line["by"], line["of"], line["scene"]): line for line in csv.DictReader(file)}


def by_hand(levels, label):
    """All scores of levels (255 is left out) against a label, straight from their definitions."""
    levels, label = levels[levels != 255].astype(int), label[levels != 255]
    predicted = levels >= 127

    def of(predicted, label):
        hit = (predicted & label).sum()
        precision, recall = hit / predicted.sum(), hit / label.sum()
        return {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall),
            "iou": hit / (predicted | label).sum(),
        }

    foreground, background = of(predicted, label), of(~predicted, ~label)
    # As many predicted as labelled: there precision equals recall. Between thresholds, a line.
    thresholds = np.arange(256)
    amount = np.array([(levels >= threshold).sum() for threshold in thresholds])
    hits = np.array([(label & (levels >= threshold)).sum() for threshold in thresholds])
    amount, first = np.unique(amount, return_index=True)
    found = np.interp(label.sum(), amount, hits[first])
    missed = label.sum() - found
    mean = {key: (foreground[key] + background[key]) / 2 for key in foreground}
    return {
        "foreground": foreground,
        "break_even": found / label.sum(),
        "class_mean": mean
        | {"break_even": (found / label.sum() + 1 - missed / (~label).sum()) / 2},
        "pixels": label.size,
    }


def assert_scores(scores, expected):
    for key, value in expected["foreground"].items():
        assert scores["foreground"][key] == pytest.approx(value)
    assert scores["break_even"]["value"] == pytest.approx(expected["break_even"])
    assert scores["class_mean"] == pytest.approx(expected["class_mean"])
    assert scores["pixels"] == expected["pixels"]


def read_label(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("L")) > 127
