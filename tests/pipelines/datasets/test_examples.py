"""Data sets are read and checked before anything is written."""

import shutil

import numpy as np
import pytest
import torch
from affine import Affine
from PIL import Image
from pydantic import ValidationError

from pipelines.config.training import TrainDrive, TrainRoads
from pipelines.datasets.massachusetts import road_data
from pipelines.datasets.synthetic import write_drive_folder, write_roads_folder
from pipelines.errors import PipelineError
from pipelines.results.progress import Silence
from pipelines.training.run import train_roads, train_vessels
from pipelines.training.splits import splits_of
from tiling.errors import TilingError


@pytest.fixture
def roads(tmp_path):
    return write_roads_folder(tmp_path / "roads", train=3, valid=1, size=64)


@pytest.fixture
def drive(tmp_path):
    return write_drive_folder(tmp_path / "DRIVE", train=3, test=2)


def refused(root, **told):
    """The one line that a training is refused with, which leaves nothing behind."""
    train, config = (train_vessels, TrainDrive) if root.name == "DRIVE" else (
        train_roads, TrainRoads
    )  # fmt: skip
    output = root.parent / "out"
    with pytest.raises((PipelineError, TilingError)) as caught:
        train(config(**{"data": [root], "output": output, "samples": 5, **told}), Silence())
    assert not output.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def redrawn(path, change):
    """Changes the pixels of a label."""
    with Image.open(path) as image:
        pixels = np.array(image.convert("L"))
    Image.fromarray(change(pixels)).save(path)


def with_a_third_value(pixels):
    pixels[3, 4] = 7
    return pixels


ROADS = ["train/map/sample_001.tif", "valid/map/sample_003.tif"]
DRIVE = ["training/1st_manual/22_manual1.gif", "test/1st_manual/02_manual1.gif"]


@pytest.mark.parametrize("label", ROADS)
def test_a_bad_label_of_roads_is_named(roads, label):
    redrawn(roads / label, with_a_third_value)
    message = refused(roads)
    assert f"{roads / label}: holds the values 0, 7, 255, but of two classes" in message
    redrawn(roads / label, lambda pixels: pixels[:-1])
    assert f"{roads / label}: 64 x 63 pixels, but" in refused(roads)
    (roads / label).unlink()
    split, stem = label.split("/")[0], label.split("/")[-1].removesuffix(".tif")
    message = refused(roads)
    assert str(roads / split / "sat") in message
    assert "no label" in message or "no scene with a label" in message
    assert split == "valid" or f"{stem}.tiff" in message


@pytest.mark.parametrize("label", DRIVE)
def test_a_bad_label_of_a_fundus_is_named(drive, label):
    redrawn(drive / label, with_a_third_value)
    # Their numbers in the palette.
    assert f"{drive / label}: holds the values 0, 1, 2, but" in refused(drive)
    redrawn(drive / label, lambda pixels: pixels[:-1])
    assert f"{drive / label}: 565 x 583 pixels, but" in refused(drive)
    (drive / label).unlink()
    image = label.replace("1st_manual", "images").split("_manual1")[0]
    assert f"{drive / image}_" in (message := refused(drive))
    assert "no first observer's label" in message


@pytest.mark.parametrize("label", [ROADS[0], DRIVE[0]])
def test_a_label_whose_palette_is_the_other_way_round_is_named(roads, drive, label):
    data = roads if label.startswith("train/") else drive
    with Image.open(data / label) as image:
        drawn = np.array(image.convert("L")) > 0
    turned = Image.fromarray(drawn.astype(np.uint8), "P")
    turned.putpalette([255, 255, 255, 0, 0, 0])
    turned.save(data / label)
    assert f"{data / label}: its palette shows 0 in a colour and the rest in black" in refused(data)


def test_held_out_images_without_foreground_are_named(roads):
    for label in (roads / "train" / "map").iterdir():
        redrawn(label, lambda pixels: 0 * pixels)
    assert "no labelled pixel there is foreground" in refused(roads)


def test_trained_on_images_without_foreground_are_named(roads):
    config = TrainRoads(data=[roads])
    (split,) = splits_of(config, road_data(config))
    for one in split.kept:
        redrawn(roads / "train" / "map" / f"{one.scene_input.name}.tif", lambda pixels: 0 * pixels)
    assert f"trained on: {split.kept[0].scene_input.name}" in refused(roads)


