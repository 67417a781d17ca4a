import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from tiling.errors import SceneError, TilingError
from tiling.scene import RasterScene
from tiling.window import Window

HEIGHT, WIDTH = 70, 90
WHOLE = Window(0, 0, HEIGHT, WIDTH)
KINDS = ["nodata", "alpha", "mask", "none"]


def noise(height=HEIGHT, width=WIDTH, bands=3, top=230):
    return np.random.default_rng(1).integers(0, top, (bands, height, width)).astype(np.uint8)


@st.composite
def windows(draw, height, width):
    row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Window(
        row, column, draw(st.integers(1, height - row)), draw(st.integers(1, width - column))
    )


@pytest.fixture(scope="module")
def valid():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(rows - 30, columns - 20) > 17


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_and_which_are_there_come_as_they_were_written(write_raster, tmp_path, valid, kind):
    pixels = np.maximum(noise(), 1)
    path = write_raster(tmp_path / "scene.tif", pixels, nodata_kind=kind, valid=valid)
    with RasterScene(path) as scene:
        read, there = scene.read(WHOLE)
    assert (read.dtype, there.dtype) == (np.uint8, bool)
    np.testing.assert_array_equal(there, valid if kind != "none" else np.ones_like(valid))
    np.testing.assert_array_equal(read[:, there], pixels[:, there])


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_holds_what_the_whole_holds_there(write_raster, tmp_path, valid, kind):
    path = write_raster(tmp_path / "scene.tif", noise(), nodata_kind=kind, valid=valid)
    window = Window(11, 23, 41, 7)
    with RasterScene(path) as scene:
        pixels, there = scene.read(window)
        every, everywhere = scene.read(WHOLE)
    np.testing.assert_array_equal(pixels, every[:, *window.slices()])
    np.testing.assert_array_equal(there, everywhere[window.slices()])


def test_the_nodata_value_in_one_band_only_is_a_colour(write_raster, tmp_path):
    pixels = np.full((3, HEIGHT, WIDTH), 90, np.uint8)
    pixels[0, 5, 5] = 0
    pixels[:, 6, 6] = 0
    path = write_raster(tmp_path / "scene.tif", pixels, nodata=0)
    with RasterScene(path) as scene:
        _, there = scene.read(WHOLE)
    assert there[5, 5]
    assert not there[6, 6]
    assert there.sum() == HEIGHT * WIDTH - 1


def test_a_scene_lies_where_its_file_says(write_raster, tmp_path):
    turned = Affine(0.257, 0.154, 100_000.1, 0.154, -0.257, 900_000.0)
    path = write_raster(tmp_path / "scene.tif", noise(), crs="EPSG:32619", transform=turned)
    with RasterScene(path) as scene:
        assert (scene.height, scene.width, scene.bands) == (HEIGHT, WIDTH, 3)
        assert scene.crs == CRS.from_epsg(32619)
        assert scene.transform == turned
        assert scene.name == str(path)


def test_a_photograph_without_coordinates_is_a_scene(write_raster, tmp_path):
    path = write_raster(tmp_path / "photo.png", noise(), crs=None, driver="PNG")
    with RasterScene(path) as scene:
        assert scene.crs is None
        assert scene.transform == Affine.identity()
        np.testing.assert_array_equal(scene.read(WHOLE)[0], noise())


def test_vrt_and_zip_are_read_like_files(write_raster, tmp_path):
    path = write_raster(tmp_path / "scene.tif", noise())
    with ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.write(path, "inside/scene.tif")
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">scene.tif</SourceFilename><SourceBand>{band}'
        "</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    vrt = tmp_path / "scene.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="{WIDTH}" rasterYSize="{HEIGHT}">{bands}</VRTDataset>')
    for name in (vrt, f"/vsizip/{tmp_path}/scenes.zip/inside/scene.tif"):
        with RasterScene(name) as scene:
            np.testing.assert_array_equal(scene.read(WHOLE)[0], noise())


# White.

PATCHES = (150, 200)


