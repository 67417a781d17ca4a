import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from tiling.errors import SceneError, TilingError
from tiling.readers.raster import RasterScene
from tiling.window import Window

HEIGHT, WIDTH = 70, 90
WHOLE = Window(0, 0, HEIGHT, WIDTH)
KINDS = ["nodata", "alpha", "mask", "none"]


def noise(height=HEIGHT, width=WIDTH, bands=3, top=230):
    return np.random.default_rng(1).integers(0, top, (bands, height, width)).astype(np.uint8)


def wide(dtype):
    """Values over all of a type's range, none of them 0."""
    random = np.random.default_rng(2)
    if np.dtype(dtype).kind == "f":
        return random.normal(1000, 3000, (3, HEIGHT, WIDTH)).astype(dtype)
    limits = np.iinfo(dtype)
    values = random.integers(limits.min, limits.max, (3, HEIGHT, WIDTH), endpoint=True)
    return np.where(values == 0, 1, values).astype(dtype)


@pytest.fixture(scope="module")
def valid():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.hypot(rows - 30, columns - 20) > 17


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_pixels_and_which_are_there_come_as_they_were_written(
    write_raster, tmp_path, valid, kind, dtype
):
    pixels = wide(dtype)
    path = write_raster(tmp_path / "scene.tif", pixels, nodata_kind=kind, valid=valid)
    with RasterScene(path) as scene:
        read, there = scene.read(WHOLE)
        assert scene.dtype == read.dtype == ("float32" if dtype == "float64" else dtype)
    np.testing.assert_array_equal(there, valid if kind != "none" else np.ones_like(valid))
    np.testing.assert_array_equal(read[:, there], pixels[:, there].astype(read.dtype))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_floats_that_are_not_finite_are_not_there(write_raster, tmp_path, valid, kind, bad):
    pixels = wide("float32")
    pixels[1, 50:60, 70:] = bad
    path = write_raster(tmp_path / "scene.tif", pixels, nodata_kind=kind, valid=valid)
    with RasterScene(path) as scene:
        read, there = scene.read(WHOLE)
    expected = valid.copy() if kind != "none" else np.ones_like(valid)
    expected[50:60, 70:] = False
    np.testing.assert_array_equal(there, expected)
    assert (read[:, ~there] == 0).all()


@pytest.mark.parametrize("nodata", [np.nan, -9999.0, np.finfo(np.float64).min])
def test_a_nodata_value_of_floats_is_not_there_and_no_large_number(write_raster, tmp_path, nodata):
    pixels = wide("float64")
    pixels[:, 7, 8] = nodata
    with RasterScene(write_raster(tmp_path / "scene.tif", pixels, nodata=nodata)) as scene:
        read, there = scene.read(WHOLE)
    assert np.argwhere(~there).tolist() == [[7, 8]]
    assert (read[:, 7, 8] == 0).all()


def test_doubles_too_large_for_floats_are_not_there(write_raster, tmp_path):
    pixels = wide("float64")
    pixels[0, 3, 4] = 1e300
    with RasterScene(write_raster(tmp_path / "scene.tif", pixels)) as scene:
        assert np.argwhere(~scene.read(WHOLE)[1]).tolist() == [[3, 4]]


# Bands.


@pytest.mark.parametrize("bands", [(1, 2, 3), (4, 3, 2), (5,), (2, 2, 2), [5, 1]])
def test_bands_are_chosen_by_their_numbers_in_any_order(write_raster, tmp_path, bands):
    pixels = noise(bands=5)
    with RasterScene(write_raster(tmp_path / "s.tif", pixels), bands=bands) as scene:
        assert scene.bands == len(bands)
        np.testing.assert_array_equal(scene.read(WHOLE)[0], pixels[[b - 1 for b in bands]])
        assert scene.overview(45)[0].shape == (len(bands), 35, 45)
        np.testing.assert_array_equal(scene.overview(90)[0], pixels[[b - 1 for b in bands]])


@pytest.mark.parametrize("bands", [(1, 2, 6), (0, 1, 2), (-1,), ()])
def test_a_band_that_is_not_there_is_named_with_how_many_there_are(write_raster, tmp_path, bands):
    path = write_raster(tmp_path / "five.tif", noise(bands=5))
    with pytest.raises(SceneError, match=r"five\.tif: no band.* there are 5; .*--bands") as caught:
        RasterScene(path, bands=bands)
    assert not bands or f"no band {6 if 6 in bands else bands[0]}," in str(caught.value)


@pytest.mark.parametrize(("count", "example"), [(4, "1,2,3"), (2, "1,2,2"), (1, "1,1,1")])
def test_other_numbers_of_bands_are_refused_with_a_choice_that_works(
    write_raster, tmp_path, count, example
):
    path = write_raster(tmp_path / "s.tif", noise(bands=count))
    with pytest.raises(SceneError, match=f"e.g. --bands {example}"):
        RasterScene(path)
    with RasterScene(path, bands=[int(band) for band in example.split(",")]) as scene:
        assert scene.read(WHOLE)[0].shape == (3, HEIGHT, WIDTH)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_alpha_tells_what_is_there_unless_it_is_chosen_as_a_colour(
    write_raster, tmp_path, valid, dtype
):
    pixels = wide(dtype)
    path = write_raster(tmp_path / "s.tif", pixels, nodata_kind="alpha", valid=valid)
    with RasterScene(path, bands=(3, 1)) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE)[1], valid)
    with RasterScene(path, bands=(4, 1)) as scene:
        read, there = scene.read(WHOLE)
    assert there.all()
    np.testing.assert_array_equal(read[0] > 0, valid)


