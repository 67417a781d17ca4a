"""What is in a raster that is written: pixels, place, overviews, and nothing beside it."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

from tests.tiling.sinks import (
    HEIGHT,
    TAGS,
    WIDTH,
    check_cog,
    cog,
    description,
    levels_with_every_value,
    names,
    opened,
    opened_level,
    png,
    written,
)
from tiling.masks.overviews import halved
from tiling.readers.raster import RasterScene
from tiling.sink import BLOCK, ClassCogSink, CogSink, PngSink
from tiling.window import Window

PLACES = {
    "north up": ("EPSG:26986", Affine(0.3, 0, 200_000.1, 0, -0.3, 900_000.7)),
    "turned": ("EPSG:32619", Affine(0.257, 0.154, 100_000.1, 0.154, -0.257, 900_000.0)),
    "degrees": ("EPSG:4326", Affine(1 / 3600, 0, -71.1, 0, -1 / 3600, 42.3)),
    "a projection of its own": (
        "+proj=tmerc +lat_0=41.7 +lon_0=-71.2 +k=0.9999 +x_0=1234.5 +ellps=GRS80 +units=m",
        Affine(1, 0, 0, 0, -1, 0),
    ),
}


# Cloud-Optimized GeoTIFFs.


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A raster, open, with every level in it."""
    path = tmp_path_factory.mktemp("result") / "probability.tif"
    crs, transform = PLACES["north up"]
    pixels = levels_with_every_value(bands=2)
    place = {"crs": CRS.from_user_input(crs), "transform": transform}
    with rasterio.open(written(cog(path, pixels, scale=1 / 254, **place), pixels)) as raster:
        yield raster


def test_it_is_a_valid_cloud_optimized_geotiff(result):
    check_cog(result.name)
    assert result.overviews(1), "larger than a block, so there are overviews"
    assert result.block_shapes == [(BLOCK, BLOCK)] * 2
    assert result.compression.value == "DEFLATE"


def test_it_is_what_was_described(result):
    assert result.dtypes == ("uint8", "uint8")
    assert result.nodata == 255
    assert result.shape == (HEIGHT, WIDTH)
    assert result.scales == (1 / 254, 1 / 254)
    assert result.descriptions == ("probability of class 1", "probability of class 2")
    assert TAGS.items() <= result.tags().items()


def test_it_holds_the_pixels(result):
    np.testing.assert_array_equal(result.read(), levels_with_every_value(bands=2))


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 6])
def test_no_band_is_taken_for_alpha_or_a_colour(tmp_path, capfd, bands):
    pixels = levels_with_every_value(bands)
    with opened(written(cog(tmp_path / "probability.tif", pixels), pixels)) as raster:
        assert [colour.name for colour in raster.colorinterp] == (
            ["gray"] + ["undefined"] * (bands - 1)
        )
        assert capfd.readouterr().err == ""  # GDAL's own words go there.
        np.testing.assert_array_equal(raster.read_masks(1) == 0, pixels[0] == 255)


def test_only_the_raster_is_left(result):
    assert names(Path(result.name).parent) == ["probability.tif"]


@pytest.mark.parametrize("place", PLACES)
def test_it_lies_exactly_where_the_scene_lies(write_raster, tmp_path, place):
    crs, transform = PLACES[place]
    pixels = levels_with_every_value()
    path = write_raster(tmp_path / "scene.tif", pixels.repeat(3, 0), crs=crs, transform=transform)
    with RasterScene(path) as scene:
        where = {"crs": scene.crs, "transform": scene.transform}
    with rasterio.open(written(cog(tmp_path / "mask.tif", pixels, **where), pixels)) as raster:
        assert raster.crs == scene.crs == CRS.from_user_input(crs)
        assert tuple(raster.transform) == tuple(scene.transform) == tuple(transform)


def test_a_scene_without_coordinates_gives_a_raster_without(tmp_path):
    pixels = levels_with_every_value()
    with opened(written(cog(tmp_path / "mask.tif", pixels), pixels)) as raster:
        assert raster.crs is None
        assert raster.transform == Affine.identity()


