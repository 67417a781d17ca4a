"""What can be configured, and what is refused before anything is read."""

import pytest
from pydantic import ValidationError

from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferDrive, InferRoads, PredictionSettings
from pipelines.config.training import TrainRoads
from pipelines.config.training_folder import TrainFolder


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


@pytest.mark.parametrize("config", [Evaluate, TrainFolder])
@pytest.mark.parametrize("names", ["background,road", "road,road"])
def test_classes_are_those_of_the_foreground_each_of_another_name(config, names):
    with pytest.raises(ValidationError, match="of the foreground"):
        config(classes=names)
    assert config(classes="road,rail").class_names == ("road", "rail")


def test_all_that_no_other_part_declares_changes_the_result():
    class WithOneMore(InferRoads):
        new: int = 3

    values = WithOneMore(tile=256).of_the_result()
    assert values["new"] == 3
    assert values["tile"] == 256
    assert set(values) == {
        "steps", "tile", "overlap", "bands", "value_range", "dtype", "save_steps", "tta",
        "min_size", "threshold", "gsd", "pixel_size", "aoi", "white_is_nodata", "new",
    }  # fmt: skip


def test_who_computes_and_how_it_is_scored_changes_no_result():
    there = InferRoads().of_the_result()
    assert there == InferRoads(
        device="cpu", batch=2, part_size=640, workers=3, scheduler="tcp://host:8786", rho=1,
        ignore="255", topology=False, figures=True, overwrite=True, scenes=["a.tif"], labels="b",
        output="c",
    ).of_the_result()  # fmt: skip
    assert there != InferRoads(threshold=0.4).of_the_result()
