import threading
import time
import weakref
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiling.blend import NODATA, ONE, TOP, Accumulator, ramp
from tiling.errors import SceneError, SinkError
from tiling.grid import Grid
from tiling.scenes.raster import RasterScene
from tiling.scenes.scene import WrappedScene
from tiling.stitch import part_digest, stitch
from tiling.store import PartStore
from tiling.window import Window, split

TILE, OVERLAP = 64, 16
SIZES = [(300, 200), (1, 500), (64, 64), (65, 64), (64, 65), (65, 65), (40, 50), (1, 1), (129, 63)]


class Predictor:
    """What `stitch` asks of one; those below say what comes out."""

    bands = 1

    def __init__(self, batch=4, lanes=1, readers=1):
        self.batch, self.lanes, self.readers = batch, lanes, readers


class Constant(Predictor):
    """Says the same of every pixel."""

    def __init__(self, fixed, **options):
        super().__init__(**options)
        self.fixed = fixed

    def __call__(self, pixels, valid):
        return np.full((len(pixels), 1, *pixels.shape[-2:]), self.fixed, np.uint16)


class Echo(Predictor):
    """Says of every pixel what its first band says."""

    def __call__(self, pixels, valid):
        return pixels[:, :1].astype(np.uint16) * np.uint16(257)


class FromBorderToBorder(Predictor):
    """Rises from 0 at a tile's left border to 1 at its right one: neighbours disagree."""

    def __call__(self, pixels, valid):
        rise = np.linspace(0, ONE, pixels.shape[-1]).astype(np.uint16)
        return np.broadcast_to(rise, (len(pixels), 1, *pixels.shape[-2:]))


class OfTheWholeTile(Predictor):
    """Says of a pixel what depends on all of its tile, like group norm does."""

    bands = 2

    def __init__(self, **options):
        super().__init__(**options)
        self.batches = []

    def __call__(self, pixels, valid):
        self.batches.append(
            [(tile.copy(), there.copy()) for tile, there in zip(pixels, valid, strict=True)]
        )
        seen = np.where(valid[:, None], pixels, 0).astype(np.int64)
        of_tile = seen.sum(axis=(1, 2, 3), keepdims=True) * 7919
        return ((seen[:, :2] * 257 + of_tile) % (ONE + 1)).astype(np.uint16)

    @property
    def seen(self):
        return [tile for batch in self.batches for tile in batch]


def stitched(scene, predict, folder, *, part_size=4096, tile=TILE, overlap=OVERLAP, told=None):
    """The store of a scene whose parts have all been computed."""
    grid = Grid(scene.height, scene.width, tile, overlap)
    store = PartStore(folder, grid, grid.parts(part_size), predict.bands, raw=True)
    progress = (lambda tiles: None) if told is None else told.append
    stitch(scene, grid, store.parts, predict, store.write, progress=progress)
    assert store.missing() == []
    return store


def whole(scene):
    return Window(0, 0, scene.height, scene.width)


def levels_of(scene, predict, folder, **options):
    """The whole scene's levels."""
    return stitched(scene, predict, folder, **options).read(whole(scene)).levels


def tile_by_tile(scene, grid, predict):
    """Levels and probabilities the plain way: one tile after the other, in 64-bit integers."""
    sums = np.zeros((predict.bands, scene.height, scene.width), np.int64)
    weights = np.zeros((scene.height, scene.width), np.int64)
    weight = np.outer(ramp(grid.tile_height, grid.overlap), ramp(grid.tile_width, grid.overlap))
    margins = (0, grid.tile - grid.tile_height), (0, grid.tile - grid.tile_width)
    for tile in grid.tiles():
        pixels, valid = scene.read(tile)
        pixels = np.pad(pixels, ((0, 0), *margins), mode="symmetric")
        fixed = predict(pixels[None], np.pad(valid, margins, mode="symmetric")[None])[0]
        sums[:, *tile.slices()] += fixed[:, : tile.height, : tile.width] * weight
        weights[tile.slices()] += weight
    valid = scene.read(whole(scene))[1]
    levels = (2 * TOP * sums + ONE * weights) // (2 * ONE * weights)
    probability = (sums / (ONE * weights)).astype(np.float32)
    return np.where(valid, levels, NODATA), np.where(valid, probability, np.nan)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (3, height, width)).astype(np.uint8)


def disc_missing(height, width):
    """Which pixels are there [h, w]: all but those of a disc."""
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(rows - 0.4 * height, columns - 0.5 * width) > 0.3 * min(height, width)


# What comes out.


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fixed", [0, 33_000, ONE])
def test_a_constant_predictor_gives_a_constant_raster(write_raster, tmp_path, size, fixed):
    with RasterScene(write_raster(tmp_path / "scene.tif", noise(*size))) as scene:
        store = stitched(scene, Constant(fixed), tmp_path, part_size=100)
        blended = store.read(whole(scene))
    assert set(np.unique(blended.levels)) == {round(fixed / ONE * TOP)}
    assert set(np.unique(blended.probability)) == {np.float32(fixed / ONE)}


