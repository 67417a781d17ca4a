import subprocess
import sys
from importlib.util import find_spec
from uuid import UUID

import numpy as np
import pytest
import tifffile
from affine import Affine

from tiling.errors import CodecError, SceneError
from tiling.readers.tiff import TiffScene
from tiling.window import Window

HEIGHT, WIDTH = 90, 130
WHOLE = Window(0, 0, HEIGHT, WIDTH)
TILED = {"tile": (32, 48)}
PACKED = {"compression": "deflate", "tile": (32, 48)}


def noise(bands=3, dtype="uint16"):
    return np.random.default_rng(4).integers(1, 250, (bands, HEIGHT, WIDTH)).astype(dtype)


def write(path, pixels, axes, **options):
    """Pixels [C, h, w] in the order of `axes`; T, Z and Q have length 1."""
    placed = np.moveaxis(pixels, 0, -1) if axes.endswith("S") else pixels
    for place, axis in enumerate(axes):
        if axis in "TZQ" or (axis == "C" and "S" in axes):
            placed = np.expand_dims(placed, place)
    if "S" not in axes:
        options.setdefault("photometric", "minisblack")
    else:
        options.setdefault("photometric", "rgb")
    tifffile.imwrite(path, placed, metadata={"axes": axes}, **options)
    return path


@pytest.mark.parametrize("name", ["scene.ome.tif", "scene.tif"])
@pytest.mark.parametrize("options", [{}, TILED, PACKED], ids=["strips", "tiles", "deflate"])
@pytest.mark.parametrize("axes", ["CYX", "YXS", "SYX", "TCYX", "TZCYX", "CYXS"])
def test_bands_are_the_channels_or_samples_wherever_they_lie(tmp_path, name, axes, options):
    pixels = noise()
    planar = {"planarconfig": "separate"} if axes == "SYX" else {}
    path = write(tmp_path / name, pixels, axes, **options, **planar)
    with TiffScene(path) as scene:
        assert (scene.height, scene.width, scene.bands) == (HEIGHT, WIDTH, 3)
        assert scene.name == str(path)
        read, there = scene.read(WHOLE)
    np.testing.assert_array_equal(read, pixels)
    assert there.all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_values_come_in_their_own_type(tmp_path, dtype, order):
    pixels = noise(dtype=dtype) - np.array(120, dtype)
    path = write(tmp_path / "s.ome.tif", pixels, "CYX", byteorder=order)
    with TiffScene(path) as scene:
        assert scene.dtype == ("float32" if dtype == "float64" else dtype)
        read, _ = scene.read(WHOLE)
    assert read.dtype == scene.dtype
    np.testing.assert_array_equal(read, pixels)


def test_one_plane_is_one_band(tmp_path):
    with TiffScene(write(tmp_path / "s.ome.tif", noise(1)[0], "YX"), bands=1) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE)[0], noise(1))


@pytest.mark.parametrize("axes", ["CYX", "YXS"])
@pytest.mark.parametrize("bands", [(5, 4, 2), (1, 1, 1)])
def test_bands_are_chosen_by_their_numbers(tmp_path, axes, bands):
    path = write(tmp_path / "s.ome.tif", noise(5), axes)
    with TiffScene(path, bands=bands) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE)[0], noise(5)[[b - 1 for b in bands]])
    with pytest.raises(SceneError, match=r"5 bands.*--bands 1,2,3"):
        TiffScene(path)


@pytest.mark.parametrize(("kind", "hides"), [("unassalpha", True), ("assocalpha", True),
                                             ("unspecified", False)])  # fmt: skip
def test_an_alpha_sample_tells_what_is_there(tmp_path, kind, hides):
    pixels = noise(4)
    pixels[3] = 65535
    pixels[3, 20:50, 30:70] = 0
    path = write(tmp_path / "s.ome.tif", pixels, "YXS", extrasamples=[kind])
    bands = 3 if hides else (1, 2, 3)
    with TiffScene(path, bands=bands) as scene:
        read, there = scene.read(WHOLE)
    np.testing.assert_array_equal(read, pixels[:3])
    np.testing.assert_array_equal(there, (pixels[3] > 0) | (not hides))
    with TiffScene(path, bands=(4, 1, 2)) as scene:
        assert scene.read(WHOLE)[1].all()


