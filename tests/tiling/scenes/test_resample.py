import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tiling.readers.raster import RasterScene
from tiling.scenes.resample import ResampledScene, Resampling
from tiling.window import Window

LENGTHS = st.integers(1, 70)
SIZES = st.tuples(LENGTHS, LENGTHS)


@st.composite
def cases(draw):
    """A resampling, a window of its target, pixels of its source, and which of them are there."""
    source, target = draw(SIZES), draw(SIZES)
    row, column = draw(st.integers(0, target[0] - 1)), draw(st.integers(0, target[1] - 1))
    height = draw(st.integers(1, target[0] - row))
    width = draw(st.integers(1, target[1] - column))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    pixels = random.normal(100, 1e5, (2, *source)).astype(np.float32)
    valid = random.random(source) < draw(st.sampled_from([0.0, 0.1, 0.6, 1.0]))
    return Resampling(source, target), Window(row, column, height, width), pixels, valid


def made(resampling, pixels, valid, window=None):
    """What a resampling makes of the part of a whole source that it asks for."""
    window = window or Window(0, 0, *resampling.target)
    source = resampling.source_window(window)
    assert source.intersection(Window(0, 0, *resampling.source)) == source
    rows, columns = source.slices()
    return resampling(pixels[:, rows, columns], valid[rows, columns], window)


@given(cases())
def test_any_window_gives_the_same_bytes_as_the_whole(case):
    resampling, window, pixels, valid = case
    whole, everywhere = made(resampling, pixels, valid)
    part, there = made(resampling, pixels, valid, window)
    assert part.dtype == np.float32
    assert there.dtype == bool
    rows, columns = window.slices()
    assert part.tobytes() == whole[:, rows, columns].tobytes()
    np.testing.assert_array_equal(there, everywhere[rows, columns])


def test_strips_of_a_large_target_are_made_as_one_window_is():
    pixels = np.random.default_rng(3).random((1, 700, 40))
    valid = np.random.default_rng(4).random((700, 40)) < 0.7
    for height in (523, 1111):
        resampling = Resampling((700, 40), (height, 30))
        whole, _ = made(resampling, pixels, valid)
        for row in (0, 200, 255, 256, 400):
            part, _ = made(resampling, pixels, valid, Window(row, 0, 90, 30))
            assert part.tobytes() == whole[:, row : row + 90].tobytes()


@given(SIZES, SIZES)
def test_it_is_what_pillow_makes(source, target):
    pixels = np.random.default_rng(1).random((1, *source)).astype(np.float32)
    size = target[1], target[0]
    expected = Image.fromarray(pixels[0]).resize(size, Image.Resampling.BILINEAR)
    resampled, there = made(Resampling(source, target), pixels, np.ones(source, bool))
    np.testing.assert_allclose(resampled[0], np.asarray(expected), atol=2e-6)
    assert there.all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@given(data=st.data())
def test_the_same_size_is_the_same_pixels(dtype, data):
    size = data.draw(SIZES)
    random = np.random.default_rng(0)
    pixels = random.normal(0, 20_000, (3, *size)).astype(np.int64).astype(dtype)
    valid = random.random(size) < 0.7
    resampling = Resampling(size, size)
    window = Window(0, 0, *size)
    assert resampling.source_window(window) == window
    resampled, there = resampling(pixels, valid, window)
    np.testing.assert_array_equal(there, valid)
    np.testing.assert_array_equal(resampled, np.where(valid, pixels, 0).astype(np.float32))


@given(cases(), st.sampled_from([0.1, 255, 65535]))
def test_a_constant_stays_what_it_is_whatever_is_missing(case, value):
    resampling, window, pixels, valid = case
    resampled, there = made(resampling, np.full_like(pixels, value), valid, window)
    np.testing.assert_allclose(resampled[:, there], value, rtol=1e-6)
    assert (resampled[:, ~there] == 0).all()


@given(cases())
def test_missing_pixels_have_no_part_in_any(case):
    resampling, window, pixels, valid = case
    other = np.where(valid, pixels, np.float32(1e30))
    resampled, _ = made(resampling, pixels, valid, window)
    assert made(resampling, other, valid, window)[0].tobytes() == resampled.tobytes()