@pytest.mark.parametrize("size", SIZES)
def test_a_predictor_that_gives_back_its_band_gives_back_the_scenes_band(
    write_raster, tmp_path, size
):
    pixels = noise(*size)
    with RasterScene(write_raster(tmp_path / "scene.tif", pixels)) as scene:
        levels = levels_of(scene, Echo(), tmp_path, part_size=90)
    assert abs(levels[0] - pixels[0] / 255 * TOP).max() <= 0.5


def test_a_ramp_over_the_scene_has_no_step_at_tile_borders(write_raster, tmp_path):
    rise = np.broadcast_to(np.linspace(0, 255, 250).astype(np.uint8), (3, 130, 250))
    with RasterScene(write_raster(tmp_path / "ramp.tif", rise)) as scene:
        levels = levels_of(scene, Echo(), tmp_path, part_size=90)[0].astype(int)
    assert (np.diff(levels, axis=0) == 0).all()
    steps = np.diff(levels, axis=1)
    assert steps.min() >= 0
    assert steps.max() <= 2


def test_tiles_that_disagree_are_blended_without_a_step(write_raster, tmp_path):
    with RasterScene(write_raster(tmp_path / "scene.tif", noise(64, 300))) as scene:
        for folder in ("blended", "hard"):
            (tmp_path / folder).mkdir()
        predict = FromBorderToBorder()
        levels = levels_of(scene, predict, tmp_path / "blended", part_size=80)[0].astype(int)
        cut_hard = levels_of(scene, predict, tmp_path / "hard", overlap=0)[0].astype(int)
    assert abs(np.diff(cut_hard)).max() > 100
    assert abs(np.diff(levels)).max() < 2 * TOP / OVERLAP


@pytest.mark.parametrize("kind", ["nodata", "alpha", "mask", "none"])
def test_missing_pixels_stay_missing_pixel_for_pixel(write_raster, tmp_path, kind):
    valid = np.ones((171, 233), bool) if kind == "none" else disc_missing(171, 233)
    path = write_raster(tmp_path / "holed.tif", noise(171, 233), nodata_kind=kind, valid=valid)
    with RasterScene(path) as scene:
        store = stitched(scene, OfTheWholeTile(), tmp_path, part_size=110)
        blended = store.read(whole(scene))
    for band in blended.levels:
        np.testing.assert_array_equal(band == NODATA, ~valid)
    for band in blended.probability:
        np.testing.assert_array_equal(np.isnan(band), ~valid)


