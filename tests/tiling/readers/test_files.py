import subprocess
import sys
from importlib.util import find_spec
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio
import tifffile

from tiling.errors import CodecError, SceneError
from tiling.readers.bands import CLASS_TYPES
from tiling.readers.files import open_scene
from tiling.readers.raster import RasterScene, without_georeferencing_warning
from tiling.readers.tiff import TiffScene
from tiling.window import Window

WHOLE = Window(0, 0, 40, 50)
NOISE = np.random.default_rng(5).integers(1, 250, (3, 40, 50)).astype(np.uint8)


def microscope(path, **options):
    tifffile.imwrite(
        path, NOISE, ome=True, metadata={"axes": "CYX"}, photometric="minisblack", **options
    )
    return path


def test_an_ordinary_file_is_read_with_gdal(write_raster, tmp_path):
    geotiff = write_raster(tmp_path / "scene.tif", NOISE)
    photograph = write_raster(tmp_path / "photo.png", NOISE, crs=None, driver="PNG")
    with ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.write(geotiff, "scene.tif")
    for path in (geotiff, photograph, f"/vsizip/{tmp_path}/scenes.zip/scene.tif"):
        with open_scene(path) as scene:
            assert isinstance(scene, RasterScene)
            np.testing.assert_array_equal(scene.read(WHOLE)[0], NOISE)


@pytest.mark.parametrize("name", ["scene.ome.tif", "scene.tif", "SCENE.TIFF", "scene.ome.btf"])
def test_an_ome_tiff_is_known_by_its_content_and_read_with_all_its_channels(tmp_path, name):
    with open_scene(microscope(tmp_path / name)) as scene:
        assert isinstance(scene, TiffScene)
        np.testing.assert_array_equal(scene.read(WHOLE)[0], NOISE)


def test_bands_are_chosen_in_either(write_raster, tmp_path):
    for path in (write_raster(tmp_path / "s.tif", NOISE), microscope(tmp_path / "s.ome.tif")):
        with open_scene(path, bands=(3, 1)) as scene:
            np.testing.assert_array_equal(scene.read(WHOLE)[0], NOISE[[2, 0]])


def test_a_tiff_that_gdal_cannot_open_is_read_with_tifffile(tmp_path):
    path = tmp_path / "pixtiff.tif"
    tifffile.imwrite(path, np.moveaxis(NOISE, 0, -1), photometric="rgb", compression="deflate")
    with tifffile.TiffFile(path, mode="r+") as file:
        # Another number for the same codec, one that GDAL does not know.
        file.pages.first.tags["Compression"].overwrite(tifffile.COMPRESSION.PIXTIFF)
    with pytest.raises(SceneError):
        RasterScene(path)
    with open_scene(path) as scene:
        assert isinstance(scene, TiffScene)
        np.testing.assert_array_equal(scene.read(WHOLE)[0], NOISE)


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs is installed")
def test_where_tifffile_has_no_codec_gdal_reads_what_lies_in_one_page(write_raster, tmp_path):
    tifffile.imwrite(tmp_path / "plain.ome.tif", np.moveaxis(NOISE, 0, -1), photometric="rgb")
    with tifffile.TiffFile(tmp_path / "plain.ome.tif") as plain:
        xml = plain.ome_metadata
    path = write_raster(tmp_path / "lzw.ome.tif", NOISE, compress="lzw", crs=None)
    with without_georeferencing_warning(), rasterio.open(path, "r+") as raster:
        raster.update_tags(TIFFTAG_IMAGEDESCRIPTION=xml)
    with pytest.raises(CodecError):
        TiffScene(path)
    with open_scene(path) as scene:
        assert isinstance(scene, RasterScene)
        np.testing.assert_array_equal(scene.read(WHOLE)[0], NOISE)


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs is installed")
def test_channels_in_many_pages_are_not_taken_for_one_where_the_codec_is_missing(
    write_raster, tmp_path
):
    path = microscope(tmp_path / "planes.ome.tif", compression="deflate")
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in file.pages:
            page.tags["Compression"].overwrite(tifffile.COMPRESSION.LZW)
    with pytest.raises(CodecError, match=r"planes\.ome\.tif: has compression LZW"):
        open_scene(path, bands=1)


def test_a_reader_says_what_its_file_lacks(write_raster, tmp_path):
    """Whatever opened it: a caller asks all of them the same."""
    photograph = write_raster(tmp_path / "photo.png", NOISE, crs=None, driver="PNG")
    for path in (photograph, microscope(tmp_path / "scene.ome.tif")):
        with open_scene(path, bands=(3, 1)) as scene:
            assert (scene.crs, scene.nodata, dict(scene.palette)) == (None, None, {})
            assert scene.transform.is_identity
            assert [list(scene.descriptions), list(scene.scales)] == [["", ""], [(1, 0), (1, 0)]]
            pixels, there = scene.overview(25)
            assert (pixels.shape, there.shape) == ((2, 20, 25), (20, 25))


def test_pixels_that_are_numbers_of_classes_may_have_more_types(tmp_path):
    path = tmp_path / "label.ome.tif"
    drawn = NOISE[0].astype(np.int32)
    tifffile.imwrite(path, drawn, ome=True, metadata={"axes": "YX"}, photometric="minisblack")
    with pytest.raises(SceneError, match="pixels are int32"):
        open_scene(path, bands=1)
    with open_scene(path, bands=1, types=CLASS_TYPES) as scene:
        assert isinstance(scene, TiffScene)
        np.testing.assert_array_equal(scene.read(WHOLE)[0][0], drawn)


@pytest.mark.parametrize("name", ["missing.tif", "missing.ome.tif"])
def test_a_missing_file_is_an_error(tmp_path, name):
    with pytest.raises(SceneError, match="no such file"):
        open_scene(tmp_path / name)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_an_ome_tiff_that_is_cut_off_is_an_error_and_not_one_of_its_planes(tmp_path, share):
    path = microscope(tmp_path / "cut.ome.tif")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SceneError, match=r"cut\.ome\.tif: .*copy it again"):
        open_scene(path, bands=1)


def test_what_is_no_tiff_is_what_gdal_says_of_it(tmp_path):
    (tmp_path / "text.tif").write_text("This is no raster.")
    with pytest.raises(SceneError, match=r"text\.tif: not a raster GDAL can read \(not "):
        open_scene(tmp_path / "text.tif")


def test_an_ordinary_geotiff_does_not_import_what_others_need(write_raster, tmp_path):
    path = write_raster(tmp_path / "scene.tif", NOISE)
    program = (
        "import sys; from tiling.readers.files import open_scene\n"
        "open_scene(sys.argv[1]); print({'tifffile', 'zarr'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == "set()"
