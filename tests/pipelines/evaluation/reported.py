"""What tests of evaluations share: drawn rasters, and what a report holds of them."""

import json
from dataclasses import fields

import numpy as np
import pytest
import rasterio

from pipelines.config.evaluation import Evaluate
from pipelines.evaluation.run import evaluate
from pipelines.results.progress import Silence
from pipelines.results.report import as_json
from pipelines.scores.scores import Scores

HEIGHT, WIDTH = 60, 80
GROUPS = tuple(group.name for group in fields(Scores))


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
        of["calibration"]["ece"], of["certainty"]["aurc"], of["certainty"]["errors_found"],
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


def probability(tmp_path, name, folder="tool"):
    with rasterio.open(tmp_path / folder / f"{name}.tif") as raster:
        return raster.read(1)


def disc():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(rows - HEIGHT / 2, columns - WIDTH / 2) < 25
