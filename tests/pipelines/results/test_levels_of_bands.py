"""Bands of rasters: which classes they are of, and which pixels are there."""

import numpy as np
import pytest
import rasterio

from pipelines.errors import PredictionError
from pipelines.results.levels import open_levels
from tests.pipelines.results.drawn_levels import (
    HEIGHT,
    PROBABILITY,
    THERE,
    WHOLE,
    WIDTH,
    is_graded,
    of,
    read,
)
from tiling.blend import NODATA


def test_several_bands_are_classes_that_are_named(write_raster, tmp_path):
    pixels = np.stack([PROBABILITY[0], 1 - PROBABILITY[0]]) / 2
    path = write_raster(tmp_path / "p.tif", pixels)
    with open_levels(path, classes=("road", "rail")) as levels:
        assert levels.classes == ("road", "rail")
        np.testing.assert_array_equal(levels.read(WHOLE), of(pixels))
    with rasterio.open(path, "r+") as raster:
        raster.set_band_description(2, "rail")
    with (
        pytest.raises(PredictionError, match=r"p\.tif: 2 bands, but nothing says of which"),
        open_levels(path),
    ):
        pass
    with rasterio.open(path, "r+") as raster:
        raster.set_band_description(1, "probability of road")
    with open_levels(path) as levels:
        assert levels.classes == ("road", "rail")


def test_bands_are_probabilities_though_one_could_be_a_mask(write_raster, tmp_path):
    pixels = np.stack([np.zeros((HEIGHT, WIDTH)), PROBABILITY[0] * 255]).astype(np.uint8)
    path = write_raster(tmp_path / "p.tif", pixels)
    assert is_graded(path, classes=("road", "rail"))
    np.testing.assert_array_equal(read(path, classes=("road", "rail")), of(pixels / 255))


def test_one_band_is_the_foreground(write_raster, tmp_path):
    with open_levels(write_raster(tmp_path / "p.tif", PROBABILITY)) as levels:
        assert levels.classes == ("foreground",)


@pytest.mark.parametrize("bands", [1, 3])
def test_bands_for_other_classes_are_an_error_that_counts_both(write_raster, tmp_path, bands):
    path = write_raster(tmp_path / "p.tif", np.repeat(PROBABILITY, bands, axis=0))
    said = rf"p\.tif: {bands} bands? .*2 foreground classes \(road, rail\); .*background"
    with pytest.raises(PredictionError, match=said), open_levels(path, classes=("road", "rail")):
        pass


@pytest.mark.parametrize("kind", ["nodata", "alpha", "mask"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_whatever_says_that_a_pixel_is_missing_is_heard(write_raster, tmp_path, kind, dtype):
    full = np.maximum(PROBABILITY, 0.01) * (200 if dtype == "uint8" else 1)
    pixels = full.astype(dtype)
    if kind == "nodata":  # Not of 0: that is a probability.
        path = write_raster(tmp_path / "p.tif", np.where(THERE, pixels, 250), nodata=250)
    else:
        path = write_raster(tmp_path / "p.tif", pixels, nodata_kind=kind, valid=THERE)
    levels = read(path)
    assert levels.shape == (1, HEIGHT, WIDTH)
    np.testing.assert_array_equal(levels[0] == NODATA, ~THERE)
    expected = of(pixels / (255.0 if dtype == "uint8" else 1.0))
    np.testing.assert_array_equal(levels[:, THERE], expected[:, THERE])