def test_nan_and_infinity_that_are_missing_have_no_part_either():
    pixels = np.ones((1, 9, 9), np.float32)
    pixels[0, 2, 3], pixels[0, 5, 5] = np.nan, np.inf
    resampled, _ = made(Resampling((9, 9), (14, 4)), pixels, np.isfinite(pixels[0]))
    np.testing.assert_allclose(resampled, 1, rtol=1e-6)


@given(SIZES, SIZES, st.data())
def test_a_pixel_is_there_when_one_that_weighs_in_it_is(source, target, data):
    row, column = (data.draw(st.integers(0, length - 1)) for length in source)
    valid = np.zeros(source, bool)
    valid[row, column] = True
    pixels = np.zeros((1, *source), np.float32)
    pixels[0, row, column] = 1
    _, there = made(Resampling(source, target), pixels, valid)
    weights, _ = made(Resampling(source, target), pixels, np.ones(source, bool))
    np.testing.assert_array_equal(there, weights[0] > 0)


def test_only_the_pixels_around_a_window_are_asked_for():
    coarser = Resampling((1000, 2000), (250, 500))
    assert coarser.source_window(Window(10, 20, 5, 6)) == Window(38, 78, 24, 28)
    finer = Resampling((250, 500), (1000, 2000))
    assert finer.source_window(Window(40, 80, 8, 4)) == Window(9, 19, 4, 3)


def test_lines_between_pixels_are_not_lost_when_it_gets_coarser():
    pixels = np.zeros((1, 90, 90), np.float32)
    pixels[0, :, ::9] = 1
    resampled, _ = made(Resampling((90, 90), (10, 10)), pixels, np.ones((90, 90), bool))
    np.testing.assert_allclose(resampled[0, :, 1:-1], 1 / 9, rtol=1e-5)


# Scenes.


def scene_of(write_raster, path, dtype="uint8", **options):
    random = np.random.default_rng(8)
    pixels = random.integers(1, 200, (3, 60, 90)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        pixels += np.array(0.3, dtype)
    return RasterScene(write_raster(path, pixels, **options))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_whole_numbers_are_rounded_to_the_nearest(write_raster, tmp_path, dtype):
    with scene_of(write_raster, tmp_path / "s.tif", dtype) as inner:
        pixels, valid = inner.read(Window(0, 0, 60, 90))
        read, _ = ResampledScene(inner, 41, 133).read(Window(0, 0, 41, 133))
    exact, _ = Resampling((60, 90), (41, 133))(pixels, valid, Window(0, 0, 41, 133))
    assert read.dtype == dtype
    assert abs(read - exact).max() <= 0.5


def test_floats_stay_floats(write_raster, tmp_path):
    with scene_of(write_raster, tmp_path / "s.tif", "float64") as inner:
        read, _ = ResampledScene(inner, 60, 90).read(Window(0, 0, 60, 90))
        np.testing.assert_array_equal(read, inner.read(Window(0, 0, 60, 90))[0])
    assert read.dtype == np.float32


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_the_largest_and_smallest_values_stay(write_raster, tmp_path, dtype):
    limits = np.iinfo(dtype)
    pixels = np.full((3, 20, 20), limits.max, dtype)
    pixels[:, :, 10:] = limits.min
    valid = np.arange(20)[None].repeat(20, axis=0) % 3 > 0
    path = write_raster(tmp_path / "s.tif", pixels, nodata_kind="mask", valid=valid)
    with RasterScene(path) as inner:
        read, there = ResampledScene(inner, 31, 47).read(Window(0, 0, 31, 47))
    assert read[:, there].max() == limits.max
    assert read[:, there].min() == limits.min


def test_its_pixels_cover_the_same_ground(write_raster, tmp_path):
    turned = Affine(0.25, 0.1, 200_000, 0.1, -0.25, 900_000)
    with scene_of(write_raster, tmp_path / "s.tif", transform=turned) as inner:
        scene = ResampledScene(inner, 30, 180)
        assert (scene.height, scene.width) == (30, 180)
        expected = Affine(0.125, 0.2, 200_000, 0.05, -0.5, 900_000)
        assert scene.transform.almost_equals(expected)
        assert (scene.crs, scene.name, scene.bands) == (inner.crs, inner.name, 3)
