"""Pixels that stand for colours: palettes and inks; and bands that are called alpha."""

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from rasterio.enums import ColorInterp

from pipelines.inputs.opening import Reading, opened_scene
from pipelines.inputs.pixel_values import GIVE_RANGE, looked_at
from tiling.errors import SceneError
from tiling.readers.bands import CLASS_TYPES
from tiling.readers.files import open_scene
from tiling.window import Window

SIDE = 32
WHOLE = Window(0, 0, SIDE, SIDE)
NUMBERS = np.random.default_rng(6).integers(0, 5, (SIDE, SIDE))
COLOURS = np.array([(255, 0, 0), (0, 200, 0), (7, 8, 9), (90, 90, 90), (1, 250, 3)], np.uint8)


def written(write_raster, path, kind, colours=COLOURS, opacity=255):
    """A file whose numbers stand for colours."""
    if kind == "png":
        image = Image.fromarray(NUMBERS.astype(np.uint8), "P")
        image.putpalette(colours.ravel().tolist())
        image.save(path.with_suffix(".png"))
        return path.with_suffix(".png")
    if kind == "tifffile":
        table = np.zeros((3, 256), np.uint16)
        table[:, : len(colours)] = colours.T.astype(np.uint16) * 257
        path = path.with_suffix(".ome.tif")
        tifffile.imwrite(path, NUMBERS.astype(np.uint8), photometric="palette", colormap=table,
                         metadata={"axes": "YX"})  # fmt: skip
        return path
    write_raster(path, NUMBERS[None].astype(kind), photometric="palette")
    with rasterio.open(path, "r+") as raster:
        raster.write_colormap(
            1, {n: (*map(int, colour), 255 if n else opacity) for n, colour in enumerate(colours)}
        )
    return path


@pytest.mark.parametrize("kind", ["uint8", "uint16", "png", "tifffile"])
@pytest.mark.parametrize(
    ("bands", "chosen"), [(3, [0, 1, 2]), (None, [0, 1, 2]), ((3, 2, 1), [2, 1, 0])]
)
def test_numbers_of_a_palette_are_read_as_their_colours(
    write_raster, tmp_path, kind, bands, chosen
):
    path = written(write_raster, tmp_path / "a.tif", kind)
    with open_scene(path, bands=bands) as scene:
        read, there = scene.read(WHOLE)
        seen, _ = scene.overview(SIDE)
    assert read.dtype == scene.dtype == np.uint8
    np.testing.assert_array_equal(read, np.moveaxis(COLOURS[NUMBERS], -1, 0)[chosen])
    np.testing.assert_array_equal(seen, read)
    assert there.all()


@pytest.mark.parametrize("kind", ["uint8", "png", "tifffile"])
def test_a_label_keeps_the_numbers_of_its_palette(write_raster, tmp_path, kind):
    path = written(write_raster, tmp_path / "a.tif", kind)
    with open_scene(path, bands=1, types=CLASS_TYPES) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE)[0][0], NUMBERS)


def test_greys_of_a_palette_are_one_band_where_one_is_wanted(write_raster, tmp_path):
    greys = np.repeat(np.array([[200], [100], [50], [0], [255]], np.uint8), 3, axis=1)
    path = written(write_raster, tmp_path / "a.tif", "uint8", greys)
    for bands in (1, None):
        with opened_scene(str(path), None, Reading(bands=bands)) as opened:
            np.testing.assert_array_equal(opened.scene.read(WHOLE)[0], greys[NUMBERS, 0][None])


def test_a_palette_of_colours_is_no_grey_band(write_raster, tmp_path):
    path = str(written(write_raster, tmp_path / "a.tif", "uint8"))
    with (
        pytest.raises(SceneError, match=r"a\.tif: .*palette.* --bands 1, 2 or 3"),
        opened_scene(path, None, Reading(bands=1)),
    ):
        pass
    with opened_scene(path, None, Reading(bands=(2,))) as opened:
        np.testing.assert_array_equal(opened.scene.read(WHOLE)[0][0], COLOURS[NUMBERS, 1])


@pytest.mark.parametrize("hidden", ["clear", "nodata"])
def test_a_clear_colour_or_nodata_number_is_missing(write_raster, tmp_path, hidden):
    if hidden == "clear":
        image = Image.fromarray(NUMBERS.astype(np.uint8), "P")
        image.putpalette(COLOURS.ravel().tolist())
        path = tmp_path / "a.png"
        image.save(path, transparency=bytes([0, 255, 255, 255, 255]))
    else:
        path = written(write_raster, tmp_path / "a.tif", "uint8")
        with rasterio.open(path, "r+") as raster:
            raster.nodata = 0
    with open_scene(path) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE)[1], NUMBERS != 0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_inks_are_read_as_red_green_and_blue(write_raster, tmp_path, dtype):
    full = np.iinfo(dtype).max
    inks = np.zeros((4, SIDE, SIDE), dtype)
    inks[0, :8], inks[1, 8:16], inks[3, 16:24] = full, full, full
    path = write_raster(tmp_path / "a.tif", inks, photometric="cmyk")
    with open_scene(path) as scene:
        read = scene.read(WHOLE)[0]
    for row, colour in ((0, (0, 1, 1)), (8, (1, 0, 1)), (16, (0, 0, 0)), (24, (1, 1, 1))):
        assert (read[:, row, 0] / full).tolist() == list(colour)