def test_it_lies_nowhere(tmp_path):
    with TiffScene(write(tmp_path / "s.ome.tif", noise(), "CYX")) as scene:
        assert scene.crs is None
        assert scene.transform == Affine.identity()


# Pyramids and overviews.


@pytest.fixture
def pyramid(tmp_path):
    """A pyramid whose levels differ in more than their size, so that each can be told."""
    path = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(
            noise(), subifds=2, metadata={"axes": "CYX"}, photometric="minisblack", tile=(32, 32)
        )
        for level in (1, 2):
            smaller = noise()[:, :: 2**level, :: 2**level] + np.uint16(1000 * level)
            file.write(smaller, subfiletype=1, photometric="minisblack", tile=(32, 32))
    return path


def test_a_pyramid_is_read_at_its_full_resolution(pyramid):
    with TiffScene(pyramid) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE)[0], noise())


@pytest.mark.parametrize(
    ("longest", "level"), [(130, 0), (66, 0), (65, 1), (34, 1), (33, 2), (9, 2)]
)
def test_an_overview_is_made_of_the_smallest_level_that_will_do(pyramid, longest, level):
    with TiffScene(pyramid) as scene:
        made = scene.overview(longest)[0]
    assert set(np.unique(made // 1000)) == {level}
    assert longest / 2 < max(made.shape) <= longest


@pytest.mark.parametrize(("longest", "step"), [(500, 1), (130, 1), (129, 2), (65, 2), (40, 4)])
def test_an_overview_without_levels_is_of_every_so_many_pixels(tmp_path, longest, step):
    with TiffScene(write(tmp_path / "s.ome.tif", noise(), "CYX", **TILED)) as scene:
        np.testing.assert_array_equal(scene.overview(longest)[0], noise()[:, ::step, ::step])


def test_overviews_of_many_strips_have_no_seam(tmp_path):
    tall = np.arange(2500, dtype=np.uint16)[None, :, None].repeat(3, 0).repeat(8, 2)
    path = tmp_path / "tall.ome.tif"
    tifffile.imwrite(path, tall, metadata={"axes": "CYX"}, photometric="minisblack")
    with TiffScene(path) as scene:
        np.testing.assert_array_equal(scene.overview(400)[0], tall[:, ::7, ::7])


MEMORY = """
import resource, sys
from tiling.readers.tiff import TiffScene
from tiling.window import Window
with TiffScene(sys.argv[1], bands=1) as scene:
    scene.read(Window(0, 0, 9, 9))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for place in range(0, 7000, 500):
        scene.read(Window(place, place, 500, 500))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_only_what_a_window_touches_is_held(tmp_path):
    pytest.importorskip("resource", reason="it tells the memory that was held")
    path = tmp_path / "large.ome.tif"
    pixels = np.zeros((8000, 8000), np.uint8)
    tifffile.imwrite(path, pixels, metadata={"axes": "YX"}, tile=(256, 256), compression="deflate")
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], check=True, capture_output=True, text=True
    )
    assert int(result.stdout) < 20_000, "KiB; the image has 62,500"


# Errors.


def refused(path, kind=SceneError, **options):
    with pytest.raises(kind) as caught, TiffScene(path, **options) as scene:
        scene.read(Window(0, 0, scene.height, scene.width))
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert "; " in message, "says what to do next"
    return message


@pytest.mark.parametrize("axes", ["TCYX", "ZCYX", "CYXS", "QYX"])
def test_other_axes_are_named_with_their_lengths(tmp_path, axes):
    shape = {"T": 2, "Z": 4, "Q": 5, "C": 3, "S": 3, "Y": 20, "X": 30}
    path = tmp_path / ("s.tif" if "Q" in axes else "s.ome.tif")
    pixels = np.zeros([shape[axis] for axis in axes], np.uint8)
    photometric = "rgb" if "S" in axes else "minisblack"
    tifffile.imwrite(path, pixels, metadata={"axes": axes}, photometric=photometric)
    message = refused(path)
    for axis in axes:
        assert f"{axis} {shape[axis]}" in message


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize("options", [{}, TILED, PACKED], ids=["strips", "tiles", "deflate"])
@pytest.mark.parametrize("axes", ["CYX", "YXS"])
def test_a_file_that_is_cut_off_is_an_error(tmp_path, axes, options, share):
    path = write(tmp_path / "cut.ome.tif", noise(), axes, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "copy it again" in refused(path)


@pytest.mark.parametrize("options", [{}, TILED], ids=["strips", "tiles"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_pixels_cut_off_are_missed_where_all_else_is_there(tmp_path, options, share):
    path = write(tmp_path / "plain.tif", noise(), "YXS", **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "bytes instead of" in refused(path)


def test_damaged_pixels_are_an_error(tmp_path):
    path = write(tmp_path / "bad.ome.tif", noise(), "CYX", **PACKED)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = b"x" * 2000
    path.write_bytes(content)
    assert "copy it again" in refused(path)


def test_what_is_no_tiff_is_an_error(tmp_path):
    (tmp_path / "text.tif").write_text("This is no raster.\nNot at all.\n")
    refused(tmp_path / "text.tif")
    (tmp_path / "empty.tif").touch()
    refused(tmp_path / "empty.tif")
    assert "no such file" in refused(tmp_path / "missing.tif")


@pytest.mark.parametrize("dtype", ["uint32", "int8", "complex64"])
def test_other_types_are_refused(tmp_path, dtype):
    assert f"pixels are {dtype}" in refused(write(tmp_path / "s.tif", noise(dtype=dtype), "YXS"))


def test_pages_that_are_missing_are_an_error_and_not_zeros(tmp_path):
    with tifffile.TiffFile(write(tmp_path / "whole.ome.tif", noise(), "CYX", **TILED)) as whole:
        xml = whole.ome_metadata
    path = tmp_path / "part.ome.tif"
    options = {"photometric": "minisblack", "metadata": None, "ome": False}
    tifffile.imwrite(path, noise(1)[0], description=xml, **options, **TILED)
    assert "planes are missing" in refused(path)


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs is installed")
@pytest.mark.parametrize(
    ("dtype", "options", "named"),
    [
        ("uint8", {"compress": "lzw"}, "compression LZW"),
        ("uint8", {"compress": "jpeg"}, "compression JPEG"),
        ("uint8", {"compress": "webp"}, "compression WEBP"),
        ("float32", {"compress": "deflate", "predictor": 3}, "predictor FLOATINGPOINT"),
        ("uint16", {"nbits": 12}, "pixels of 12 bits"),
    ],
)
def test_a_codec_that_is_missing_is_named_with_what_brings_it(
    write_raster, tmp_path, dtype, options, named
):
    path = write_raster(tmp_path / "s.tif", noise(dtype=dtype), crs=None, **options)
    message = refused(path, CodecError)
    assert f"has {named}, " in message
    assert "pip install imagecodecs" in message


def test_integer_predictors_need_no_package(write_raster, tmp_path):
    path = write_raster(tmp_path / "s.tif", noise(), crs=None, compress="deflate", predictor=2)
    with TiffScene(path) as scene:
        np.testing.assert_array_equal(scene.read(WHOLE)[0], noise())


def test_files_with_more_of_the_bands_are_known(tmp_path):
    names = [f"m_{band}.ome.tif" for band in range(3)]
    data = "".join(
        f'<TiffData FirstC="{band}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{UUID(int=band)}</UUID></TiffData>'
        for band, name in enumerate(names)
    )
    channels = '<Channel SamplesPerPixel="1"/>' * 3
    for band, name in enumerate(names):
        text = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{UUID(int=band)}"><Image><Pixels DimensionOrder="XYCZT" Type="uint8" '
            f'SizeX="7" SizeY="5" SizeC="3" SizeZ="1" SizeT="1">{channels}{data}</Pixels></Image>'
            "</OME>"
        )
        pixels = np.full((5, 7), 50 * band, np.uint8)
        tifffile.imwrite(tmp_path / name, pixels, description=text, metadata=None)
    with TiffScene(tmp_path / names[1]) as scene:
        assert scene.read(Window(0, 0, 1, 1))[0].ravel().tolist() == [0, 50, 100]
        assert scene.files == [str(tmp_path / names[band]) for band in (1, 0, 2)]
