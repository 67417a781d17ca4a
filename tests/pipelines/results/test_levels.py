"""Rasters of anyone's probabilities, read as levels 0 to 254 and 255."""

import numpy as np
import pytest
import rasterio

from pipelines.errors import PredictionError
from pipelines.results.levels import at_size, open_levels
from tests.pipelines.results.drawn_levels import (
    HEIGHT,
    PROBABILITY,
    RANDOM,
    THERE,
    WHOLE,
    WIDTH,
    is_graded,
    of,
    read,
)
from tiling.blend import NODATA, TOP
from tiling.errors import SceneError
from tiling.window import Window

# Probabilities.


def test_every_level_of_ours_comes_back_as_it_is(write_raster, tmp_path):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    path = write_raster(tmp_path / "p.tif", pixels, nodata=255)
    with rasterio.open(path, "r+") as raster:
        raster.scales = (1 / 254,)
    levels = read(path, Window(0, 0, 16, 16))
    np.testing.assert_array_equal(levels, pixels)
    assert levels.dtype == np.uint8
    assert is_graded(path)


def test_what_was_predicted_is_read_as_it_lies_on_disk(
    write_raster, fresh_weights, roads_model, predict, tmp_path
):
    from pipelines.config.inference import PredictionSettings
    from pipelines.models.weights import load
    from tiling.readers.files import open_scene

    image = RANDOM.integers(1, 255, (3, 64, 80)).astype(np.uint8)
    valid = np.ones((64, 80), bool)
    valid[:9] = False
    classes = ("background", "road", "rail")
    model = load(str(fresh_weights(tmp_path / "three.safetensors", classes)))
    path = write_raster(tmp_path / "scene.tif", image, nodata_kind="nodata", valid=valid)
    small = {"tile": 64, "overlap": 16, "steps": 1, "device": "cpu"}
    with open_scene(path) as scene:
        for dtype in ("uint8", "float32"):
            settings = PredictionSettings(dtype=dtype, **small)
            predict(scene, [model], settings, tmp_path / dtype)
    with rasterio.open(tmp_path / "uint8" / "probability.tif") as raster:
        on_disk = raster.read()
    with open_levels(tmp_path / "uint8" / "probability.tif") as levels:
        assert levels.classes == ("road", "rail")
        assert levels.graded
        np.testing.assert_array_equal(levels.read(Window(0, 0, 64, 80)), on_disk)
    with open_levels(tmp_path / "float32" / "probability.tif") as levels:
        # The floats are those that the levels were rounded from.
        finer = levels.read(Window(0, 0, 64, 80)).astype(int)
    np.testing.assert_array_equal((finer == NODATA).all(axis=0), ~valid)
    assert np.abs(finer - on_disk).max() <= 1


def test_floats_are_probabilities_and_nan_is_not_there(write_raster, tmp_path):
    pixels = np.where(THERE, PROBABILITY, np.nan).astype(np.float32)
    path = write_raster(tmp_path / "p.tif", pixels)
    np.testing.assert_array_equal(read(path), np.where(THERE, of(PROBABILITY), NODATA))
    assert is_graded(path)


def test_doubles_and_a_nodata_value_far_off_are_read_too(write_raster, tmp_path):
    pixels = np.where(THERE, PROBABILITY.astype(np.float64), -1e300)
    path = write_raster(tmp_path / "p.tif", pixels, nodata=-1e300)
    np.testing.assert_array_equal(read(path), np.where(THERE, of(PROBABILITY), NODATA))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_of_other_integers_the_types_highest_value_is_certain(write_raster, tmp_path, dtype):
    highest = np.iinfo(dtype).max
    pixels = np.rint(PROBABILITY * highest).astype(dtype)
    pixels[0, 0, :3] = 0, highest // 2, highest
    path = write_raster(tmp_path / "p.tif", pixels)
    levels = read(path)
    np.testing.assert_array_equal(levels, of(pixels.astype(np.float64) / highest))
    assert levels[0, 0, 0] == 0
    assert levels[0, 0, 2] == TOP
    assert is_graded(path)


def test_a_declared_scale_and_offset_say_what_values_stand_for(write_raster, tmp_path):
    # Tenths of percent, from 100 on.
    pixels = np.rint(PROBABILITY * 1000 + 100).astype(np.uint16)
    path = write_raster(tmp_path / "p.tif", pixels)
    with rasterio.open(path, "r+") as raster:
        raster.scales, raster.offsets = (0.001,), (-0.1,)
    np.testing.assert_array_equal(read(path), of((pixels - 100.0) / 1000))


def test_a_scale_may_turn_values_round(write_raster, tmp_path):
    pixels = np.rint(PROBABILITY * 100).astype(np.uint8)
    path = write_raster(tmp_path / "background.tif", pixels)
    with rasterio.open(path, "r+") as raster:
        raster.scales, raster.offsets = (-0.01,), (1.0,)
    np.testing.assert_array_equal(read(path), of(1 - pixels / 100))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_the_range_that_is_asked_for_goes_before_all_others(write_raster, tmp_path, dtype):
    pixels = np.rint(PROBABILITY * 100).astype(dtype)
    path = write_raster(tmp_path / "percent.tif", pixels)
    with rasterio.open(path, "r+") as raster:
        raster.scales = (1 / 254,)
    np.testing.assert_array_equal(read(path, value_range=(0, 100)), of(pixels / 100.0))


