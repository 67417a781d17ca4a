"""What can be configured, and what is refused before anything is read."""

import pytest
from pydantic import ValidationError

from pipelines.config import (
    Evaluate,
    InferDrive,
    InferRoads,
    PredictionSettings,
    TrainDrive,
    TrainFolder,
    TrainRoads,
)


@pytest.mark.parametrize(
    ("text", "numbers"), [(None, None), ("1", (1,)), ("4,3,2", (4, 3, 2)), ("12,12", (12, 12))]
)
def test_bands_are_numbers_from_1(text, numbers):
    assert PredictionSettings(bands=text).band_indexes == numbers


@pytest.mark.parametrize("text", ["", "0", "0,1", "1,", ",1", "1;2", "red", "1, 2", "-1", "1\n"])
def test_other_bands_are_refused(text):
    with pytest.raises(ValidationError, match="bands"):
        PredictionSettings(bands=text)


@pytest.mark.parametrize(
    ("text", "ends"),
    [(None, None), ("0,2047", (0, 2047)), ("-5.5,1.25", (-5.5, 1.25)), ("-9,-3", (-9, -3))],
)
def test_a_value_range_is_two_numbers(text, ends):
    assert PredictionSettings(value_range=text).value_ends == ends


@pytest.mark.parametrize("text", ["", "5", "5,", "1,2,3", "a,b", "3,3", "9,3", "0,inf", "nan,1"])
def test_other_value_ranges_are_refused(text):
    with pytest.raises(ValidationError, match="range"):
        PredictionSettings(value_range=text)


@pytest.mark.parametrize("text", ["0", "50", "25m2", "2.5m2"])
def test_a_smallest_size_is_in_pixels_or_square_metres(text):
    assert PredictionSettings(min_size=text).min_size == text


@pytest.mark.parametrize("text", ["", "2.5", "-3", "m2", "25 m2", "25m", "25ha"])
def test_other_smallest_sizes_are_refused(text):
    with pytest.raises(ValidationError, match="min_size"):
        PredictionSettings(min_size=text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tile": 16}, {"overlap": 512}, {"overlap": -1}, {"steps": 0}, {"threshold": 0},
        {"threshold": 1.1}, {"batch": 1}, {"part_size": 32}, {"dtype": "uint16"}, {"workers": -1},
        {"gsd": 0}, {"model": []}, {"scenes": []}, {"nonsense": 1},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_values_are_refused_by_name(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        InferRoads(**wrong)


@pytest.mark.parametrize("config", [InferRoads, InferDrive, TrainRoads, TrainFolder])
def test_a_configuration_survives_json(config):
    assert config.model_validate_json(config().model_dump_json()) == config()


def test_a_fundus_has_no_options_of_maps():
    assert not {"gsd", "aoi", "white_is_nodata"} & set(InferDrive.model_fields)
    assert set(PredictionSettings.model_fields) < set(InferDrive.model_fields)


def test_values_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        PredictionSettings().tile = 64


def test_network_arguments_are_written_with_hyphens_or_underscores():
    for given in ({"mask-fed-back": False}, {"mask_fed_back": False}):
        assert TrainRoads(network_arguments=given).network_arguments == {"mask_fed_back": False}


def test_weights_to_start_from_and_encoder_weights_are_not_both_given():
    with pytest.raises(ValidationError, match="leave encoder weights out"):
        TrainRoads(start_from="roads-dru4", encoder_weights="vgg16.pth")


@pytest.mark.parametrize("wrong", [{"foreground_weight": 0}, {"foreground_weight": "mean"}])
def test_a_foreground_weight_is_a_positive_number_or_median(wrong):
    with pytest.raises(ValidationError, match="foreground_weight"):
        TrainRoads(**wrong)
    assert TrainRoads(foreground_weight="median").foreground_weight == "median"


@pytest.mark.parametrize("name", ["classes", "in-channels", "steps"])
def test_what_the_data_say_is_no_network_argument(name):
    with pytest.raises(ValidationError, match="no network argument"):
        TrainRoads(network_arguments={name: 4})


def test_a_sha256_of_no_encoder_weights_is_refused():
    with pytest.raises(ValidationError, match="no encoder weights"):
        TrainRoads(encoder_sha256="ab" * 32)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"folds": 1}, "folds 2 or more"),
        ({"folds": -1}, "folds"),
        ({"folds": 5, "held_out": [10]}, "leave held out away"),
        ({"held_out": []}, "held_out"),
        ({"valid_images": "v"}, "go together"),
        ({"valid_labels": "v"}, "go together"),
        ({"valid_images": "v", "valid_labels": "w", "folds": 2}, "leave held out and folds away"),
        ({"valid_images": "v", "valid_labels": "w", "held_out": [1]}, "leave held out and folds"),
        ({"test_labels": "t"}, "without test images"),
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


@pytest.mark.parametrize("config", [Evaluate, TrainFolder])
@pytest.mark.parametrize("names", ["background,road", "road,road"])
def test_classes_are_those_of_the_foreground_each_of_another_name(config, names):
    with pytest.raises(ValidationError, match="of the foreground"):
        config(classes=names)
    assert config(classes="road,rail").class_names == ("road", "rail")
