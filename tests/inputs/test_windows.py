"""Files that GDAL resamples while it reads: their pixels must not depend on the window."""

import shutil

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from pipelines.config.inference import PredictionSettings
from pipelines.models.weights import load
from tiling.readers.blocks import BlockwiseScene
from tiling.readers.files import open_scene
from tiling.readers.raster import RasterScene, without_georeferencing_warning
from tiling.window import Window, split

SIDE = 1500
"""More than a block."""


@pytest.fixture(scope="module")
def scene(write_raster, tmp_path_factory):
    """Noise: what is resampled otherwise is another value."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), np.uint8)
    return write_raster(tmp_path_factory.mktemp("in") / "scene.tif", pixels)


def warped(resampling):
    def write(scene, path):
        with (
            rasterio.open(scene) as source,
            WarpedVRT(source, crs="EPSG:32619", resampling=resampling) as vrt,
        ):
            rasterio.shutil.copy(vrt, path, driver="VRT")

    return write


def mosaic(source_attributes="", scale=1.0, offset=0.0, tag="SimpleSource"):
    """A VRT of one source, which it shows at `scale` times its size."""

    def write(scene, path):
        side = round(SIDE * scale)
        bands = "".join(
            f'<VRTRasterBand dataType="Byte" band="{band}"><{tag} {source_attributes}>'
            f"<SourceFilename>{scene}</SourceFilename><SourceBand>{band}</SourceBand>"
            f'<SrcRect xOff="{offset}" yOff="0" xSize="{SIDE - 1}" ySize="{SIDE - 1}"/>'
            f'<DstRect xOff="0" yOff="0" xSize="{(SIDE - 1) * scale}" '
            f'ySize="{(SIDE - 1) * scale}"/></{tag}></VRTRasterBand>'
            for band in (1, 2, 3)
        )
        path.write_text(
            f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}">{bands}</VRTDataset>'
        )

    return write


def of_a_warped(scene, path):
    warped(Resampling.bilinear)(scene, path.with_name("inner.vrt"))
    mosaic()(path.with_name("inner.vrt"), path)


RESAMPLED = {
    "warped, nearest": warped(Resampling.nearest),
    "warped, bilinear": warped(Resampling.bilinear),
    "warped, cubic": warped(Resampling.cubic),
    "a source at half its size, average": mosaic('resampling="average"', 0.5),
    "a source at twice its size, bilinear": mosaic('resampling="bilinear"', 2),
    "a source at half its size, nearest": mosaic("", 0.5),
    "a source between pixels, cubic": mosaic('resampling="cubic"', 1, 0.5, "ComplexSource"),
    "a mosaic of a warped VRT": of_a_warped,
}


@pytest.fixture(params=RESAMPLED)
def resampled(request, scene, tmp_path):
    path = tmp_path / "scene.vrt"
    RESAMPLED[request.param](scene, path)
    return path


def test_a_pixel_is_the_same_in_every_window(resampled):
    with open_scene(resampled) as scene, open_scene(resampled) as other:
        assert isinstance(scene, BlockwiseScene)
        whole, there = scene.read(Window(0, 0, scene.height, scene.width))
        windows = list(split(scene.height, scene.width, 340))
        for number in np.random.default_rng(1).permutation(len(windows)):
            window = windows[number]
            pixels, valid = other.read(window)
            np.testing.assert_array_equal(pixels, whole[:, *window.slices()])
            np.testing.assert_array_equal(valid, there[window.slices()])


def test_pixels_are_those_that_gdal_gives_for_a_block(resampled):
    with (
        open_scene(resampled) as scene,
        without_georeferencing_warning(),
        rasterio.open(resampled) as raster,
    ):
        pixels, _ = scene.read(Window(100, 50, 30, 20))
        side = min(1024, scene.height), min(1024, scene.width)
        block = raster.read(window=RasterioWindow(0, 0, side[1], side[0]))
        np.testing.assert_array_equal(pixels, block[:, 100:130, 50:70])


def test_few_blocks_are_kept_and_each_is_read_once_while_it_is(scene, tmp_path, monkeypatch):
    warped(Resampling.nearest)(scene, tmp_path / "scene.vrt")
    with open_scene(tmp_path / "scene.vrt") as opened:
        across = -(-opened.width // 128)
        monkeypatch.setattr("tiling.readers.blocks._SIDE", 128)
        monkeypatch.setattr("tiling.readers.blocks._KEPT_BYTES", across * 128 * 128 * 4)
        read = []
        unpatched = RasterScene.read

        def counting(self, window):
            read.append(window)
            return unpatched(self, window)

        monkeypatch.setattr(RasterScene, "read", counting)
        for row in (0, 40, 80, 128):
            opened.read(Window(row, 0, 40, opened.width))
        assert len(read) == len(set(read)) == 2 * across, "two rows of blocks"
        assert len(opened._blocks) <= across + 1


@pytest.mark.parametrize(
    "write",
    [
        mosaic(),
        mosaic('resampling="cubic"'),
        mosaic(tag="ComplexSource", offset=1),
        shutil.copyfile,
    ],
    ids=["mosaic", "mosaic that would be cubic", "moved by whole pixels", "no VRT at all"],
)
def test_what_is_not_resampled_is_read_as_it_is_asked_for(write, scene, tmp_path):
    write(scene, tmp_path / "scene.vrt")
    with open_scene(tmp_path / "scene.vrt") as opened:
        assert type(opened) is RasterScene


def test_the_size_of_parts_does_not_show_in_a_warped_scene(
    roads_weights, predict, tmp_path, write_raster
):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 400, 380), np.uint8)
    scene = write_raster(tmp_path / "scene.tif", pixels)
    warped(Resampling.bilinear)(scene, tmp_path / "warped.vrt")
    rasters = []
    model = load(str(roads_weights))
    for size in (100, 1000):
        settings = PredictionSettings(
            tile=96, overlap=16, part_size=size, device="cpu", steps=1, batch=4
        )
        with open_scene(tmp_path / "warped.vrt") as opened:
            done = predict(opened, [model], settings, tmp_path / str(size))
        rasters.append(done.files["probability"].read_bytes())
    assert rasters[0] == rasters[1]