def test_a_pixel_is_there_where_alpha_and_the_nodata_value_both_say_so(
    write_raster, tmp_path, valid
):
    pixels = np.maximum(noise(), 1)
    pixels[:, :, 60:] = 0
    path = write_raster(tmp_path / "s.tif", pixels, nodata_kind="alpha", valid=valid, nodata=0)
    with RasterScene(path) as scene:
        _, there = scene.read(WHOLE)
    np.testing.assert_array_equal(there, valid & (np.arange(WIDTH) < 60))


def test_the_nodata_value_is_asked_of_the_chosen_bands(write_raster, tmp_path):
    pixels = np.full((4, HEIGHT, WIDTH), 90, np.uint8)
    pixels[:3, 5, 5] = 0
    path = write_raster(tmp_path / "s.tif", pixels, nodata=0)
    with RasterScene(path, bands=(1, 2, 3)) as scene:
        assert not scene.read(WHOLE)[1][5, 5]
    with RasterScene(path, bands=(1, 2, 4)) as scene:
        assert scene.read(WHOLE)[1][5, 5]


def test_bands_of_several_types_are_refused_unless_those_chosen_are_of_one(write_raster, tmp_path):
    write_raster(tmp_path / "bytes.tif", noise())
    write_raster(tmp_path / "floats.tif", wide("float32"))
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{file}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for band, (kind, file) in enumerate(
            [("Byte", "bytes.tif"), ("Float32", "floats.tif"), ("Float32", "floats.tif")], 1
        )
    )
    vrt = tmp_path / "both.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="{WIDTH}" rasterYSize="{HEIGHT}">{bands}</VRTDataset>')
    with pytest.raises(SceneError, match=r"types float32, uint8; .*ot=Float32"):
        RasterScene(vrt)
    with RasterScene(vrt, bands=(3, 2)) as scene:
        assert scene.dtype == np.float32


# Kinds of files.


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


def test_a_world_file_says_where_a_photograph_lies(write_raster, tmp_path):
    path = write_raster(tmp_path / "photo.png", noise(), crs=None, driver="PNG")
    path.with_suffix(".pgw").write_text("0.5\n0\n0\n-0.5\n200000.25\n899999.75\n")
    with RasterScene(path) as scene:
        assert scene.crs is None
        assert scene.transform == Affine(0.5, 0, 200_000, 0, -0.5, 900_000)


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


# Overview.


@pytest.mark.parametrize(("longest", "shape"), [(45, (35, 45)), (90, (70, 90)), (500, (70, 90))])
def test_an_overview_is_as_long_as_asked_and_never_enlarged(write_raster, tmp_path, longest, shape):
    with RasterScene(write_raster(tmp_path / "scene.tif", noise())) as scene:
        assert scene.overview(longest)[0].shape == (3, *shape)


def test_an_overview_of_a_line_keeps_a_pixel(write_raster, tmp_path):
    with RasterScene(write_raster(tmp_path / "line.tif", noise(1, 900))) as scene:
        assert scene.overview(100)[0].shape == (3, 1, 100)


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
    "32 bits": lambda write, folder: write(folder / "bad.tif", noise().astype(np.int32)),
    "complex": lambda write, folder: write(folder / "bad.tif", noise().astype(np.complex64)),
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
    one = write_raster(tmp_path / "grey.tif", noise(bands=1), nodata_kind="alpha", valid=valid)
    with pytest.raises(SceneError, match="1 band,"):
        RasterScene(one)


def test_a_damaged_overview_is_an_error_of_the_scene(write_raster, tmp_path):
    path = cut_in_half(write_raster(tmp_path / "cut.tif", noise(), compress="deflate"))
    with pytest.raises(SceneError, match=r"cut\.tif"), RasterScene(path) as scene:
        scene.overview(30)


# Threads and memory.


def test_leaving_closes_the_file_in_every_thread(write_raster, tmp_path):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("open files are counted in /proc")
    path = write_raster(tmp_path / "scene.tif", noise())
    with RasterScene(path) as scene, ThreadPoolExecutor(3) as threads:
        list(threads.map(scene.read, [WHOLE] * 9))
    assert path.resolve() not in [handle.resolve() for handle in handles.iterdir()]


def test_threads_that_have_ended_leave_no_file_open(write_raster, tmp_path):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("open files are counted in /proc")
    path = write_raster(tmp_path / "scene.tif", noise())
    with RasterScene(path) as scene:
        for _ in range(5):
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(scene.read, [WHOLE] * 4))
        # This thread's, and those of the last two.
        assert [handle.resolve() for handle in handles.iterdir()].count(path.resolve()) <= 3


@pytest.mark.parametrize(("wanted", "megabytes"), [(None, 64), ("100", 100)])
def test_the_block_cache_is_small_unless_the_user_says_otherwise(
    write_raster, tmp_path, wanted, megabytes
):
    path = write_raster(tmp_path / "scene.tif", noise())
    program = (
        "import sys; from rasterio._env import get_gdal_config\n"
        "from tiling.readers.raster import RasterScene\nfrom tiling.window import Window\n"
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