def test_grey_with_alpha_says_how_to_read_it_and_that_works(write_raster, tmp_path):
    valid = NUMBERS > 0
    grey = NUMBERS[None].astype(np.uint8) * 40
    path = write_raster(tmp_path / "a.tif", grey, nodata_kind="alpha", valid=valid)
    with pytest.raises(SceneError, match=r"a\.tif: 1 band, .*--bands 1,1,1"):
        open_scene(path)
    with open_scene(path, bands=(1, 1, 1)) as scene:
        read, there = scene.read(WHOLE)
    np.testing.assert_array_equal(read, grey[[0, 0, 0]])
    np.testing.assert_array_equal(there, valid)


# Alpha that is none.


@pytest.fixture
def infrared(write_raster, tmp_path):
    """Red, green, blue and near infrared, which a writer's defaults call alpha; water is 0."""
    pixels = np.random.default_rng(7).integers(20, 250, (4, SIDE, SIDE)).astype(np.uint8)
    pixels[3, :10] = 0
    path = write_raster(tmp_path / "a.tif", pixels, photometric="rgb", alpha="yes")
    with rasterio.open(path) as raster:
        assert raster.colorinterp[3] is ColorInterp.alpha
    return path, pixels


def test_a_fourth_band_of_many_values_is_a_band(infrared):
    path, pixels = infrared
    with pytest.raises(SceneError, match=r"a\.tif: 4 bands \(band 4 is called.*--bands 1,2,3"):
        open_scene(path)
    with open_scene(path, bands=(1, 2, 3)) as scene:
        read, there = scene.read(WHOLE)
    np.testing.assert_array_equal(read, pixels[:3])
    assert there.all()
    with open_scene(path, bands=None) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE)[0], pixels)


def test_what_is_taken_for_a_band_is_said(infrared):
    path, _ = infrared
    with opened_scene(str(path), None, Reading(bands=(1, 2, 3))) as opened:
        (remark,) = looked_at(opened, GIVE_RANGE).remarks
    assert "a.tif: band 4 is called alpha" in remark


@pytest.mark.parametrize("border", ["sharp", "soft"])
def test_alpha_stays_alpha_with_a_soft_border_too(write_raster, tmp_path, border):
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[:, :4] = 0
    if border == "soft":
        alpha[:, 4:12] = np.random.default_rng(1).integers(1, 255, (SIDE, 8))
    pixels = np.concatenate([np.full((3, SIDE, SIDE), 90, np.uint8), alpha[None]])
    path = write_raster(tmp_path / "a.tif", pixels, photometric="rgb", alpha="yes")
    with open_scene(path) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE)[1], alpha > 0)


@pytest.mark.parametrize(
    ("called", "order"),
    [
        (("blue", "green", "red"), [3, 2, 1]),
        (("alpha", "red", "green", "blue"), [2, 3, 4]),
        (("gray", "undefined", "undefined"), [1, 2, 3]),
        (("red", "red", "blue"), [1, 2, 3]),
    ],
)
def test_bands_are_read_in_the_order_of_the_colours_that_they_are_called(
    write_raster, tmp_path, called, order
):
    pixels = np.random.default_rng(2).integers(1, 255, (len(called), SIDE, SIDE)).astype(np.uint8)
    if "alpha" in called:
        pixels[0] = 255
    path = write_raster(tmp_path / "a.tif", pixels, photometric="minisblack")
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = [ColorInterp[one] for one in called]
    for bands, read in ((3, order), (None, order), ((1, 2, 3), [1, 2, 3])):
        with open_scene(path, bands=bands) as scene:
            np.testing.assert_array_equal(scene.read(WHOLE)[0], pixels[[one - 1 for one in read]])


def test_of_blue_green_red_and_infrared_the_colours_are_advised(write_raster, tmp_path):
    pixels = np.random.default_rng(2).integers(1, 255, (4, SIDE, SIDE)).astype(np.uint8)
    path = write_raster(tmp_path / "a.tif", pixels, photometric="minisblack")
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = [ColorInterp[one] for one in ("blue", "green", "red", "undefined")]
    with pytest.raises(SceneError, match="--bands 3,2,1"):
        open_scene(path)
    with open_scene(path, bands=4) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE)[0], pixels[[2, 1, 0, 3]])
