"""The trainings of roads and fundi from a data folder to weights and a report, on drawn data."""

import json
import shutil

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from pipelines.config.inference import InferDrive
from pipelines.config.training import TrainDrive, TrainRoads
from pipelines.datasets import massachusetts
from pipelines.datasets.synthetic import draw_fundus, write_drive_folder
from pipelines.errors import DataError
from pipelines.inference.run import infer_drive
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.runtime.device import fastest_precision
from pipelines.training.run import train_roads, train_vessels
from tests.pipelines.training.small_runs import FEW, TILE, digest, quartered, roads_config
from tiling.readers.raster import without_georeferencing_warning

pytestmark = pytest.mark.usefixtures("_small_tiles")


def test_a_training_leaves_weights_that_load_with_what_they_were_made_of(unbroken, roads):
    model = load(str(unbroken.weights), task="roads")
    card = model.card
    assert unbroken.weights.name == "roads.safetensors"
    assert card.network == "dru-4"
    assert card.arguments == {"in_channels": 3, "classes": 2, "steps": 2}
    assert card.classes == ("background", "road")
    assert card.ground_sampling_distance == 1.0
    assert card.field_diameters is None
    assert card.training["data"] == ["massachusetts_roads"]
    assert sorted(card.training["images"]) == ["sample_000", "sample_001"]
    assert card.training["held_out"] == ["sample_002"]
    assert card.training["iterations"] == 12
    assert card.training["chosen_iteration"] in (6, 12)
    assert card.training["seed"] == 1
    assert all(30 < value < 220 for value in card.mean)
    assert 0 < card.threshold < 1
    with torch.inference_mode():
        assert torch.isfinite(model.network(torch.zeros(1, 3, 32, 32))[-1]).all()


def test_its_report_scores_the_images_kept_for_it(unbroken):
    report = json.loads((unbroken.folder / "report.json").read_text())
    assert unbroken.folder.name == "valid"
    assert [scene["name"] for scene in report["scenes"]] == ["sample_003"]
    assert report["failed"] == []
    assert 0 <= report["pooled"]["foreground"]["f1"] <= 1
    with rasterio.open(unbroken.folder / "sample_003" / "mask.tif") as mask:
        assert mask.shape == (96, 96)
        assert set(np.unique(mask.read())) <= {0, 1, 255}
    scores = load(str(unbroken.weights)).card.scores
    assert set(scores) == {"held_out", "valid"}
    assert scores["valid"]["foreground"] == report["pooled"]["foreground"]
    assert scores["valid"]["data"] == "massachusetts_roads"


def test_the_images_that_chose_the_weights_are_reported_too(unbroken):
    folder = unbroken.weights.parent / "held-out"
    report = json.loads((folder / "report.json").read_text())
    card = load(str(unbroken.weights)).card
    assert card.threshold == pytest.approx(report["pooled"]["best"]["threshold"], abs=1e-3)
    assert card.scores["held_out"]["foreground"] == report["pooled"]["foreground"]
    assert [scene["name"] for scene in report["scenes"]] == ["sample_002"]
    assert len(report["steps"]) == 2
    assert (folder / "report.html").is_file()


