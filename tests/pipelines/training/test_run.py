"""The trainings of roads and fundi from a data folder to weights and a report, on drawn data."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from pipelines.config.inference import InferDrive, PredictionSettings
from pipelines.config.training import TrainDrive, TrainRoads
from pipelines.datasets import fundus, massachusetts
from pipelines.datasets.synthetic import draw_fundus, write_drive_folder, write_roads_folder
from pipelines.errors import DataError, PipelineError, WeightsError
from pipelines.inference.run import infer_drive
from pipelines.models.weights import load, save
from pipelines.results.progress import Silence
from pipelines.sampling import statistics
from pipelines.training import run as recipes
from pipelines.training.run import train_roads, train_vessels
from rurnet import NetworkError
from tiling.disk import locked
from tiling.errors import SinkError
from tiling.scenes.raster import without_georeferencing_warning

TILE = 128

FEW = {
    "crop_sizes": [32],
    "batch_pixels": 2048,
    "steps": 2,
    "workers": 0,
    "held_out": [1],
    "scorings": 1,
}


def roads_config(data, output, **changed):
    return TrainRoads(
        **{**FEW, "iterations": 12, "scorings": 2, "data": [data], "output": output, **changed}
    )


def quartered(folder):
    """The same images and annotations at a quarter of the width and height."""
    for path in (p for p in folder.rglob("*") if p.is_file()):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB" if path.suffix == ".tif" else "L"))
        Image.fromarray(pixels[::4, ::4]).save(path)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _small_tiles():
    """Tiles about as small as the images: the rest would be padding."""
    smaller = partial(PredictionSettings, tile=TILE, overlap=32)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(statistics, "TILE", TILE)
        patched.setattr(recipes, "PredictionSettings", smaller)
        # The quartered images' fields of view have 135.
        patched.setattr(fundus, "FIELD_DIAMETERS", (100, 120))
        yield


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def roads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes") / "massachusetts_roads"
    return write_roads_folder(folder, train=3, valid=1, size=96)


@pytest.fixture(scope="module")
def unbroken(roads):
    """A training of roads from beginning to end."""
    return train_roads(roads_config(roads, roads.parent / "unbroken"), Silence())


@pytest.fixture
def copied(unbroken, tmp_path):
    """The folder of that training, to do something to."""
    output = unbroken.weights.parent
    kept = output.with_name("kept")
    shutil.copytree(output, kept)
    yield output
    shutil.rmtree(output)
    kept.rename(output)


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


def test_the_same_command_again_trains_nothing_and_ends_the_same(copied, roads, numbers):
    before = digest(copied / "roads.safetensors")
    result = train_roads(roads_config(roads, copied, workers=1), Silence())
    assert numbers == []
    assert digest(result.weights) == before


def test_other_settings_are_refused_naming_them(copied, roads, numbers):
    before = {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file()}
    with pytest.raises(PipelineError) as caught:
        train_roads(roads_config(roads, copied, alpha=1.0, seed=4), Silence())
    message = str(caught.value)
    assert "differs in alpha, seed;" in message
    assert str(copied) in message
    assert "--overwrite" in message
    assert "\n" not in message
    assert numbers == []
    assert {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file()} == before


def test_other_images_are_refused_too(copied, roads, tmp_path, numbers):
    """What was trained on would be held out."""
    more = shutil.copytree(roads, tmp_path / "more" / roads.name)
    for kind in ("sat", "map"):
        (image,) = (more / "train" / kind).glob("sample_000.*")
        shutil.copy(image, image.with_stem("sample_009"))
    noted = copied / "settings.json"
    told = json.loads(noted.read_text())
    assert list(told["held-out images"]) == ["sample_002"]
    noted.write_text(json.dumps(told | {"data": [str(more)]}))
    with pytest.raises(PipelineError, match="differs in training images; resume"):
        train_roads(roads_config(more, copied), Silence())
    assert numbers == []


def test_a_mended_label_is_told_from_the_one_trained_on(copied, roads, tmp_path, numbers):
    mended = shutil.copytree(roads, tmp_path / roads.name)
    noted = copied / "settings.json"
    noted.write_text(json.dumps(json.loads(noted.read_text()) | {"data": [str(mended)]}))
    train_roads(roads_config(mended, copied), Silence())
    (label,) = (mended / "train" / "map").glob("sample_001.*")
    with Image.open(label) as image:
        pixels = np.array(image)
    pixels[:2, :2] = 255 - pixels[:2, :2]
    Image.fromarray(pixels).save(label)
    with pytest.raises(PipelineError, match=r"differs in training images \(sample_001\); resume"):
        train_roads(roads_config(mended, copied), Silence())
    assert numbers == []


def test_what_is_no_trainings_is_not_overwritten(roads, tmp_path):
    for name in ("csv", "checkpoints", "held-out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").touch()
    config = roads_config(roads, tmp_path, overwrite=True, iterations=1, scorings=1)
    mine = tmp_path / "settings.json"
    for content in ('{"tabs": 4}', ""):
        mine.write_text(content)
        with pytest.raises(PipelineError, match=r"settings\.json: not the settings of a training"):
            train_roads(config, Silence())
        assert mine.read_text() == content
    mine.unlink()
    train_roads(config, Silence())
    assert len(list(tmp_path.glob("*/mine.txt"))) == 3


def test_settings_are_noted_as_they_were_resolved(unbroken):
    noted = json.loads((unbroken.weights.parent / "settings.json").read_text())
    assert noted["resolved"] == {
        "class weights": [1.0, 2.3],
        "network arguments": {"in_channels": 3, "classes": 2, "steps": 2},
        "alpha": 0.4, "precision": "32-true", "max_time": None, "patience": 0,
        "leaves": ["roads.safetensors", "valid"],
    }  # fmt: skip


def test_a_training_that_is_overwritten_leaves_nothing_that_looks_new(copied, roads, monkeypatch):
    def broken_off(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recipes, "train", broken_off)
    with pytest.raises(PipelineError, match=r"cannot be written \(No space left on device\); free"):
        train_roads(roads_config(roads, copied, overwrite=True, name="other"), Silence())
    assert [path.name for path in copied.iterdir()] == ["settings.json"]


def test_an_overwrite_broken_off_leaves_no_checkpoint_to_go_on_from(
    copied, roads, numbers, monkeypatch
):
    remove = shutil.rmtree

    def broken_off(folder, **told):
        remove(folder, **told)
        raise KeyboardInterrupt

    config = roads_config(roads, copied, overwrite=True, iterations=2, scorings=1, seed=4)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", broken_off)
        with pytest.raises(KeyboardInterrupt):
            train_roads(config, Silence())
    assert (copied / "settings.json").is_file()
    train_roads(config.model_copy(update={"overwrite": False}), Silence())
    assert numbers == [0, 1]


def test_checkpoints_without_their_settings_are_not_gone_on_from(copied, roads, numbers):
    (copied / "settings.json").unlink()
    with pytest.raises(PipelineError, match=r"without their settings \(settings"):
        train_roads(roads_config(roads, copied), Silence())
    assert numbers == []


def test_two_trainings_are_not_in_one_folder(copied, roads, numbers):
    before = digest(copied / "checkpoints" / "last.ckpt")
    with locked(copied), pytest.raises(SinkError, match=f"{copied}: another run is writing there"):
        train_roads(roads_config(roads, copied, overwrite=True), Silence())
    assert digest(copied / "checkpoints" / "last.ckpt") == before
    assert numbers == []


def test_drawn_images_and_weights_of_an_earlier_name_are_cleared_away_too(copied, roads):
    config = roads_config(roads, copied, name="other", iterations=12)
    train_roads(config, Silence())
    assert (copied / "roads.safetensors").is_file()
    few = {"iterations": 1, "scorings": 1, "overwrite": True}
    train_roads(roads_config(roads, copied, samples=50, name="third", **few), Silence())
    assert {path.name for path in copied.glob("*.safetensors")} == {"third.safetensors"}
    assert (copied / "samples").is_dir()
    train_roads(roads_config(roads, copied, **few), Silence())
    assert not (copied / "samples").exists()


def test_overwrite_starts_afresh_with_other_settings(copied, roads, numbers):
    before = digest(copied / "roads.safetensors")
    config = roads_config(roads, copied, overwrite=True, iterations=2, scorings=1, seed=4)
    mask = copied / "valid" / "sample_003" / "mask.tif"
    with rasterio.open(mask) as raster:
        earlier = raster.tags()["RURNET_WEIGHTS_SHA256"]
    result = train_roads(config, Silence())
    assert numbers == [0, 1]
    assert digest(result.weights) != before
    # The rasters of the test split too: those of other weights are not in the way.
    assert result.failed == []
    with rasterio.open(mask) as raster:
        assert raster.tags()["RURNET_WEIGHTS_SHA256"] != earlier
    assert load(str(result.weights)).card.training["iterations"] == 2
    numbers.clear()
    train_roads(config.model_copy(update={"overwrite": False}), Silence())
    assert numbers == []


def test_a_killed_training_resumes_and_ends_as_if_it_had_not_been(
    unbroken, roads, tmp_path, numbers
):
    config = roads_config(roads, tmp_path / "killed")
    code = (
        "import sys, torch\n"
        "torch.set_num_threads(1)\n"
        "from pipelines.sampling import statistics\n"
        f"statistics.TILE = {TILE}\n"
        "from pipelines.config.training import TrainRoads\n"
        "from pipelines.training.run import train_roads\n"
        "from pipelines.results.progress import Silence\n"
        "train_roads(TrainRoads.model_validate_json(sys.argv[1]), Silence())\n"
    )
    last = config.output / "checkpoints" / "last.ckpt"
    child = subprocess.Popen(
        [sys.executable, "-c", code, config.model_dump_json()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 300
        while not last.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        child.kill()
    _, errors = child.communicate()
    assert child.returncode == -signal.SIGKILL, errors.decode()
    assert not (config.output / "roads.safetensors").exists()
    reached = torch.load(last, weights_only=False)["global_step"]
    assert 0 < reached < 12

    result = train_roads(config, Silence())
    assert numbers == list(range(reached, 12))
    assert torch.load(last, weights_only=False)["global_step"] == 12
    # Every byte: the tensors, the scores, and what was noted.
    assert digest(result.weights) == digest(unbroken.weights)


def test_mistakes_in_a_first_command_do_not_stand_in_the_way_of_the_next(roads, tmp_path):
    few = {"iterations": 1, "scorings": 1}
    with pytest.raises(NetworkError):
        train_roads(roads_config(roads, tmp_path, **few, model="dru9"), Silence())
    with pytest.raises(WeightsError):
        train_roads(roads_config(roads, tmp_path, **few, start_from="nothing"), Silence())
    assert list(tmp_path.iterdir()) == []
    assert train_roads(roads_config(roads, tmp_path, **few), Silence()).weights.is_file()


def test_drawn_images_are_mixed_in_and_a_test_split_goes_before_valid(
    roads, tmp_path, monkeypatch, numbers
):
    def smaller(folder, **arguments):
        return write_roads_folder(folder, **{**arguments, "size": 64})

    monkeypatch.setattr(massachusetts, "write_roads_folder", smaller)
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


def test_weights_to_start_from_bring_their_normalisation_and_are_noted(unbroken, roads, tmp_path):
    few = {"iterations": 1, "scorings": 1, "learning_rate": 1e-9}
    config = roads_config(roads, tmp_path / "on", start_from=str(unbroken.weights), **few)
    found = load(str(train_roads(config, Silence()).weights))
    start = load(str(unbroken.weights))
    assert (found.card.mean, found.card.std) == (start.card.mean, start.card.std)
    assert found.card.training["earlier"] == start.card.training
    assert found.card.training["start_from"] == unbroken.weights.name
    for key, value in start.network.state_dict().items():
        torch.testing.assert_close(found.network.state_dict()[key], value, rtol=0, atol=1e-6)


def test_weights_to_start_from_that_changed_are_not_gone_on_from(unbroken, roads, tmp_path):
    start = tmp_path / "start.safetensors"
    start.write_bytes(unbroken.weights.read_bytes())
    config = roads_config(roads, tmp_path / "on", start_from=str(start), iterations=1, scorings=1)
    train_roads(config, Silence())
    model = load(str(start))
    save(start, model.network, replace(model.card, mean=(0.0, 0.0, 0.0)))
    with pytest.raises(
        PipelineError, match=r"differs in start_from \(.*start.safetensors\); resume"
    ):
        train_roads(config, Silence())


def test_weights_to_start_from_are_not_written_over(copied, roads):
    start = copied / "roads.safetensors"
    config = roads_config(roads, copied, start_from=str(start), overwrite=True)
    with pytest.raises(PipelineError, match="choose another --output"):
        train_roads(config, Silence())
    fold = copied / "fold-1"
    fold.mkdir()
    start = start.rename(fold / "roads-1.safetensors")
    with pytest.raises(PipelineError, match="choose another --output"):
        train_roads(config.model_copy(update={"start_from": str(start)}), Silence())
    assert start.is_file()


def test_weights_of_another_network_or_task_are_no_start(
    unbroken, roads, tmp_path, vessels_weights
):
    config = roads_config(roads, tmp_path, start_from=str(unbroken.weights), model="sru-4")
    with pytest.raises(WeightsError, match="--model dru-4"):
        train_roads(config, Silence())
    with pytest.raises(WeightsError, match="find vessels, not roads; give --start-from roads-"):
        train_roads(roads_config(roads, tmp_path, start_from=str(vessels_weights)), Silence())


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
    for name in ("01_h", "02_g"):
        for kind, source in (("images", "Image_01L.jpg"), ("manual1", "Image_01L_1stHO.png")):
            (hrf / kind).mkdir(parents=True, exist_ok=True)
            with Image.open(chase / source) as image:
                image.save(hrf / kind / f"{name}.png")
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