def test_a_folder_whose_held_out_images_have_no_foreground_is_told_of(roads, caplog):
    """Its break-even is not defined, and the mean over the folders leaves it out."""
    desert = write_roads_folder(roads.parent / "desert", train=2, valid=1, size=64, seed=7)
    config = TrainRoads(data=[roads, desert], held_out=[1, 1])
    (split,) = splits_of(config, road_data(config))
    out = split.held_out[1].scene_input.name
    redrawn(desert / "train" / "map" / f"{out}.tif", lambda pixels: 0 * pixels)
    file = roads.parent / "out"
    file.touch()
    with pytest.raises(PipelineError, match="cannot be written"):
        train_roads(config.model_copy(update={"output": file / "out"}), Silence())
    (said,) = [one.message for one in caplog.records if "no held-out image" in one.message]
    assert said.startswith(f"desert: no held-out image of it has foreground ({out})")


def test_roads_are_at_the_scale_of_their_scenes(roads, write_raster):
    assert road_data(TrainRoads(data=[roads])).ground_sampling_distance == 1.0
    for kind in ("sat", "map"):
        for image in (roads / "train" / kind).iterdir():
            with Image.open(image) as opened:
                pixels = np.atleast_3d(np.array(opened))
            place = Affine(0.5, 0, 9, 0, -0.5, 9)
            write_raster(image, np.moveaxis(pixels, -1, 0), transform=place)
    assert road_data(TrainRoads(data=[roads])).ground_sampling_distance == 0.5


def test_images_that_are_missing_altogether_are_named(drive):
    for image in (drive / "training" / "images").iterdir():
        with Image.open(image) as opened:
            shape = (opened.height, opened.width)
        clear = Image.fromarray(np.zeros((*shape, 4), np.uint8), "RGBA")
        clear.save(image)
    assert "are missing" in refused(drive)


def test_an_image_that_ends_too_soon_is_named(roads):
    for image in (roads / "train" / "sat").iterdir():
        image.write_bytes(image.read_bytes()[:-2000])
    assert ".tiff: " in refused(roads)


def test_more_processes_than_a_batch_has_crops_are_refused(roads, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert "as few as 2 crops" in refused(roads)
    assert "raise --batch-pixels (now 131072)" in refused(roads)


def test_batch_norm_over_processes_without_gpus_is_refused(roads, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refused(roads, model="unet-bn")
    assert "--model unet-bn: batch norm over several processes needs GPUs" in message


def test_images_of_one_name_are_not_trained_on_and_held_out(drive):
    shutil.copytree(drive, drive.parent / "again")
    for image in (drive.parent / "again" / "training").glob("*/22_*"):
        image.unlink()
    # Of three images and of two the one that is held out is not the same one.
    message = refused(drive, data=[drive, drive.parent / "again"], held_out=[1, 1])
    assert "trained on, while an image of the same name" in message


def test_each_process_draws_in_a_folder_of_its_own(roads, monkeypatch):
    monkeypatch.setattr("pipelines.datasets.massachusetts._DRAWN_SIZE", 64)
    data = road_data(TrainRoads(data=[roads], output=roads.parent / "out", samples=20))
    for number in (0, 1):
        monkeypatch.setenv("RANK", str(number))
        assert len(data.draw()) == 6
    drawn = sorted(path.name for path in (roads.parent / "out").iterdir())
    assert drawn == ["samples", "samples-1"]


def test_a_place_that_cannot_be_written_is_said(roads):
    file = roads.parent / "file"
    file.touch()
    with pytest.raises(PipelineError, match=r"out: cannot be written \(.*choose another --output"):
        train_roads(TrainRoads(data=[roads], output=file / "out"), Silence())


@pytest.mark.parametrize("name", ["../roads", "a/b", "a\\b", ""])
def test_a_name_is_no_path(name):
    with pytest.raises(ValidationError):
        TrainRoads(name=name)


def test_images_that_cannot_be_held_out_leave_nothing_either(roads):
    assert "hold out fewer" in refused(roads, held_out=[3])
    assert "fewer --folds" in refused(roads, folds=4)
