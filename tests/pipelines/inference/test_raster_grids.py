"""Predictions of other pixel sizes, of an area and of chosen bands: the scene's own grid."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.warp import transform

from pipelines.errors import DataError
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.opening import Reading
from pipelines.models.weights import load
from tests.pipelines.inference.rasters import HEIGHT, WIDTH, grid_of, read
from tiling.blend import NODATA
from tiling.errors import SceneError
from tiling.window import Window

# Another pixel size.


@pytest.fixture(scope="module", params=[0.5, 0.7, 1.9])
def seen_otherwise(request, predicted, drawn, write_raster, tmp_path_factory):
    """A scene of other metres per pixel than the network's, and what came of it."""
    path = write_raster(
        tmp_path_factory.mktemp("gsd") / "s.tif", drawn[0], nodata_kind="mask", valid=drawn[1],
        transform=Affine(request.param, 0, 200_000.5, 0, -request.param, 900_000.25),
    )  # fmt: skip
    return path, predicted(path, reading=Reading(gsd=1.0))


def test_results_are_on_the_scenes_own_grid_pixel_for_pixel(seen_otherwise, drawn):
    path, done = seen_otherwise
    for written in (done.probability, done.mask):
        assert grid_of(written) == grid_of(path)
        np.testing.assert_array_equal(read(written)[0] != NODATA, drawn[1])


def test_the_network_saw_another_pixel_size(seen_otherwise, plain, model):
    path, done = seen_otherwise
    assert (read(done.probability) != read(plain.probability)).any()
    [item] = road_inputs([str(path)], None, Reading(gsd=1.0))
    with item.open() as opened, rasterio.open(path) as raster:
        size = raster.transform.a
        assert abs(opened.seen.height - HEIGHT * size) <= 0.5
        assert abs(opened.seen.width - WIDTH * size) <= 0.5


@pytest.mark.parametrize("side", [0.5, 1.9])
def test_a_resampled_result_is_that_of_the_scene_as_seen_brought_back(
    predicted, drawn, write_raster, tmp_path, side
):
    place = Affine(side, 0, 200_000, 0, -side, 900_000)
    path = write_raster(tmp_path / "own.tif", drawn[0], transform=place)
    [item] = road_inputs([str(path)], None, Reading(gsd=1.0))
    with item.open() as opened:
        pixels, _ = opened.seen.read(Window(0, 0, opened.seen.height, opened.seen.width))
    [levels] = read(predicted(write_raster(tmp_path / "seen.tif", pixels)).probability)
    assert levels.shape != (HEIGHT, WIDTH)
    back = Image.fromarray(levels.astype(np.float32)).resize((WIDTH, HEIGHT), Image.BILINEAR)
    [found] = read(predicted(path, reading=Reading(gsd=1.0)).probability)
    assert np.abs(found - np.asarray(back)).max() <= 0.51


def test_a_scene_of_the_networks_pixel_size_is_not_resampled(predicted, plain, source):
    done = predicted(reading=Reading(gsd=1.005))
    assert done.probability.read_bytes() == plain.probability.read_bytes()


def test_floats_of_a_resampled_scene_round_to_its_levels(predicted, drawn, write_raster, tmp_path):
    path = write_raster(
        tmp_path / "s.tif", drawn[0], nodata_kind="mask", valid=drawn[1],
        transform=Affine(0.6, 0, 0, 0, -0.6, 0),
    )  # fmt: skip
    reading = Reading(gsd=1.0)
    levels, floats = (
        predicted(path, reading=reading),
        predicted(path, reading=reading, dtype="float32"),
    )
    probability = read(floats.probability)[0]
    np.testing.assert_array_equal(np.isnan(probability), ~drawn[1])
    # Levels are rounded before they are resampled, and after.
    there = drawn[1]
    apart = np.abs(probability[there] * 254 - read(levels.probability)[0][there])
    assert apart.max() <= 1.01