def test_its_log_and_checkpoints_are_kept(unbroken):
    output = unbroken.weights.parent
    assert list((output / "tensorboard").glob("events.out.tfevents.*"))
    assert {p.name for p in (output / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    last = torch.load(output / "checkpoints" / "last.ckpt", weights_only=False)
    assert last["global_step"] == 12
    assert json.loads((output / "settings.json").read_text())["iterations"] == 12


def test_settings_are_noted_as_they_were_resolved(unbroken):
    noted = json.loads((unbroken.weights.parent / "settings.json").read_text())
    assert noted["resolved"] == {
        "class weights": [1.0, 2.3],
        "network arguments": {"in_channels": 3, "classes": 2, "steps": 2},
        "alpha": 0.4, "precision": fastest_precision(), "max_time": None, "patience": 0,
        "leaves": ["roads.safetensors", "valid"],
    }  # fmt: skip


def test_drawn_images_are_mixed_in_and_a_test_split_goes_before_valid(
    roads, tmp_path, monkeypatch, numbers
):
    monkeypatch.setattr(massachusetts, "_DRAWN_SIZE", 64)
    data = tmp_path / "data"
    shutil.copytree(roads, data)
    (data / "valid").rename(data / "test")
    config = roads_config(data, tmp_path / "out", iterations=2, scorings=1, samples=50)
    result = train_roads(config, Silence())
    assert result.folder == tmp_path / "out" / "test"
    assert len(list((tmp_path / "out" / "samples" / "train" / "sat").iterdir())) == 6
    card = load(str(result.weights)).card
    assert card.training["samples"] == 50
    assert len(card.training["images"]) == 2
    assert set(card.scores) == {"held_out", "test"}


def test_drive_without_test_labels_is_predicted_and_not_scored(tmp_path):
    data = quartered(write_drive_folder(tmp_path / "DRIVE", train=2, test=1, labelled_test=False))
    config = TrainDrive(**FEW, iterations=2, data=[data], output=tmp_path / "out")
    result = train_vessels(config, Silence())
    assert result.report.pooled is None
    assert json.loads((result.folder / "report.json").read_text())["pooled"] is None
    assert result.folder == tmp_path / "out" / "test"
    with Image.open(result.folder / "01_test" / "mask.png") as mask:
        assert mask.size == (142, 146)
        assert set(np.unique(np.asarray(mask))) <= {0, 255}
    with (
        without_georeferencing_warning(),
        rasterio.open(result.folder / "01_test" / "probability.tif") as raster,
    ):
        field = draw_fundus(1)[2][::4, ::4]
        np.testing.assert_array_equal(raster.read(1) == 255, ~field)
    card = load(str(result.weights), task="vessels").card
    # Those of the training images, not all that there might have been.
    assert card.field_diameters == (120, 120)
    again = InferDrive(
        scenes=[str(data / "test" / "images")], output=tmp_path / "again", overlap=32, tile=TILE,
        model=[str(result.weights)],
    )  # fmt: skip
    infer_drive(again, Silence())
    written = (folder / "01_test" / "mask.tif" for folder in (result.folder, again.output))
    assert len({digest(path) for path in written}) == 1
    assert set(card.scores) == {"held_out"}
    assert card.classes == ("background", "vessel")
    assert card.ground_sampling_distance is None


def test_several_folders_train_together_and_the_first_is_scored(tmp_path):
    chase = tmp_path / "CHASEDB1"
    chase.mkdir()
    for name, seed in (("01L", 1), ("02R", 2), ("11L", 3)):
        image, label, _ = draw_fundus(seed)
        pixels = np.moveaxis(image, 0, -1)[::4, ::4]
        vessels = label[::4, ::4] * np.uint8(255)
        Image.fromarray(pixels).save(chase / f"Image_{name}.jpg", quality=95)
        Image.fromarray(vessels).save(chase / f"Image_{name}_1stHO.png")
        Image.fromarray(np.roll(vessels, 1)).save(chase / f"Image_{name}_2ndHO.png")
    hrf = tmp_path / "HRF"
    for name, turn in (("01_h", Image.ROTATE_90), ("02_g", Image.ROTATE_270)):
        for kind, source in (("images", "Image_01L.jpg"), ("manual1", "Image_01L_1stHO.png")):
            (hrf / kind).mkdir(parents=True, exist_ok=True)
            with Image.open(chase / source) as image:
                image.transpose(turn).save(hrf / kind / f"{name}.png")
    config = TrainDrive(
        **{**FEW, "held_out": [1, 1]}, iterations=1, data=[chase, hrf], output=tmp_path / "out"
    )
    result = train_vessels(config, Silence())
    card = load(str(result.weights)).card
    assert card.training["data"] == ["CHASEDB1", "HRF"]
    assert len(card.training["images"]) == len(card.training["held_out"]) == 2
    assert {name[:5] for name in card.training["held_out"]} >= {"Image"}
    assert [scene.name for scene in result.report.scenes] == ["Image_11L"]
    assert card.scores["test"]["data"] == "CHASEDB1"
    assert result.report.second_observer.pooled.foreground.f1 > 0.2


def test_too_few_images_to_hold_some_out_are_refused(roads, tmp_path):
    with pytest.raises(DataError, match="--held-out"):
        train_roads(roads_config(roads, tmp_path / "out", held_out=[3]), Silence())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("train", "config"), [(train_roads, TrainRoads), (train_vessels, TrainDrive)]
)
def test_missing_data_leave_no_folder_behind(train, config, tmp_path):
    with pytest.raises(DataError) as caught:
        train(config(data=[tmp_path / "nowhere"], output=tmp_path / "out"), Silence())
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert not (tmp_path / "out").exists()