@st.composite
def cuts(draw):
    """A scene's size, its tiles, and how the work on it is cut up and shared out."""
    tile = draw(st.integers(12, 40))
    return {
        "size": (draw(st.integers(1, 90)), draw(st.integers(1, 90))),
        "tile": tile,
        "overlap": draw(st.integers(0, tile * 2 // 3)),
        "part_size": draw(st.integers(1, 100)),
        "batch": draw(st.integers(1, 9)),
        "lanes": draw(st.integers(1, 3)),
        "readers": draw(st.integers(1, 3)),
        "read_by": draw(st.integers(7, 100)),
    }


@settings(max_examples=60)
@given(cuts())
def test_no_cut_changes_a_byte(write_raster, tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    height, width = cut["size"]
    path = write_raster(
        folder / "holed.tif", noise(height, width), nodata_kind="mask",
        valid=disc_missing(height, width),
    )  # fmt: skip
    with RasterScene(path) as scene:
        grid = Grid(height, width, cut["tile"], cut["overlap"])
        levels, probability = tile_by_tile(scene, grid, OfTheWholeTile())
        predict = OfTheWholeTile(batch=cut["batch"], lanes=cut["lanes"], readers=cut["readers"])
        store = stitched(
            scene, predict, folder, part_size=cut["part_size"], tile=cut["tile"],
            overlap=cut["overlap"],
        )  # fmt: skip
    for window in split(height, width, cut["read_by"]):
        blended = store.read(window)
        np.testing.assert_array_equal(blended.levels, levels[:, *window.slices()])
        np.testing.assert_array_equal(blended.probability, probability[:, *window.slices()])


# What is predicted.


@pytest.mark.parametrize("part_size", [64, 100, 150, 4096])
def test_no_tile_is_predicted_twice(write_raster, tmp_path, part_size):
    predict = OfTheWholeTile(lanes=2)
    with RasterScene(write_raster(tmp_path / "scene.tif", noise(230, 190))) as scene:
        stitched(scene, predict, tmp_path, part_size=part_size)
        grid = Grid(230, 190, TILE, OVERLAP)
        expected = Counter(scene.read(tile)[0].tobytes() for tile in grid.tiles())
    assert Counter(tile.tobytes() for tile, _ in predict.seen) == expected
    assert set(expected.values()) == {1}


@pytest.mark.parametrize("part_size", [64, 150, 4096])
@pytest.mark.parametrize("lanes", [1, 3])
def test_tiles_with_nothing_in_them_are_not_predicted_but_counted(
    write_raster, tmp_path, part_size, lanes
):
    valid = np.zeros((200, 400), bool)
    valid[:, 300:] = True
    valid[20, 20] = True
    path = write_raster(tmp_path / "s.tif", noise(200, 400), nodata_kind="alpha", valid=valid)
    predict, told = OfTheWholeTile(lanes=lanes), []
    with RasterScene(path) as scene:
        levels = levels_of(scene, predict, tmp_path, part_size=part_size, told=told)
    grid = Grid(200, 400, TILE, OVERLAP)
    wanted = [tile for tile in grid.tiles() if valid[tile.slices()].any()]
    assert len(predict.seen) == len(wanted) < grid.tile_count
    assert all(there.any() for _, there in predict.seen)
    assert sum(told) == grid.tile_count
    np.testing.assert_array_equal(levels[0] == NODATA, ~valid)


def test_a_scene_with_nothing_in_it_is_never_predicted(write_raster, tmp_path):
    valid = np.zeros((100, 90), bool)
    path = write_raster(tmp_path / "s.tif", noise(100, 90), nodata_kind="nodata", valid=valid)
    predict, told = OfTheWholeTile(), []
    with RasterScene(path) as scene:
        levels = levels_of(scene, predict, tmp_path, told=told)
    assert predict.seen == []
    assert sum(told) == Grid(100, 90, TILE, OVERLAP).tile_count
    assert (levels == NODATA).all()


@pytest.mark.parametrize("batch", [2, 3, 5, 8])
@pytest.mark.parametrize("part_size", [64, 112, 160, 4096])
def test_all_batches_but_the_last_are_full(write_raster, tmp_path, batch, part_size):
    valid = disc_missing(250, 210)
    path = write_raster(tmp_path / "s.tif", noise(250, 210), nodata_kind="mask", valid=valid)
    predict = OfTheWholeTile(batch=batch)
    with RasterScene(path) as scene:
        stitched(scene, predict, tmp_path, part_size=part_size)
    sizes = [len(tiles) for tiles in predict.batches]
    assert sizes[:-1] == [batch] * (len(sizes) - 1)
    assert 1 <= sizes[-1] <= batch


def test_predictors_get_whole_tiles_of_the_scenes_own_pixels(write_raster, tmp_path):
    pixels = noise(10, 100)
    valid = np.ones((10, 100), bool)
    valid[9, :40] = False
    path = write_raster(tmp_path / "low.tif", pixels, nodata_kind="mask", valid=valid)
    predict = OfTheWholeTile()
    with RasterScene(path) as scene:
        stitched(scene, predict, tmp_path)
    assert [tile.shape for tile, _ in predict.seen] == [(3, TILE, TILE)] * len(predict.seen)
    first, there = predict.seen[0]
    np.testing.assert_array_equal(first[:, :10], pixels[:, :, :TILE])
    # Reflected below, not padded with a value: the row below the last is the last again.
    np.testing.assert_array_equal(first[:, 10:20], pixels[:, ::-1, :TILE])
    np.testing.assert_array_equal(there[:20], np.concatenate([valid, valid[::-1]])[:, :TILE])


# When something goes wrong.


class Failing(Constant):
    """Cannot go on after some batches."""

    def __init__(self, after, error):
        super().__init__(5, batch=2, lanes=2, readers=2)
        self.left, self.error = after, error

    def __call__(self, pixels, valid):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().__call__(pixels, valid)


@pytest.fixture
def scene(write_raster, tmp_path):
    with RasterScene(write_raster(tmp_path / "scene.tif", noise(300, 300))) as opened:
        yield opened


GRID = Grid(300, 300, TILE, OVERLAP)


@pytest.mark.parametrize("after", [0, 3, 17])
@pytest.mark.parametrize("kind", [MemoryError, KeyboardInterrupt])
def test_an_error_of_the_predictor_comes_out_as_itself(scene, after, kind):
    error = kind("no memory left")
    before = threading.active_count()
    with pytest.raises(kind) as caught:
        stitch(scene, GRID, GRID.parts(100), Failing(after, error), lambda blended, digest: None)
    assert caught.value is error
    assert threading.active_count() == before


@pytest.mark.parametrize("after", [0, 2, 8])
def test_an_error_in_writing_comes_out_as_itself(scene, after):
    error, written = SinkError("part.npz: the disk is full"), []

    def write(blended, digest):
        if len(written) == after:
            raise error
        written.append(blended.part)

    parts = GRID.parts(112)
    before = threading.active_count()
    assert len(parts) == 9
    with pytest.raises(SinkError) as caught:
        stitch(scene, GRID, parts, Constant(5, lanes=2, readers=2), write)
    assert caught.value is error
    assert threading.active_count() == before


def test_an_error_in_telling_progress_comes_out_as_itself(scene):
    error = KeyboardInterrupt()

    def progress(tiles):
        raise error

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt) as caught:
        stitch(
            scene, GRID, GRID.parts(112), Constant(5, lanes=2), lambda blended, digest: None,
            progress=progress,
        )  # fmt: skip
    assert caught.value is error
    assert threading.active_count() == before


@pytest.mark.parametrize("readers", [1, 3])
def test_pixels_that_cannot_be_read_are_an_error_of_the_scene(write_raster, tmp_path, readers):
    path = write_raster(tmp_path / "cut.tif", noise(300, 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = threading.active_count()
    with pytest.raises(SceneError, match=r"cut\.tif"), RasterScene(path) as scene:
        stitched(scene, Constant(5, lanes=2, readers=readers), tmp_path)
    assert threading.active_count() == before


def test_no_thread_is_left_when_all_went_well(scene, tmp_path):
    before = threading.active_count()
    stitched(scene, Constant(5, lanes=2, readers=3), tmp_path, part_size=100)
    assert threading.active_count() == before


# What it takes.


@pytest.mark.parametrize("part_size", [160, 208])
@pytest.mark.parametrize("lanes", [1, 2])
def test_at_most_two_parts_are_held(write_raster, tmp_path, monkeypatch, part_size, lanes):
    alive, most = weakref.WeakSet(), []

    class Remembered(Accumulator):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            alive.add(self)
            most.append(len(alive))

    monkeypatch.setattr("tiling.stitch.Accumulator", Remembered)
    grid = Grid(700, 700, TILE, OVERLAP)
    parts = grid.parts(part_size)
    assert len(parts) >= 16

    def write(blended, digest):
        time.sleep(0.02)  # A slow disk.

    with RasterScene(write_raster(tmp_path / "scene.tif", noise(700, 700))) as scene:
        stitch(scene, grid, parts, Constant(5, batch=2, lanes=lanes), write)
    assert len(most) == len(parts)
    assert max(most) == 2


def test_a_part_reads_each_of_its_pixels_once(scene):
    class Counting(WrappedScene):
        pixels = 0

        def read(self, window):
            self.pixels += window.pixels
            return self.scene.read(window)

    counting, parts = Counting(scene), GRID.parts(150)
    stitch(counting, GRID, parts, Constant(5), lambda blended, digest: None)
    assert counting.pixels == sum(part.extent.pixels for part in parts)


@pytest.mark.parametrize("readers", [1, 3])
def test_a_file_is_opened_once_for_each_thread_that_reads(write_raster, tmp_path, readers):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("open files are counted in /proc")
    path = write_raster(tmp_path / "scene.tif", noise(300, 300))
    with RasterScene(path) as scene:
        stitched(scene, Constant(5, lanes=2, readers=readers), tmp_path, part_size=64)
        opened = [handle for handle in handles.iterdir() if handle.resolve() == path.resolve()]
    # And once where its size was asked for.
    assert 2 <= len(opened) <= 1 + readers


# What tells whether a part is still right.


def digests(scene, part_size=112):
    return {part.name: part_digest(scene, GRID, part) for part in GRID.parts(part_size)}


@pytest.mark.parametrize("lanes", [1, 2])
def test_parts_are_written_with_the_hash_of_their_pixels(scene, tmp_path, lanes):
    store = stitched(scene, Constant(5, lanes=lanes, readers=2), tmp_path, part_size=112)
    assert {part.name: store.digest(part) for part in store.parts} == digests(scene)


@pytest.mark.parametrize("kind", ["pixels", "valid"])
@pytest.mark.parametrize("pixel", [(0, 0), (299, 299), (100, 130), (150, 60)])
def test_the_hash_tells_which_parts_a_pixel_is_in(write_raster, tmp_path, kind, pixel):
    pixels, valid = noise(300, 300), np.ones((300, 300), bool)
    before = write_raster(tmp_path / "a.tif", pixels, nodata_kind="mask", valid=valid)
    if kind == "pixels":
        pixels[(2, *pixel)] ^= 1
    else:
        valid[pixel] = False
    after = write_raster(tmp_path / "b.tif", pixels, nodata_kind="mask", valid=valid)
    with RasterScene(before) as one, RasterScene(after) as other:
        old, new = digests(one), digests(other)
    touched = {part.name for part in GRID.parts(112) if part.extent.meets(Window(*pixel, 1, 1))}
    assert touched
    assert {name for name in old if old[name] != new[name]} == touched
