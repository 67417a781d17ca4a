"""The rasters of a scene: classes, steps, types, tags, thresholds, smallest sizes and the PNG."""

from importlib.metadata import version

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rio_cogeo.cogeo import cog_validate
from scipy import ndimage

from pipelines.errors import DataError
from pipelines.inputs.opening import Reading
from pipelines.models.weights import load
from tests.pipelines.inference.rasters import HEIGHT, SMALL, WIDTH, read
from tiling.blend import NODATA
from tiling.errors import SinkError
from tiling.masks.mask import threshold_level
from tiling.readers.raster import RasterScene

# Classes.


@pytest.fixture(scope="module")
def three_classes(fresh_weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "three.safetensors"
    return load(str(fresh_weights(path, ("background", "road", "path"), seed=3)))


@pytest.fixture(scope="module")
def of_three(predicted, three_classes):
    return predicted(models=[three_classes])


def test_every_foreground_class_has_a_band_that_says_which_it_is(of_three, drawn):
    with rasterio.open(of_three.probability) as raster:
        assert raster.descriptions == ("probability of road", "probability of path")
        assert raster.scales == (1 / 254, 1 / 254)
        assert (raster.count, raster.nodata) == (2, NODATA)
        levels = raster.read()
    assert (levels[0] != levels[1]).any()
    for band in levels:
        np.testing.assert_array_equal(band == NODATA, ~drawn[1])
    assert cog_validate(str(of_three.probability), strict=True) == (True, [], [])


def test_the_mask_of_several_classes_holds_the_likeliest(of_three, drawn):
    levels = read(of_three.probability).astype(int)
    background = np.maximum(0, 254 - levels.sum(axis=0))
    with_background = np.concatenate([background[None], levels])
    [mask] = read(of_three.mask)
    # A class that ties with the background is the class.
    likeliest = 1 + levels.argmax(axis=0)
    likeliest[background > levels.max(axis=0)] = 0
    np.testing.assert_array_equal(mask, np.where(drawn[1], likeliest, NODATA))
    assert len(np.unique(mask)) >= 3
    assert (with_background.max(axis=0)[mask == 0] == background[mask == 0]).all()


def test_saved_steps_of_several_classes_keep_theirs_together(predicted, three_classes):
    every = predicted(models=[three_classes], steps=2, save_steps=True)
    for step in (1, 2):
        alone = predicted(models=[three_classes], steps=step)
        np.testing.assert_array_equal(
            read(every.files[f"probability-step{step}"]), read(alone.probability)
        )


# Steps, types and tags.


def test_saved_steps_are_the_rasters_of_fewer_steps(predicted, plain):
    every = predicted(steps=None, save_steps=True)
    assert set(every.files) == {"probability", "mask", *(f"probability-step{n}" for n in (1, 2, 3))}
    for steps in (1, 2, 3):
        alone = plain if steps == 1 else predicted(steps=steps)
        np.testing.assert_array_equal(
            read(every.files[f"probability-step{steps}"]), read(alone.probability)
        )
    last = every.files["probability-step3"]
    assert every.probability.read_bytes() == last.read_bytes()
    assert every.mask.read_bytes() == alone.mask.read_bytes()


def test_floats_round_to_the_levels_and_give_the_same_mask(predicted, plain, drawn):
    floats = predicted(dtype="float32")
    with rasterio.open(floats.probability) as raster:
        assert raster.dtypes == ("float32",)
        assert np.isnan(raster.nodata)
        probability = raster.read(1)
    [levels] = read(plain.probability)
    np.testing.assert_array_equal(np.isnan(probability), ~drawn[1])
    there = drawn[1]
    np.testing.assert_array_equal(np.floor(probability[there] * 254 + 0.5), levels[there])
    assert (probability[there] * 254 != levels[there]).any()
    assert floats.mask.read_bytes() == plain.mask.read_bytes()
    assert cog_validate(str(floats.probability), strict=True) == (True, [], [])


def test_tags_say_how_the_files_were_made(plain, model, roads_weights):
    for path in (plain.probability, plain.mask):
        with rasterio.open(path) as raster:
            tags = raster.tags()
        assert tags["RURNET_VERSION"] == version("rurnet")
        assert tags["RURNET_MODEL"] == roads_weights.stem
        assert tags["RURNET_WEIGHTS_SHA256"] == model.digest
        assert tags["RURNET_STEPS"] == "1"
        assert (tags["RURNET_TILE"], tags["RURNET_OVERLAP"]) == ("64", "16")
        assert tags["RURNET_THRESHOLD"] == "0.5"


def test_tags_name_what_differs_from_the_usual(predicted, plain, model, three_classes):
    asked = predicted(
        models=[model, model], steps=None, tta=True, min_size="7", value_range="0,200",
        reading=Reading(bands=(3, 2, 1)), bands="3,2,1",
    )  # fmt: skip
    with rasterio.open(asked.mask) as raster:
        tags = raster.tags()
    assert tags["RURNET_MODEL"] == f"{model.name},{model.name}"
    assert tags["RURNET_WEIGHTS_SHA256"] == f"{model.digest},{model.digest}"
    assert tags["RURNET_STEPS"] == "3"
    assert (tags["RURNET_TTA"], tags["RURNET_MIN_SIZE"]) == ("True", "7")
    assert (tags["RURNET_BANDS"], tags["RURNET_VALUE_RANGE"]) == ("3,2,1", "0,200")
    with rasterio.open(plain.mask) as raster:
        assert not {"RURNET_TTA", "RURNET_BANDS", "RURNET_VALUE_RANGE"} & set(raster.tags())


# Thresholds.


def test_the_threshold_moves_the_mask_and_not_the_probability(predicted, plain):
    [levels] = read(plain.probability)
    wanted = 0.53
    strict = predicted(threshold=wanted)
    np.testing.assert_array_equal(read(strict.probability)[0], levels)
    for path, threshold in ((plain.mask, 0.5), (strict.mask, wanted)):
        foreground = (levels / 254 >= threshold) & (levels != NODATA)
        assert 0 < foreground.sum() < foreground.size
        np.testing.assert_array_equal(read(path)[0] == 1, foreground)


def test_half_is_level_127():
    assert threshold_level(0.5) == 127


@given(st.floats(min_value=1e-6, max_value=1))
def test_a_threshold_takes_all_levels_of_at_least_its_probability(threshold):
    level = threshold_level(threshold)
    assert 1 <= level <= 254
    assert level / 254 >= threshold - 1e-9
    assert level == 1 or (level - 1) / 254 < threshold


def test_a_levels_own_probability_is_a_threshold_that_takes_it():
    for level in range(1, 255):
        assert threshold_level(level / 254) == level


# Specks and holes.


_NEIGHBOURS = np.ones((3, 3), int)


def sizes(of, structure):
    found, count = ndimage.label(of, structure)
    return np.bincount(found.ravel(), minlength=count + 1)[1:]


def test_a_smallest_size_leaves_no_smaller_speck_or_hole(predicted, plain):
    [before], [after] = read(plain.mask), read(predicted(min_size="20").mask)
    np.testing.assert_array_equal(before == NODATA, after == NODATA)
    assert sizes(before == 1, _NEIGHBOURS).min() < 20
    assert sizes(after == 1, _NEIGHBOURS).min() >= 20
    assert ((before == 0) & (after == 1)).any()


def test_a_smallest_size_in_square_metres_is_that_of_so_many_pixels(
    predicted, drawn, write_raster, tmp_path
):
    half_metres = write_raster(
        tmp_path / "half.tif", drawn[0], nodata_kind="mask", valid=drawn[1],
        transform=Affine(0.5, 0, 200_000, 0, -0.5, 900_000),
    )  # fmt: skip
    in_pixels, in_metres = (predicted(half_metres, min_size=size) for size in ("20", "4.9m2"))
    assert (read(in_pixels.mask) != read(predicted(half_metres).mask)).any()
    np.testing.assert_array_equal(read(in_pixels.mask), read(in_metres.mask))
    np.testing.assert_array_equal(read(in_pixels.probability), read(in_metres.probability))


def test_square_metres_of_a_scene_that_has_none_are_an_error_that_names_it(
    predicted, drawn, write_raster, tmp_path
):
    path = write_raster(tmp_path / "photo.tif", drawn[0], crs=None)
    with pytest.raises(DataError, match=r"photo\.tif.*--min-size in pixels"):
        predicted(path, min_size="25m2")


# The PNG.


@pytest.mark.parametrize("min_size", ["0", "20"])
def test_the_png_is_white_on_foreground_and_black_elsewhere(predicted, drawn, min_size):
    done = predicted(png=True, min_size=min_size)
    assert done.files["png"] == done.mask.with_suffix(".png")
    with Image.open(done.files["png"]) as png:
        assert (png.size, png.mode) == ((WIDTH, HEIGHT), "L")
        pixels = np.asarray(png)
    assert (pixels[~drawn[1]] == 0).all()
    np.testing.assert_array_equal(pixels, np.where(read(done.mask)[0] == 1, 255, 0))
    assert sorted(path.name for path in done.mask.parent.iterdir()) == [
        "manifest.json", "mask.png", "mask.qml", "mask.tif", "probability.qml", "probability.tif",
    ]  # fmt: skip


def test_a_png_that_cannot_be_written_is_an_error_that_names_it(model, source, predict, tmp_path):
    (tmp_path / "mask.png" / "in the way").mkdir(parents=True)
    with RasterScene(source) as scene, pytest.raises(SinkError, match=r"mask\.png"):
        predict(scene, [model], SMALL, tmp_path, png=True)