@pytest.fixture(scope="module")
def snowy(write_raster, tmp_path_factory):
    """A scene with patches of white that are missing, and with white things that are there."""
    pixels = noise(*PATCHES)
    white = np.random.default_rng(2).integers(235, 256, (3, *PATCHES)).astype(np.uint8)
    missing, things = np.zeros(PATCHES, bool), np.zeros(PATCHES, bool)
    missing[:45, :60] = True  # A corner of the scene.
    missing[60:91, 100:131] = True  # The smallest patch that counts.
    things[110:140, 20:50] = True  # A roof, a pixel too small.
    things[5:12, 70:200] = True  # A road in the snow: long, but narrow.
    pixels = np.where(missing | things, white, pixels)
    path = write_raster(tmp_path_factory.mktemp("snow") / "snow.tif", pixels)
    with RasterScene(path, white_is_nodata=True) as scene:
        yield scene, missing, path


def test_white_patches_are_missing_and_white_things_are_there(snowy):
    scene, missing, _ = snowy
    _, there = scene.read(Window(0, 0, *PATCHES))
    np.testing.assert_array_equal(there, ~missing)


@given(window=windows(*PATCHES))
def test_what_is_white_does_not_depend_on_the_window(snowy, window):
    scene, missing, path = snowy
    pixels, there = scene.read(window)
    np.testing.assert_array_equal(there, ~missing[window.slices()])
    with RasterScene(path) as plain:
        np.testing.assert_array_equal(pixels, plain.read(window)[0])


def test_white_is_a_colour_unless_asked_otherwise(snowy):
    with RasterScene(snowy[2]) as scene:
        assert scene.read(Window(0, 0, *PATCHES))[1].all()


def test_bright_colours_are_not_white(write_raster, tmp_path):
    pixels = np.full((3, HEIGHT, WIDTH), 255, np.uint8)
    pixels[2] = 200
    path = write_raster(tmp_path / "yellow.tif", pixels)
    with RasterScene(path, white_is_nodata=True) as scene:
        assert scene.read(WHOLE)[1].all()


# Overview.


@pytest.mark.parametrize(("longest", "shape"), [(45, (35, 45)), (90, (70, 90)), (500, (70, 90))])
def test_an_overview_is_as_long_as_asked_and_never_enlarged(write_raster, tmp_path, longest, shape):
    with RasterScene(write_raster(tmp_path / "scene.tif", noise())) as scene:
        assert scene.overview(longest).shape == (3, *shape)


def test_an_overview_of_a_line_keeps_a_pixel(write_raster, tmp_path):
    with RasterScene(write_raster(tmp_path / "line.tif", noise(1, 900))) as scene:
        assert scene.overview(100).shape == (3, 1, 100)


# Errors.


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def text(write_raster, folder):
    (folder / "bad.tif").write_text("This is no raster.\nNot at all.\n")
    return folder / "bad.tif"


def empty(write_raster, folder):
    (folder / "bad.tif").touch()
    return folder / "bad.tif"


