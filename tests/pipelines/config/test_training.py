"""What trainings can be told, and what is refused before anything is read."""

from math import inf, nan

import pytest
from pydantic import ValidationError

from pipelines.config.training import TrainDrive, TrainRoads
from pipelines.config.training_folder import TrainFolder


def test_network_arguments_are_written_with_hyphens_or_underscores():
    for given in ({"mask-fed-back": False}, {"mask_fed_back": False}):
        assert TrainRoads(network_arguments=given).network_arguments == {"mask_fed_back": False}


def test_weights_to_start_from_and_encoder_weights_are_not_both_given():
    with pytest.raises(ValidationError, match="leave encoder_weights out"):
        TrainRoads(start_from="roads-dru4", encoder_weights="vgg16.pth")


@pytest.mark.parametrize("wrong", [{"foreground_weight": 0}, {"foreground_weight": "mean"}])
def test_a_foreground_weight_is_a_positive_number_or_median(wrong):
    with pytest.raises(ValidationError, match="foreground_weight"):
        TrainRoads(**wrong)
    assert TrainRoads(foreground_weight="median").foreground_weight == "median"


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": 2**32}, {"epochs": inf}, {"learning_rate": nan}, {"foreground_weight": inf},
        {"max_time": inf}, {"max_time": 1e9},
    ],
    ids=str,
)  # fmt: skip
def test_numbers_are_finite_and_fit(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        TrainRoads(**wrong)


@pytest.mark.parametrize("name", ["classes", "in-channels", "steps"])
def test_what_the_data_say_is_no_network_argument(name):
    with pytest.raises(ValidationError, match="no network argument"):
        TrainRoads(network_arguments={name: 4})


def test_a_sha256_of_no_encoder_weights_is_refused():
    with pytest.raises(ValidationError, match="encoder_sha256 without encoder_weights"):
        TrainRoads(encoder_sha256="ab" * 32)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"folds": 1}, "folds to 2 or more"),
        ({"folds": -1}, "folds"),
        ({"folds": 5, "held_out": [10]}, "leave held_out out"),
        ({"held_out": []}, "held_out"),
        ({"valid_images": "v"}, "go together"),
        ({"valid_labels": "v"}, "go together"),
        ({"valid_images": "v", "valid_labels": "w", "folds": 2}, "leave held_out and folds out"),
        ({"valid_images": "v", "valid_labels": "w", "held_out": [1]}, "leave held_out and folds"),
        ({"test_labels": "t"}, "test_labels without test_images"),
        ({"samples": 5}, "samples"),
    ],
    ids=str,
)
def test_what_is_held_out_is_said_in_one_way(wrong, said):
    with pytest.raises(ValidationError, match=said):
        TrainFolder(**wrong)


@pytest.mark.parametrize(
    ("config", "images", "count"),
    [(TrainRoads, 30, 3), (TrainDrive, 20, 4), (TrainFolder, 500, 10), (TrainFolder, 20, 4),
     (TrainFolder, 2, 1), (TrainRoads, 5, 1)],
)  # fmt: skip
def test_a_few_images_are_held_out_by_default_and_a_fifth_at_most(config, images, count):
    assert config().held_out_of(images) == [count]
    assert config(held_out=[2, 1]).held_out_of(images) == [2, 1]


@pytest.mark.parametrize("split", ["valid", "test"])
def test_images_that_are_trained_on_neither_choose_nor_score(tmp_path, split):
    told = {f"{split}_images": tmp_path / "x" / ".." / "images", f"{split}_labels": tmp_path}
    with pytest.raises(ValidationError, match=f"{split}_images is the same folder as images"):
        TrainFolder(images=tmp_path / "images", **told)


def test_images_that_choose_the_weights_do_not_score_them(tmp_path):
    told = {
        f"{split}_{kind}": tmp_path for split in ("valid", "test") for kind in ("images", "labels")
    }
    with pytest.raises(ValidationError, match="test_images is the same folder as valid_images"):
        TrainFolder(images=tmp_path / "images", **told)
