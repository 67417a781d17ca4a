"""What becomes of a user's own folder: weights, reports and scenes that they find classes in."""

import json
from functools import partial

import numpy as np
import pytest
import rasterio

from pipelines.config.inference import InferDrive, InferRoads, PredictionSettings
from pipelines.inference.run import infer_drive, infer_roads
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.sampling import statistics
from pipelines.training import run as recipes
from pipelines.training.run import train_folder
from tests.pipelines.datasets.own_folders import PLACE, config

SIDE = 64


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, write_raster):
    """Six scenes of four bands of 16 bits with two kinds of bars; the labels leave a corner out."""
    root = tmp_path_factory.mktemp("own")
    for number in range(6):
        random = np.random.default_rng(number)
        label = np.zeros((1, SIDE, SIDE), np.uint8)
        label[0, (at := random.integers(8, SIDE - 12)) : at + 10] = 1
        label[0, :, (at := random.integers(8, SIDE - 12)) : at + 10] = 2
        shift = label * np.array([400, -300, 200, 0])[:, None, None]
        pixels = random.normal(800 + shift, 60).clip(1, 2047).astype(np.uint16)
        label[0, :4, :4] = 255
        split = ("images", "labels") if number < 4 else ("valid", "valid-labels")
        split = ("test", "test-labels") if number == 5 else split
        for kind, raster in zip(split, (pixels, label), strict=True):
            write_raster(root / kind / f"{number}.tif", raster, transform=PLACE)
    return root


@pytest.fixture(scope="module", autouse=True)
def _small_tiles():
    """Tiles of the scenes' own size: the rest would be padding."""
    smaller = partial(PredictionSettings, tile=SIDE, overlap=32)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(statistics, "TILE", SIDE)
        patched.setattr(recipes, "PredictionSettings", smaller)
        yield


@pytest.fixture(scope="module")
def trained(scenes):
    """A training with images of its own for validation and test."""
    told = config(
        scenes, valid_images=scenes / "valid", valid_labels=scenes / "valid-labels",
        test_images=scenes / "test", test_labels=scenes / "test-labels", classes="road,river",
        name="mine", iterations=30, learning_rate=2e-2, ema=0.0, damaged_starts=0.0,
        random_steps=False,
    )  # fmt: skip
    return train_folder(told, Silence())


def test_weights_note_what_the_images_are(trained):
    card = load(str(trained.weights)).card
    assert trained.weights.name == "mine.safetensors"
    assert card.task == "other"
    assert card.classes == ("background", "road", "river")
    assert card.arguments == {"in_channels": 4, "classes": 3, "steps": 2}
    assert card.ground_sampling_distance == 0.5
    # On the scale of 8 bits, as prediction brings them there.
    assert all(2 < mean < 5 for mean in card.mean)
    assert 0 < card.threshold < 1
    assert card.training["images"] == ["0", "1", "2", "3"]
    assert card.training["held_out"] == ["4"]
    assert set(card.scores) == {"held_out", "test"}


def test_held_out_and_test_images_are_reported(trained, scenes):
    assert trained.folder == scenes / "out" / "test"
    for split, name in (("held-out", "4"), ("test", "5")):
        report = json.loads((scenes / "out" / split / "report.json").read_text())
        assert [scene["name"] for scene in report["scenes"]] == [name]
        assert report["pooled"]["pixels"] == SIDE**2 - 16
        assert set(report["pooled"]["classes"]) == {"road", "river"}
        assert report["pooled"]["foreground"]["f1"] > 0.6
        assert (scenes / "out" / split / "report.html").is_file()


def test_the_weights_find_their_classes_in_scenes(trained, scenes, tmp_path):
    told = InferRoads(
        scenes=[str(scenes / "test")], labels=scenes / "test-labels", ignore="255",
        output=tmp_path, model=[str(trained.weights)], tile=SIDE, overlap=32,
    )  # fmt: skip
    result = infer_roads(told, Silence())
    assert result.failed == []
    assert result.report.pooled.foreground == trained.report.pooled.foreground
    with (
        rasterio.open(tmp_path / "5" / "mask.tif") as mask,
        rasterio.open(scenes / "test-labels" / "5.tif") as label,
    ):
        found, drawn = mask.read(1), label.read(1)
        assert mask.crs == label.crs
        assert mask.transform == label.transform
    assert set(np.unique(found)) == {0, 1, 2}
    assert (found == drawn)[drawn != 255].mean() > 0.8
    with rasterio.open(tmp_path / "5" / "probability.tif") as raster:
        assert raster.count == 2
        assert "river" in raster.descriptions[1]


def test_the_weights_pass_for_fundi_too(trained, tmp_path, write_raster):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 40, 40), np.uint8)
    write_raster(tmp_path / "eye.tif", pixels, crs=None)
    told = InferDrive(
        scenes=[str(tmp_path / "eye.tif")], output=tmp_path / "out", model=[str(trained.weights)],
        tile=64, overlap=32,
    )  # fmt: skip
    report = infer_drive(told, Silence()).report
    assert report.failed == []
    assert report.scoring.counted == "pixels inside the field of view"


def test_without_test_images_the_result_is_of_those_held_out(scenes, tmp_path):
    result = train_folder(config(scenes, output=tmp_path, held_out=[1]), Silence())
    assert result.folder == tmp_path / "held-out"
    assert [scene.name for scene in result.report.scenes] == ["2"]
    assert load(str(result.weights)).card.training["held_out"] == ["2"]
    assert not (tmp_path / "test").exists()


def test_test_images_without_labels_are_predicted(scenes, tmp_path):
    told = config(scenes, output=tmp_path, held_out=[1], test_images=scenes / "test")
    result = train_folder(told, Silence())
    assert result.folder == tmp_path / "test"
    assert result.report.pooled is None
    assert (tmp_path / "test" / "5" / "mask.tif").is_file()
    assert set(load(str(result.weights)).card.scores) == {"held_out"}
