import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.crs import CRS
from rio_cogeo.cogeo import cog_validate

from tiling.errors import SinkError, TilingError
from tiling.overviews import halved
from tiling.scenes.raster import RasterScene, without_georeferencing_warning
from tiling.sink import BLOCK, ClassCogSink, CogSink, Description, PngSink, publish
from tiling.window import Window, split

HEIGHT, WIDTH = 700, 1100
TAGS = {"RURNET_MODEL": "fresh", "RURNET_STEPS": "3"}

PLACES = {
    "north up": ("EPSG:26986", Affine(0.3, 0, 200_000.1, 0, -0.3, 900_000.7)),
    "turned": ("EPSG:32619", Affine(0.257, 0.154, 100_000.1, 0.154, -0.257, 900_000.0)),
    "degrees": ("EPSG:4326", Affine(1 / 3600, 0, -71.1, 0, -1 / 3600, 42.3)),
    "a projection of its own": (
        "+proj=tmerc +lat_0=41.7 +lon_0=-71.2 +k=0.9999 +x_0=1234.5 +ellps=GRS80 +units=m",
        Affine(1, 0, 0, 0, -1, 0),
    ),
}


def levels_with_every_value(bands=1):
    """Levels [bands, 700, 1100] from 0 to 254, and nodata in a corner and a line."""
    levels = np.arange(HEIGHT * WIDTH, dtype=np.int64).reshape(1, HEIGHT, WIDTH) % 255
    levels = np.concatenate([(levels + 50 * band) % 255 for band in range(bands)])
    levels[:, :300, :200] = 255
    levels[:, 650] = 255
    return levels.astype(np.uint8)


def description(pixels, nodata=255, **more):
    """Of pixels [bands, h, w]."""
    bands, height, width = pixels.shape
    names = [f"probability of class {band}" for band in range(1, bands + 1)]
    return Description(height, width, str(pixels.dtype), nodata, names, tags=TAGS, **more)


def cog(path, pixels, *, kind=CogSink, nodata=255, **more):
    return kind(path, path.parent, description(pixels, nodata, **more))


def png(path, pixels):
    return PngSink(path, path.parent, description(pixels, None))


def write(sink, pixels, size=BLOCK):
    for window in split(*pixels.shape[1:], size):
        sink.write(window, pixels[:, *window.slices()])


def written(sink, pixels, size=BLOCK):
    """The file of a sink that has taken all pixels."""
    write(sink, pixels, size)
    (path,) = publish([sink])
    return path


def opened(path):
    with without_georeferencing_warning():
        return rasterio.open(path)


def opened_level(path, level):
    with without_georeferencing_warning():
        return rasterio.open(path, overview_level=level)


def check_cog(path):
    with without_georeferencing_warning():
        assert cog_validate(path, strict=True) == (True, [], [])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


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
def test_no_band_is_taken_for_alpha_or_a_colour(tmp_path, bands):
    pixels = levels_with_every_value(bands)
    with opened(written(cog(tmp_path / "probability.tif", pixels), pixels)) as raster:
        assert [colour.name for colour in raster.colorinterp] == (
            ["gray"] + ["undefined"] * (bands - 1)
        )
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


# The same bytes.


SINKS = {"tif": cog, "classes.tif": partial(cog, kind=ClassCogSink), "png": png}