def test_a_scene_without_metres_is_predicted_as_it_is_unless_they_are_asked_for(
    predicted, drawn, write_raster, tmp_path
):
    path = write_raster(tmp_path / "s.tif", drawn[0], crs=None)
    asked = predicted(path, reading=Reading(gsd=2.0))
    assert asked.probability.read_bytes() == predicted(path).probability.read_bytes()
    with pytest.raises(DataError, match=r"s\.tif.*no size in metres.*--gsd"):
        predicted(path, reading=Reading(gsd=2.0, gsd_wanted=True))


# An area of interest.


def area(path, scene, corners):
    """A GeoJSON polygon of corners given in pixels (row, column) of a scene."""
    with rasterio.open(scene) as raster:
        x, y = zip(*(raster.transform @ (column, row) for row, column in corners), strict=True)
        longitude, latitude = transform(raster.crs, "EPSG:4326", x, y)
    ring = [list(position) for position in zip(longitude, latitude, strict=True)]
    polygon = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    path.write_text(json.dumps({"type": "Feature", "geometry": polygon, "properties": {}}))
    return path


def test_outside_the_area_of_interest_is_nodata(predicted, source, drawn, tmp_path):
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[20:100, 30:140] = True
    corners = [(20, 30), (20, 140), (100, 140), (100, 30)]
    done = predicted(reading=Reading(area=area(tmp_path / "a.geojson", source, corners)))
    for written in (done.probability, done.mask):
        assert grid_of(written) == grid_of(source)
        np.testing.assert_array_equal(read(written)[0] != NODATA, wanted & drawn[1])


def test_an_area_elsewhere_is_an_error_that_names_it(predicted, source, tmp_path):
    elsewhere = area(tmp_path / "far.geojson", source, [(900, 900), (900, 990), (990, 900)])
    with pytest.raises(SceneError, match=r"far\.geojson: lies outside"):
        predicted(reading=Reading(area=elsewhere))


# Chosen bands.


def test_chosen_bands_are_the_scene_made_of_them(predicted, drawn, write_raster, tmp_path):
    pixels, _ = drawn
    four = np.concatenate([pixels, 255 - pixels[:1]])
    path = write_raster(tmp_path / "four" / "s.tif", four)
    chosen = predicted(path, reading=Reading(bands=(4, 3, 2)))
    made = predicted(write_raster(tmp_path / "made" / "s.tif", four[[3, 2, 1]]))
    assert chosen.probability.read_bytes() == made.probability.read_bytes()
    assert chosen.mask.read_bytes() == made.mask.read_bytes()


def test_a_scene_of_more_bands_than_the_network_takes_says_how_to_choose(
    predicted, drawn, write_raster, tmp_path
):
    path = write_raster(tmp_path / "four.tif", np.concatenate([drawn[0], drawn[0][:1]]))
    with pytest.raises(SceneError, match=r"four\.tif: 4 bands.*--bands 1,2,3"):
        predicted(path)


def test_a_network_of_four_bands_takes_four(
    predicted, fresh_weights, drawn, write_raster, tmp_path
):
    four = np.concatenate([drawn[0], 255 - drawn[0][:1]])
    path = write_raster(tmp_path / "s.tif", four)
    model = load(str(fresh_weights(tmp_path / "four.safetensors", bands=4)))
    done = predicted(path, models=[model], reading=Reading(bands=4))
    other = predicted(path, models=[model], reading=Reading(bands=(1, 2, 3, 1)))
    assert (read(done.probability) != read(other.probability)).any()


@pytest.mark.parametrize(("dtype", "factor"), [("uint16", 257), ("float32", 1 / 255)])
def test_a_scene_of_another_type_gives_what_that_of_8_bits_gives(
    predicted, drawn, write_raster, tmp_path, dtype, factor
):
    values = (drawn[0].astype(float) * factor).astype(dtype)
    path = write_raster(tmp_path / "s.tif", values)
    eight = predicted(write_raster(tmp_path / "8" / "s.tif", drawn[0]))
    found, expected = read(predicted(path).probability), read(eight.probability)
    assert np.abs(found.astype(int) - expected).max() <= 1
    ranged = predicted(path, value_range=f"0,{65535 if dtype == 'uint16' else 1}")
    np.testing.assert_array_equal(read(ranged.probability), found)
