"""Rasters of classes: how they are told from probabilities, and read as levels."""

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import PredictionError
from pipelines.results.levels import open_levels
from tests.pipelines.results.drawn_levels import (
    HEIGHT,
    PROBABILITY,
    RANDOM,
    WIDTH,
    is_graded,
    of,
    read,
)
from tiling.blend import NODATA, TOP

# Masks.


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (0, 0), (1, 1), (255, 255)])
@pytest.mark.parametrize("name", ["mask.tif", "mask.png"])
def test_a_mask_is_found_by_its_values(write_raster, tmp_path, values, name):
    drawn = PROBABILITY > 0.5
    pixels = np.where(drawn, *values[::-1]).astype(np.uint8)
    path = tmp_path / name
    if name.endswith("tif"):
        write_raster(path, pixels)
    else:
        Image.fromarray(pixels[0]).save(path)
    np.testing.assert_array_equal(read(path), (pixels != 0) * np.uint8(TOP))
    assert not is_graded(path)


def test_a_mask_of_one_bit_is_one(tmp_path):
    drawn = PROBABILITY[0] > 0.5
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read(tmp_path / "mask.png")[0], drawn * np.uint8(TOP))
    assert not is_graded(tmp_path / "mask.png")


def test_numbers_of_a_palette_are_classes_whatever_their_colours(tmp_path):
    drawn = PROBABILITY[0] > 0.5
    image = Image.fromarray(drawn.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read(tmp_path / "mask.png")[0], drawn * np.uint8(TOP))
    assert not is_graded(tmp_path / "mask.png")


def test_one_other_value_makes_probabilities_of_it(write_raster, tmp_path):
    pixels = ((PROBABILITY > 0.5) * 255).astype(np.uint8)
    pixels[0, -1, -1] = 7
    assert is_graded(write_raster(tmp_path / "p.tif", pixels))
    # Where it is not there it does not say anything.
    assert not is_graded(write_raster(tmp_path / "mask.tif", pixels, nodata=7))


def test_a_mask_in_another_type_is_told_from_probabilities(write_raster, tmp_path):
    pixels = (PROBABILITY > 0.5).astype(np.uint16)
    assert not is_graded(write_raster(tmp_path / "mask.tif", pixels))
    np.testing.assert_array_equal(read(tmp_path / "mask.tif"), pixels * TOP)


def test_numbers_of_classes_are_a_mask_where_the_classes_are_named(write_raster, tmp_path):
    classes = ("road", "rail", "river")
    pixels = RANDOM.integers(0, 4, (1, HEIGHT, WIDTH)).astype(np.uint8)
    path = write_raster(tmp_path / "classes.tif", pixels)
    levels = read(path, classes=classes)
    assert levels.shape == (3, HEIGHT, WIDTH)
    for number, band in enumerate(levels, start=1):
        np.testing.assert_array_equal(band, (pixels[0] == number) * np.uint8(TOP))
    assert not is_graded(path, classes=classes)


@pytest.mark.parametrize("value", [4, -1])
def test_a_number_that_is_no_class_is_an_error_that_names_the_option(write_raster, tmp_path, value):
    pixels = np.zeros((1, HEIGHT, WIDTH), np.int16)
    pixels[0, 3, 3] = value
    path = write_raster(tmp_path / "odd.tif", pixels)
    with pytest.raises(PredictionError, match=rf"odd\.tif: value {value} .*0 to 3; .*--classes"):
        read(path, kind="mask", classes=("a", "b", "c"))
    gone = write_raster(tmp_path / "gone.tif", pixels, nodata=value)
    assert read(gone, kind="mask", classes=("a", "b", "c"))[0, 3, 3] == NODATA


def test_what_is_asked_for_goes_before_what_it_looks_like(write_raster, tmp_path):
    grey = np.rint(PROBABILITY * 255).astype(np.uint8)
    path = write_raster(tmp_path / "grey.tif", grey)
    with pytest.raises(PredictionError, match=r"grey\.tif: value .* is no class .* --classes"):
        read(path, kind="mask")
    for name, options in (("floats", {}), ("scaled", {"value_range": (0, 100)})):
        pixels = PROBABILITY if name == "floats" else grey
        path = write_raster(tmp_path / f"{name}.tif", pixels)
        with pytest.raises(PredictionError, match=rf"{name}\.tif: holds probabilities"):
            read(path, kind="mask", **options)
    white = ((PROBABILITY > 0.5) * 255).astype(np.uint8)
    path = write_raster(tmp_path / "white.tif", white)
    assert is_graded(path, kind="probability")
    np.testing.assert_array_equal(read(path, kind="probability"), (white > 0) * np.uint8(TOP))


def test_masks_are_found_window_by_window(write_raster, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.results.levels._AT_ONCE", 5)
    pixels = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    pixels[0, 0, 0], pixels[0, -1, -1] = 1, 255
    assert is_graded(write_raster(tmp_path / "p.tif", pixels))
    pixels[0, 0, 0] = 255
    assert not is_graded(write_raster(tmp_path / "mask.tif", pixels))


# Bands.


@pytest.mark.parametrize("highest", [3, 31, 100])
def test_numbers_that_may_be_classes_or_percent_are_not_guessed_at(write_raster, tmp_path, highest):
    pixels = np.rint(PROBABILITY * highest).astype(np.uint8)
    pixels[0, 0, 0] = highest
    path = write_raster(tmp_path / "odd.tif", pixels)
    with pytest.raises(
        PredictionError, match=rf"odd\.tif: values up to {highest} .*--classes.*--val"
    ):
        read(path)
    np.testing.assert_array_equal(read(path, value_range=(0, highest)), of(pixels / highest))
    assert is_graded(path, kind="probability")
    with pytest.raises(PredictionError, match=rf"name all {highest} \(not 1\) .*--classes"):
        read(path, classes=("road",))


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "int8"])
def test_a_mask_may_be_of_any_integers(write_raster, tmp_path, dtype):
    drawn = PROBABILITY > 0.5
    path = write_raster(tmp_path / "mask.tif", drawn.astype(dtype))
    np.testing.assert_array_equal(read(path), drawn * np.uint8(TOP))


def test_a_mask_has_one_band(write_raster, tmp_path):
    path = write_raster(tmp_path / "m.tif", np.zeros((4, HEIGHT, WIDTH), np.uint8))
    with pytest.raises(PredictionError, match=r"m\.tif: 4 bands"), open_levels(path, "mask"):
        pass
