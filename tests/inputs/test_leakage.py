"""Images that are trained on and scored too, and images of one person."""

import logging

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from pipelines.config.training import TrainDrive
from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.folder import folder_data
from pipelines.datasets.fundus import vessel_data
from pipelines.datasets.synthetic import write_drive_folder
from pipelines.errors import DataError
from pipelines.inputs.fundus import subject_of
from pipelines.training.leakage import check_apart
from pipelines.training.splits import splits_of


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (24, 24, 3)).astype(np.uint8)


def folder(path, **seeds):
    """Folders of images by name, and of their labels; those of one seed are copies."""
    labels = path.with_name(f"{path.name}-labels")
    for one in (path, labels):
        one.mkdir()
    for name, seed in seeds.items():
        pixels = noise(seed)
        Image.fromarray(pixels).save(path / f"{name}.png")
        Image.fromarray((pixels[..., 0] > 200).astype(np.uint8) * 255).save(labels / f"{name}.png")
    return {"images": path, "labels": labels}


def config_of(tmp_path, train, valid=None, test=None, **told):
    given = folder(tmp_path / "train", **train)
    for split, seeds in (("valid", valid), ("test", test)):
        if seeds:
            made = folder(tmp_path / split, **seeds)
            given |= {f"{split}_{what}": path for what, path in made.items()}
    return TrainFolder(**given, **told)


def checked(config):
    data = folder_data(config)
    check_apart(splits_of(config, data), data.tests)


@pytest.mark.parametrize(
    ("splits", "copy", "original"),
    [
        ({"valid": {"x": 1, "y": 9}}, "valid/x.png: held out", "train/a.png, which is trained on"),
        ({"test": {"x": 2}}, "test/x.png: a test image", "train/b.png, which is trained on"),
        ({"valid": {"x": 8}, "test": {"y": 8}}, "test/y.png: a test image",
         "valid/x.png, which is held out"),
    ],
)  # fmt: skip
def test_a_copy_under_another_name_is_refused_with_both_names(tmp_path, splits, copy, original):
    with pytest.raises(DataError) as raised:
        checked(config_of(tmp_path, {"a": 1, "b": 2, "c": 3}, **splits))
    assert str(tmp_path / copy) in str(raised.value)
    assert str(tmp_path / original) in str(raised.value)


def test_a_copy_that_is_held_out_by_chance_is_refused(tmp_path):
    with pytest.raises(DataError, match="held out to choose the weights, but its pixels are those"):
        checked(config_of(tmp_path, {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}))


def test_other_images_and_blank_ones_are_apart(tmp_path):
    config = config_of(tmp_path, {"a": 1, "b": 2, "c": 3}, valid={"x": 4}, test={"y": 5})
    nearly = noise(1)
    nearly[0, 0] ^= 1
    Image.fromarray(nearly).save(tmp_path / "valid" / "x.png")
    for path in (tmp_path / "train" / "b.png", tmp_path / "test" / "y.png"):
        Image.new("RGB", (24, 24)).save(path)
    checked(config)


def test_test_images_that_are_trained_on_are_refused(tmp_path):
    drive = write_drive_folder(tmp_path / "DRIVE", train=2, test=1)
    config = TrainDrive(data=[drive, drive / "test"], held_out=[1])
    data = vessel_data(config)
    with pytest.raises(DataError, match=r"01_test\.tif: a test image, .*01_test\.tif, which is "):
        check_apart(splits_of(config, data), data.tests)
    config = TrainDrive(data=[drive], held_out=[1])
    data = vessel_data(config)
    check_apart(splits_of(config, data), data.tests)


@pytest.mark.parametrize(
    ("name", "group_by", "subject"),
    [
        ("p1_OD_v1", "first-token", "p1"), ("p1-OS.v2", "first-token", "p1"),
        ("p12 left", "first-token", "p12"), ("_p3_x", "first-token", "p3"),
        ("eye-p12-OD", "p[0-9]+", "p12"), ("eye-p12-OD", "^eye-(p[0-9]+)", "p12"),
        ("Image_01L", None, "Image_01"), ("p1_OD_v1", None, "p1_OD_v1"),
    ],
)  # fmt: skip
def test_a_rule_tells_whose_image_it_is(name, group_by, subject):
    assert subject_of(name, group_by) == subject


def test_a_rule_that_does_not_match_names_the_image():
    with pytest.raises(DataError, match=r"^x7: nothing in this name matches --group-by \^p"):
        subject_of("x7", "^p")
    with pytest.raises(ValidationError, match=r"\(p is no regular expression"):
        TrainDrive(group_by="(p")


VISITS = {f"p{person}_{eye}_v{visit}": 10 * person + 4 * visit + (eye == "OS")
          for person in range(1, 6) for eye in ("OD", "OS") for visit in (1, 2)}  # fmt: skip


@pytest.mark.parametrize("told", [{"folds": 5}, {"held_out": [4]}])
def test_all_visits_of_a_person_are_held_out_together_and_counted(tmp_path, told, caplog):
    caplog.set_level(logging.INFO, "rurnet")
    config = config_of(tmp_path, VISITS, group_by="first-token", **told)
    for split in splits_of(config, folder_data(config)):
        kept, held_out = (
            {one.source.name.split("_")[0] for one in part} for part in (split.kept, split.held_out)
        )
        assert not kept & held_out
        assert len(split.held_out) == 4
    assert "20 labelled images of 5 subjects, going by first-token" in caplog.messages


def test_without_a_rule_the_count_shows_that_persons_are_not_known(tmp_path, caplog):
    caplog.set_level(logging.INFO, "rurnet")
    config = config_of(tmp_path, VISITS)
    splits_of(config, folder_data(config))
    line = "20 labelled images of 20 subjects, going by left and right in their names"
    assert line in caplog.messages


def photograph(seed):
    """Something smooth, as photographs are."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((120, 100), Image.Resampling.BICUBIC)


def test_a_copy_that_was_saved_with_loss_is_named(tmp_path, caplog):
    config = config_of(tmp_path, {"a": 1, "b": 2, "c": 3}, valid={"x": 4}, test={"y": 5})
    for name, seed in (("train/a", 1), ("train/b", 2), ("train/c", 3), ("valid/x", 4)):
        photograph(seed).save(tmp_path / f"{name}.png")
    (tmp_path / "test" / "y.png").unlink()
    photograph(2).save(tmp_path / "test" / "y.jpg", quality=60)
    for split in ("train", "valid", "test"):
        for label in (tmp_path / f"{split}-labels").iterdir():
            Image.open(label).resize((120, 100), Image.Resampling.NEAREST).save(label)
    checked(config)
    [line] = [one for one in caplog.messages if "looks like a copy" in one]
    assert line.startswith(f"{tmp_path / 'test' / 'y.jpg'}: a test image, but looks like a copy")
    assert f"{tmp_path / 'train' / 'b.png'}, which is trained on" in line