@pytest.mark.parametrize("kind", [CogSink, ClassCogSink])
def test_missing_pixels_do_not_bleed_into_overviews(tmp_path, kind):
    levels = np.full((1, HEIGHT, WIDTH), 100, np.uint8)
    levels[:, 123:456, 77:899] = 255
    sink = cog(tmp_path / "mask.tif", levels, kind=kind)
    with opened(written(sink, levels)) as raster:
        smaller = raster.read(1, out_shape=(HEIGHT // 2, WIDTH // 2))
    assert set(np.unique(smaller)) == {100, 255}


def test_a_probability_seen_from_afar_is_the_mean_of_its_pixels(tmp_path):
    levels = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    levels[:, :, ::2] = 200
    with opened(written(cog(tmp_path / "probability.tif", levels), levels)) as raster:
        assert set(np.unique(raster.read(1, out_shape=(HEIGHT // 2, WIDTH // 2)))) == {100}


def test_classes_seen_from_afar_are_classes(tmp_path):
    classes = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    classes[:, :, 1::4] = classes[:, :, 2::4] = classes[:, :, 3::4] = 2
    with opened(written(cog(tmp_path / "m.tif", classes, kind=ClassCogSink), classes)) as raster:
        assert set(np.unique(raster.read(1, out_shape=(HEIGHT // 2, WIDTH // 2)))) <= {0, 2}


@pytest.mark.parametrize("place", PLACES)
def test_a_raster_of_classes_is_like_the_others_but_for_its_overviews(tmp_path, place):
    pixels = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    pixels[:, 123] = 1
    crs, transform = PLACES[place]
    where = {"crs": CRS.from_user_input(crs), "transform": transform}
    of_classes, other = (
        written(cog(tmp_path / name, pixels, kind=kind, **where), pixels)
        for name, kind in (("mask.tif", ClassCogSink), ("probability.tif", CogSink))
    )
    check_cog(of_classes)
    assert names(tmp_path) == ["mask.tif", "probability.tif"]
    with opened(of_classes) as mask, opened(other) as probability:
        assert mask.profile == probability.profile
        assert mask.tags() == probability.tags()
        assert mask.tags(ns="IMAGE_STRUCTURE") == probability.tags(ns="IMAGE_STRUCTURE")
        assert mask.descriptions == probability.descriptions
        assert mask.colorinterp == probability.colorinterp
        assert mask.overviews(1) == probability.overviews(1) == [2, 4]
        np.testing.assert_array_equal(mask.read(), pixels)
    with opened_level(of_classes, 1) as smallest:
        assert smallest.read(1).sum() == WIDTH // 4


def test_overviews_of_classes_are_halves_of_halves(tmp_path):
    classes = np.random.default_rng(0).integers(0, 3, (1, 2100, 1600), np.uint8)
    path = written(cog(tmp_path / "mask.tif", classes, kind=ClassCogSink), classes)
    expected = classes[0]
    for level in range(3):
        height, width = expected.shape
        whole = Window(0, 0, -(-height // 2), -(-width // 2))
        before = expected
        expected = halved(lambda window, of=before: of[window.slices()], height, width, whole)
        with opened_level(path, level) as raster:
            np.testing.assert_array_equal(raster.read(1), expected)


def test_floats_come_back_to_the_bit_and_nan_is_nodata(tmp_path):
    pixels = np.random.default_rng(0).random((2, HEIGHT, WIDTH), np.float32)
    pixels[:, 100:300, 200:900] = np.nan
    with opened(written(cog(tmp_path / "p.tif", pixels, nodata=float("nan")), pixels)) as raster:
        assert raster.dtypes == ("float32", "float32")
        assert np.isnan(raster.nodata)
        assert raster.read().tobytes() == pixels.tobytes()
        np.testing.assert_array_equal(raster.read_masks(1) == 0, np.isnan(pixels[0]))
        smaller = raster.read(1, out_shape=(HEIGHT // 2, WIDTH // 2))
    assert (np.isnan(smaller) == np.isnan(pixels[0, ::2, ::2])).all()
    check_cog(tmp_path / "p.tif")


@pytest.mark.parametrize("shape", [(1501, 1003), (1, 5000), (1031, 2)])
def test_overviews_of_probabilities_are_as_large_as_those_of_masks(tmp_path, shape):
    pixels = np.zeros((1, *shape), np.uint8)
    pixels[:, -1] = 200  # The last row is in no full block of 2 x 2.
    probability, mask = (
        written(cog(tmp_path / f"{kind.__name__}.tif", pixels, kind=kind), pixels)
        for kind in (CogSink, ClassCogSink)
    )
    check_cog(probability)
    with opened(probability) as raster:
        count = len(raster.overviews(1))
    for level in range(count):
        with opened_level(probability, level) as one, opened_level(mask, level) as other:
            assert one.shape == other.shape == tuple(-(-side // 2 ** (level + 1)) for side in shape)
            assert one.read(1)[-1].any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 900), (1, 512, 512), (2, 513, 40)])
def test_any_size_is_a_valid_raster(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    path = written(cog(tmp_path / "p.tif", pixels), pixels)
    check_cog(path)
    with opened(path) as raster:
        np.testing.assert_array_equal(raster.read(), pixels)


# PNGs.


@pytest.mark.parametrize(("bands", "dtype"), [(1, np.uint8), (3, np.uint8), (1, np.uint16)])
def test_a_png_is_the_pixels_and_nothing_lies_beside_it(tmp_path, bands, dtype):
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, top, (bands, HEIGHT, WIDTH), dtype, endpoint=True)
    path = written(png(tmp_path / "mask.png", pixels), pixels)
    assert names(tmp_path) == ["mask.png"]
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size == (WIDTH, HEIGHT)
        np.testing.assert_array_equal(np.array(image), pixels[0] if bands == 1 else
                                      pixels.transpose(1, 2, 0))  # fmt: skip


def test_a_png_leaves_nothing_beside_it_though_it_was_georeferenced(tmp_path):
    pixels = levels_with_every_value()
    crs, transform = PLACES["north up"]
    what = description(pixels, 0, crs=CRS.from_user_input(crs), transform=transform)
    written(PngSink(tmp_path / "mask.png", tmp_path, what), pixels)
    assert names(tmp_path) == ["mask.png"]
