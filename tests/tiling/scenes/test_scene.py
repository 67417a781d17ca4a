"""What holds of every scene: files of each kind, and scenes made from other scenes."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import array_bounds

from tiling.readers.raster import RasterScene
from tiling.readers.tiff import TiffScene
from tiling.scenes.area import AreaScene, read_area
from tiling.scenes.masked import MaskedScene
from tiling.scenes.resample import ResampledScene
from tiling.scenes.white import WhiteScene
from tiling.window import Window

HEIGHT, WIDTH = 150, 190
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
VALID = np.hypot(ROWS - 30, COLUMNS - 40) > 27
AREA = {
    "type": "Polygon",
    "crs": {"type": "name", "properties": {"name": "EPSG:26986"}},
    "coordinates": [
        [[200_003, 899_998], [200_160.3, 899_990.1], [200_090, 899_860], [200_003, 899_998]]
    ],
}


def noise(dtype, bands=3):
    values = np.random.default_rng(1).integers(1, 230, (bands, HEIGHT, WIDTH))
    return (values * (1.7 if np.dtype(dtype).kind == "f" else 1)).astype(dtype)


@pytest.fixture(scope="module")
def scenes(write_raster, tmp_path_factory):
    """A scene of every kind, by name."""
    folder = tmp_path_factory.mktemp("scenes")
    with ExitStack() as stack:

        def raster(name, pixels, **options):
            path = write_raster(folder / f"{name}.tif", pixels, **options)
            return stack.enter_context(RasterScene(path))

        def tiff(name, pixels, axes, **options):
            path = folder / f"{name}.ome.tif"
            tifffile.imwrite(path, pixels, metadata={"axes": axes}, **options)
            return stack.enter_context(TiffScene(path))

        made = {
            f"{kind}, {dtype}": raster(
                f"{kind}-{dtype}", noise(dtype), nodata_kind=kind, valid=VALID, tiled=True,
                blockxsize=64, blockysize=32, compress="deflate",
            )
            for kind in ("nodata", "alpha", "mask", "none")
            for dtype in ("uint8", "uint16", "int16", "float32", "float64")
        }  # fmt: skip
        made["planes of a TIFF"] = tiff("cyx", noise("uint16"), "CYX", photometric="minisblack")
        made["samples of a TIFF"] = tiff(
            "yxs", np.moveaxis(noise("uint8"), 0, -1), "YXS", photometric="rgb", tile=(32, 48)
        )
        snow = noise("uint8")
        snow[:, 60:100, 70:120] = 250
        made["white"] = WhiteScene(raster("snow", snow))
        made["masked"] = MaskedScene(made["nodata, uint8"], VALID[::5, ::5])
        (folder / "area.geojson").write_text(json.dumps(AREA))
        area = read_area(folder / "area.geojson", made["mask, float32"])
        made["area"] = AreaScene(made["mask, float32"], area)
        made["finer"] = ResampledScene(made["alpha, uint8"], 317, 411)
        made["coarser"] = ResampledScene(made["alpha, float32"], 61, 40)
        made["of another shape"] = ResampledScene(made["mask, int16"], 210, 66)
        yield made


SCENES = [
    *(f"{kind}, {dtype}" for kind in ("nodata", "alpha", "mask", "none")
      for dtype in ("uint8", "uint16", "int16", "float32", "float64")),
    "planes of a TIFF", "samples of a TIFF",
    "white", "masked", "area", "finer", "coarser", "of another shape",
]  # fmt: skip


@pytest.fixture(scope="module", params=SCENES)
def scene(scenes, request):
    return scenes[request.param]


@pytest.fixture(scope="module")
def whole(scene):
    """All of it: pixels and which are there."""
    return scene.read(Window(0, 0, scene.height, scene.width))


def test_every_kind_of_scene_is_tried(scenes):
    assert list(scenes) == SCENES


def test_pixels_have_the_bands_the_size_and_the_type_that_it_says(scene, whole):
    pixels, there = whole
    assert pixels.shape == (scene.bands, scene.height, scene.width)
    assert there.shape == (scene.height, scene.width)
    assert (pixels.dtype, there.dtype) == (scene.dtype, bool)
    assert isinstance(scene.dtype, np.dtype)
    assert pixels.dtype.isnative
    assert there.any()


def test_every_value_is_finite(whole):
    assert np.isfinite(whole[0]).all()


@given(data=st.data())
def test_any_window_gives_the_same_bytes_as_the_whole(scene, whole, data):
    row = data.draw(st.integers(0, scene.height - 1))
    column = data.draw(st.integers(0, scene.width - 1))
    height = data.draw(st.integers(1, scene.height - row))
    width = data.draw(st.integers(1, scene.width - column))
    window = Window(row, column, height, width)
    pixels, there = scene.read(window)
    rows, columns = window.slices()
    np.testing.assert_array_equal(there, whole[1][rows, columns])
    # What is not there may have any value.
    assert pixels[:, there].tobytes() == whole[0][:, rows, columns][:, there].tobytes()


def test_many_threads_read_what_one_reads(scene, whole):
    windows = [Window(row, 0, 1, scene.width) for row in range(scene.height)]
    with ThreadPoolExecutor(8) as threads:
        read = list(threads.map(scene.read, windows))
    np.testing.assert_array_equal(np.concatenate([there for _, there in read]), whole[1])
    pixels = np.concatenate([pixels for pixels, _ in read], axis=1)
    np.testing.assert_array_equal(pixels[:, whole[1]], whole[0][:, whole[1]])


@pytest.mark.parametrize("name", ["white", "masked", "area", "finer"])
def test_a_scene_made_from_another_is_called_and_lies_as_that_one(scenes, name):
    made = scenes[name]
    for what in ("name", "bands", "dtype", "crs"):
        assert getattr(made, what) == getattr(made.scene, what)
    ground = array_bounds(made.scene.height, made.scene.width, made.scene.transform)
    assert array_bounds(made.height, made.width, made.transform) == pytest.approx(ground, abs=1e-6)