def test_a_range_makes_probabilities_of_what_looks_like_a_mask(write_raster, tmp_path):
    pixels = (PROBABILITY > 0.5).astype(np.uint8)
    path = write_raster(tmp_path / "p.tif", pixels)
    assert is_graded(path, value_range=(0, 2))
    np.testing.assert_array_equal(read(path, value_range=(0, 2)), pixels * 127)


@pytest.mark.parametrize(
    ("dtype", "value", "value_range"),
    [
        ("float32", 1.5, None),
        ("float32", -0.2, None),
        ("float32", 100.0, None),
        ("int16", -100, None),
        ("uint16", 101, (0, 100)),
        ("uint8", 101, (0, 100)),
        ("uint8", 3, (10, 100)),
    ],
)
def test_what_is_no_probability_is_an_error_that_says_how_to_give_the_range(
    write_raster, tmp_path, dtype, value, value_range
):
    pixels = np.full((1, HEIGHT, WIDTH), value_range[1] if value_range else 0, dtype)
    pixels[0, 5, 7] = value
    pixels[0, 0, 0] = value_range[0] if value_range else 1  # Else a mask.
    pixels[0, 0, 1] = value_range[1] if value_range else 1
    path = write_raster(tmp_path / "odd.tif", pixels)
    with pytest.raises(PredictionError, match=r"odd\.tif: .* --value-range") as error:
        read(path, kind="probability", value_range=value_range)
    assert f"{value:g}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_values_that_are_not_there_may_be_any(write_raster, tmp_path, dtype):
    pixels = np.rint(PROBABILITY * 100).astype(dtype)
    pixels[0, 2, 3] = 250
    path = write_raster(tmp_path / "p.tif", pixels, nodata=250)
    levels = read(path, value_range=(0, 100))
    assert np.argwhere(levels[0] == NODATA).tolist() == [[2, 3]]
    in_field = np.ones((HEIGHT, WIDTH), bool)
    in_field[2, 3] = False
    bare = write_raster(tmp_path / "bare.tif", pixels)
    np.testing.assert_array_equal(read(bare, value_range=(0, 100), field=in_field), levels)


def test_what_a_softmax_is_off_by_is_no_error(write_raster, tmp_path):
    pixels = np.array([[[-1e-6, 1 + 1e-6, 0.5]]], np.float32)
    path = write_raster(tmp_path / "p.tif", pixels)
    assert read(path, Window(0, 0, 1, 3)).tolist() == [[[0, TOP, 127]]]


def test_one_band_that_is_no_probability_is_enough(write_raster, tmp_path):
    pixels = np.stack([PROBABILITY[0], PROBABILITY[0]])
    pixels[1, 4, 4] = 2.5
    path = write_raster(tmp_path / "odd.tif", pixels)
    with pytest.raises(PredictionError, match=r"odd\.tif: value 2\.5 .* --value-range"):
        read(path, classes=("road", "rail"))


def test_floats_of_0_and_1_are_probabilities_that_are_certain(write_raster, tmp_path):
    pixels = (PROBABILITY > 0.5).astype(np.float32)
    path = write_raster(tmp_path / "sure.tif", pixels)
    assert is_graded(path)
    np.testing.assert_array_equal(read(path), of(pixels))


# Size.


def test_nothing_counts_outside_the_field(write_raster, tmp_path):
    path = write_raster(tmp_path / "p.tif", PROBABILITY)
    for window in (WHOLE, Window(3, 5, 6, 8)):
        rows, columns = window.slices()
        levels = read(path, window, field=THERE)[0]
        expected = np.where(THERE, of(PROBABILITY[0]), NODATA)[rows, columns]
        np.testing.assert_array_equal(levels, expected)


def test_an_overview_is_the_whole_as_read_at_another_size(write_raster, tmp_path):
    pixels = np.repeat(np.repeat(PROBABILITY, 4, axis=1), 4, axis=2)
    field = np.repeat(np.repeat(THERE, 4, axis=0), 4, axis=1)
    with open_levels(write_raster(tmp_path / "p.tif", pixels), field=field) as levels:
        expected = np.where(THERE, of(PROBABILITY), NODATA)
        np.testing.assert_array_equal(levels.overview(WIDTH), expected)
        whole = levels.read(Window(0, 0, 4 * HEIGHT, 4 * WIDTH))
        np.testing.assert_array_equal(levels.overview(10_000), whole)
        assert max(levels.overview(7).shape[1:]) == 7


def test_sizes_and_places_are_those_of_the_file(write_raster, tmp_path):
    with open_levels(write_raster(tmp_path / "p.tif", PROBABILITY)) as levels:
        assert (levels.height, levels.width) == (HEIGHT, WIDTH)
        assert levels.crs.to_epsg() == 26986
        assert levels.transform.c == 200_000.5
        assert levels.name.endswith("p.tif")


def test_at_size_takes_pixels_as_they_are():
    pixels = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(at_size(pixels, (3, 4)), pixels)
    np.testing.assert_array_equal(at_size(at_size(pixels, (9, 12)), (3, 4)), pixels)
    assert at_size(pixels[None], (1, 2)).tolist() == [[[0, 2]]]


@pytest.mark.parametrize("text", [None, "no raster"])
def test_what_cannot_be_read_is_named(tmp_path, text):
    path = tmp_path / "p.tif"
    if text:
        path.write_text(text)
    with pytest.raises(SceneError, match=r"p\.tif"), open_levels(path):
        pass