@pytest.mark.parametrize("size", [BLOCK, 2 * BLOCK, 4 * BLOCK])
@pytest.mark.parametrize("kind", SINKS)
def test_the_size_of_windows_does_not_show_in_a_byte(tmp_path, kind, size):
    pixels = np.random.default_rng(0).integers(0, 255, (1, 1500, 1100), np.uint8)
    files = []
    for name, by in (("one", BLOCK), ("other", size)):
        (tmp_path / name).mkdir()
        sink = SINKS[kind](tmp_path / name / f"mask.{kind}", pixels)
        files.append(written(sink, pixels, by).read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("size", [97, 300])
def test_windows_need_not_be_blocks(tmp_path, size):
    pixels = levels_with_every_value()
    with opened(written(cog(tmp_path / "mask.tif", pixels), pixels, size)) as raster:
        np.testing.assert_array_equal(raster.read(), pixels)


BYTES = """
import hashlib, os, sys
from pathlib import Path
import numpy as np
from tests.tiling.test_sink import ClassCogSink, cog, png, written

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])
folder = Path(sys.argv[1])
folder.mkdir()
levels = np.random.default_rng(0).integers(0, 255, (2, 2100, 1600), np.uint8)
floats = (levels / 254).astype(np.float32)
for path in (
    written(cog(folder / "mask.tif", levels[:1], kind=ClassCogSink), levels[:1]),
    written(cog(folder / "probability.tif", levels), levels),
    written(cog(folder / "float.tif", floats, nodata=float("nan")), floats),
    written(png(folder / "mask.png", levels[:1]), levels[:1]),
):
    print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two processors, and a system that lets one be taken away",
)
def test_neither_processors_nor_gdals_threads_show_in_a_byte(tmp_path):
    outcomes = set()
    for processors, threads in (("1", None), ("2", None), ("2", "1")):
        given = {} if threads is None else {"GDAL_NUM_THREADS": threads}
        result = subprocess.run(
            [sys.executable, "-c", BYTES, tmp_path / f"{processors}-{threads}", processors],
            check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
            env={**os.environ, **given},
        )  # fmt: skip
        assert len(result.stdout.splitlines()) == 4
        outcomes.add(result.stdout)
    assert len(outcomes) == 1


# All or nothing.


def test_nothing_has_its_name_before_all_are_published(tmp_path):
    pixels = levels_with_every_value()
    parts, out = tmp_path / "parts", tmp_path / "out"
    parts.mkdir()
    out.mkdir()
    sinks = [
        ClassCogSink(out / "mask.tif", parts, description(pixels)),
        PngSink(out / "mask.png", parts, description(pixels, None)),
    ]
    for sink in sinks:
        write(sink, pixels)
        assert names(out) == []
        sink.close()
        assert names(out) == []
    assert [sink.publish() for sink in sinks] == [out / "mask.tif", out / "mask.png"]
    assert names(out) == ["mask.png", "mask.tif"]
    assert names(parts) == []


def test_what_was_there_stays_until_the_new_one_is_whole(tmp_path):
    pixels = levels_with_every_value()
    path = written(cog(tmp_path / "mask.tif", pixels), pixels)
    before = path.read_bytes()
    sink = cog(path, 254 - np.minimum(pixels, 254))
    write(sink, 254 - np.minimum(pixels, 254))
    sink.close()
    assert path.read_bytes() == before
    sink.publish()
    assert path.read_bytes() != before


def test_a_file_that_reads_back_otherwise_is_not_published(tmp_path):
    pixels = levels_with_every_value()
    good, bad = cog(tmp_path / "good.tif", pixels), cog(tmp_path / "bad.tif", pixels)
    write(good, pixels)
    # Of what is written twice only the last stays, as of what the disk has lost.
    bad.write(Window(0, 0, 512, 512), pixels[:, :512, :512])
    bad.write(Window(0, 0, 100, 100), pixels[:, 600:, :100])
    with pytest.raises(SinkError, match=r"bad\.tif: cannot be written .*reads back otherwise"):
        publish([good, bad])
    assert not (tmp_path / "good.tif").exists()
    assert not (tmp_path / "bad.tif").exists()


@pytest.mark.parametrize("inside", [(), ("deeper",)])
def test_a_folder_that_is_none_is_an_error_that_names_the_file(tmp_path, inside):
    (tmp_path / "taken").write_text("a file")
    path = (tmp_path / "taken").joinpath(*inside, "mask.tif")
    with pytest.raises(SinkError) as caught:
        cog(path, levels_with_every_value())
    assert isinstance(caught.value, TilingError)
    assert isinstance(caught.value, OSError)
    assert str(caught.value).startswith(f"{path}: cannot be written")
    assert "\n" not in str(caught.value)


FULL_DISK = """
import json, resource, sys
from pathlib import Path
import numpy as np
from tests.tiling.test_sink import SINKS, cog, names, publish, write
from tiling.errors import SinkError

flat = np.zeros((1, 700, 1100), np.uint8)
noise = np.random.default_rng(0).integers(0, 255, flat.shape, np.uint8)
unlimited = (resource.RLIM_INFINITY,) * 2

def make(folder):
    # The first fits wherever the second does not.
    sinks = [cog(folder / "first.tif", flat), make_second(folder / f"second.{sys.argv[2]}", noise)]
    write(sinks[0], flat)
    write(sinks[1], noise)
    return publish(sinks)

make_second = SINKS[sys.argv[2]]
enough = Path(sys.argv[1]) / "enough"
enough.mkdir()
size = make(enough)[1].stat().st_size
outcomes = []
for share in (0, 0.01, 0.3, 0.75, 0.95, 0.999):
    folder = Path(sys.argv[1]) / f"full{share}"
    folder.mkdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), resource.RLIM_INFINITY))
    try:
        make(folder)
        outcomes.append([share, "no error", []])
    except SinkError as error:
        outcomes.append([share, str(error), names(folder)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
print(json.dumps(outcomes))
"""


@pytest.mark.parametrize("kind", SINKS)
def test_on_a_disk_that_is_full_at_any_moment_no_raster_appears(tmp_path, kind):
    pytest.importorskip("resource", reason="a limit of file size stands for a full disk")
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path, kind],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    outcomes = json.loads(result.stdout.splitlines()[-1])
    assert len(outcomes) == 6
    for share, message, left in outcomes:
        assert message.startswith(f"{tmp_path}/full{share}/"), (share, message)
        assert ": cannot be written (" in message
        assert "\n" not in message
        # Those under other names are the caller's folder of parts to clear.
        assert not {"first.tif", f"second.{kind}"} & set(left)