BAD = {
    "missing": lambda write, folder: folder / "bad.tif",
    "missing with a line break": lambda write, folder: folder / "very\nbad.tif",
    "text": text,
    "empty": empty,
    "folder": lambda write, folder: folder,
    "cut": lambda write, folder: cut_in_half(write(folder / "bad.tif", noise())),
    "cut, tiled": lambda write, folder: cut_in_half(
        write(folder / "bad.tif", noise(), tiled=True, blockxsize=32, blockysize=32)
    ),
    "cut, compressed": lambda write, folder: cut_in_half(
        write(folder / "bad.tif", noise(), compress="deflate")
    ),
    "cut, with alpha": lambda write, folder: cut_in_half(
        write(folder / "bad.tif", noise(), nodata_kind="alpha", compress="lzw")
    ),
    "cut, with a mask": lambda write, folder: cut_in_half(
        write(folder / "bad.tif", noise(), nodata_kind="mask", valid=noise()[0] > 9)
    ),
    "cut PNG": lambda write, folder: cut_in_half(
        write(folder / "bad.png", noise(), crs=None, driver="PNG")
    ),
    "cut JPEG": lambda write, folder: cut_in_half(
        write(folder / "bad.jpg", noise(), crs=None, driver="JPEG")
    ),
    "one band": lambda write, folder: write(folder / "bad.tif", noise(bands=1)),
    "two bands": lambda write, folder: write(folder / "bad.tif", noise(bands=2)),
    "four bands": lambda write, folder: write(folder / "bad.tif", noise(bands=4)),
    "16 bits": lambda write, folder: write(folder / "bad.tif", noise().astype(np.uint16)),
    "floats": lambda write, folder: write(folder / "bad.tif", noise().astype(np.float32)),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_an_error_of_one_line_that_names_it(write_raster, tmp_path, kind):
    path = BAD[kind](write_raster, tmp_path)
    with pytest.raises(SceneError) as caught, RasterScene(path) as scene:
        scene.read(Window(0, 0, scene.height, scene.width))
    assert isinstance(caught.value, TilingError)
    assert isinstance(caught.value, OSError)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message.removeprefix(str(path))
    assert ";" in message, "says what to do next"


def test_a_label_of_several_bands_is_refused(write_raster, tmp_path):
    path = write_raster(tmp_path / "label.tif", noise())
    with pytest.raises(SceneError, match="3 bands, but 1 wanted"):
        RasterScene(path, bands=1)


def test_an_alpha_band_is_not_one_of_the_bands(write_raster, tmp_path, valid):
    three = write_raster(tmp_path / "four.tif", noise(), nodata_kind="alpha", valid=valid)
    with RasterScene(three) as scene:
        assert scene.bands == 3
    two = write_raster(tmp_path / "grey.tif", noise(bands=2), nodata_kind="alpha", valid=valid)
    with pytest.raises(SceneError, match="2 bands"):
        RasterScene(two)


def test_a_damaged_overview_is_an_error_of_the_scene(write_raster, tmp_path):
    path = cut_in_half(write_raster(tmp_path / "cut.tif", noise(), compress="deflate"))
    with pytest.raises(SceneError, match=r"cut\.tif"), RasterScene(path) as scene:
        scene.overview(30)


# Threads and memory.


def test_many_threads_read_what_one_reads(write_raster, tmp_path):
    path = write_raster(tmp_path / "scene.tif", noise(), compress="deflate")
    rows = [Window(row, 0, 1, WIDTH) for row in range(HEIGHT)]
    with RasterScene(path) as scene, ThreadPoolExecutor(8) as threads:
        read = list(threads.map(lambda window: scene.read(window)[0], rows * 3))
    np.testing.assert_array_equal(np.concatenate(read[:HEIGHT], axis=1), noise())


def test_leaving_closes_the_file_in_every_thread(write_raster, tmp_path):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("open files are counted in /proc")
    path = write_raster(tmp_path / "scene.tif", noise())
    with RasterScene(path) as scene, ThreadPoolExecutor(3) as threads:
        list(threads.map(scene.read, [WHOLE] * 9))
    assert path.resolve() not in [handle.resolve() for handle in handles.iterdir()]


@pytest.mark.parametrize(("wanted", "megabytes"), [(None, 64), ("100", 100)])
def test_the_block_cache_is_small_unless_the_user_says_otherwise(
    write_raster, tmp_path, wanted, megabytes
):
    path = write_raster(tmp_path / "scene.tif", noise())
    program = (
        "import sys; from rasterio._env import get_gdal_config\n"
        "from tiling.scene import RasterScene\nfrom tiling.window import Window\n"
        "RasterScene(sys.argv[1]).read(Window(0, 0, 9, 9))\n"
        "print(get_gdal_config('GDAL_CACHEMAX'))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "GDAL_CACHEMAX"}
    if wanted:
        environment["GDAL_CACHEMAX"] = wanted
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert int(result.stdout) == megabytes * 1024 * 1024
