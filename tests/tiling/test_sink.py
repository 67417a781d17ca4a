import json
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rio_cogeo.cogeo import cog_validate

from tiling.errors import SceneError, SinkError, TilingError
from tiling.scene import RasterScene, without_georeferencing_warning
from tiling.sink import RasterSink
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


def written(scene, folder, levels, *, threshold=127, classes=("road",), part_size=300):
    sink = RasterSink(folder, scene, classes, TAGS)
    parts = list(split(scene.height, scene.width, part_size))
    with sink.collecting():
        for part in parts:
            sink.write(part, levels[:, *part.slices()])
        return sink.finish(parts, threshold)


def opened(path):
    with without_georeferencing_warning():
        return rasterio.open(path)


@pytest.fixture(scope="module")
def scene_at(write_raster, tmp_path_factory):
    """Opens an empty scene at one of `PLACES`, or nowhere."""
    scenes = []

    def at(place=None):
        crs, transform = PLACES.get(place, (None, None))
        path = tmp_path_factory.mktemp("scene") / "scene.tif"
        pixels = np.ones((3, HEIGHT, WIDTH), np.uint8)
        write_raster(path, pixels, crs=crs, transform=transform, compress="deflate")
        scenes.append(RasterScene(path))
        return scenes[-1]

    yield at
    for scene in scenes:
        scene.close()


@pytest.fixture(scope="module")
def results(scene_at, tmp_path_factory):
    """Both rasters, open, of a scene with every level in it."""
    folder = tmp_path_factory.mktemp("results")
    paths = written(scene_at("north up"), folder, levels_with_every_value())
    with rasterio.open(paths[0]) as probability, rasterio.open(paths[1]) as mask:
        yield probability, mask


def test_both_are_valid_cloud_optimized_geotiffs(results):
    for raster in results:
        valid, errors, warnings = cog_validate(raster.name, strict=True)
        assert (valid, errors, warnings) == (True, [], [])
        assert raster.overviews(1), "larger than a block, so there are overviews"


def test_both_are_bytes_with_nodata_255_named_as_documented(results):
    for raster, name in zip(results, ("probability.tif", "mask.tif"), strict=True):
        assert raster.name.endswith(f"/{name}")
        assert raster.dtypes == ("uint8",)
        assert raster.nodata == 255
        assert raster.shape == (HEIGHT, WIDTH)


def test_the_probability_holds_the_levels(results):
    probability, _ = results
    np.testing.assert_array_equal(probability.read(), levels_with_every_value())
    assert probability.scales == (1 / 254,)
    assert probability.descriptions == ("probability of road",)


def test_the_mask_is_1_exactly_from_level_127_on(results):
    levels = levels_with_every_value()[0]
    mask = results[1].read(1)
    assert set(mask[levels == 126]) == {0}
    assert set(mask[levels == 127]) == {1}
    np.testing.assert_array_equal(mask == 1, (levels >= 127) & (levels < 255))
    np.testing.assert_array_equal(mask == 255, levels == 255)
    assert results[1].descriptions == ("class",)


def test_the_tags_are_in_both(results):
    for raster in results:
        assert TAGS.items() <= raster.tags().items()


def test_missing_pixels_do_not_bleed_into_overviews(scene_at, tmp_path):
    levels = np.full((1, HEIGHT, WIDTH), 100, np.uint8)
    levels[:, 123:456, 77:899] = 255
    for path in written(scene_at(), tmp_path, levels):
        with opened(path) as raster:
            smaller = raster.read(1, out_shape=(HEIGHT // 2, WIDTH // 2))
        assert set(np.unique(smaller)) == ({100, 255} if "prob" in path.name else {0, 255})


def test_a_probability_seen_from_afar_is_the_mean_of_its_pixels(scene_at, tmp_path):
    levels = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    levels[:, :, ::2] = 200
    with opened(written(scene_at(), tmp_path, levels)[0]) as raster:
        assert set(np.unique(raster.read(1, out_shape=(HEIGHT // 2, WIDTH // 2)))) == {100}


@pytest.mark.parametrize("place", PLACES)
def test_both_lie_exactly_where_the_scene_lies(scene_at, tmp_path, place):
    scene = scene_at(place)
    for path in written(scene, tmp_path, levels_with_every_value()):
        with rasterio.open(path) as raster:
            assert raster.crs == scene.crs == CRS.from_user_input(PLACES[place][0])
            assert tuple(raster.transform) == tuple(scene.transform) == tuple(PLACES[place][1])


def test_a_scene_without_coordinates_gives_rasters_without(scene_at, tmp_path):
    for path in written(scene_at(), tmp_path, levels_with_every_value()):
        with opened(path) as raster:
            assert raster.crs is None
            assert raster.transform == Affine.identity()


def test_another_threshold_moves_the_mask_alone(scene_at, results, tmp_path):
    paths = written(scene_at("north up"), tmp_path, levels_with_every_value(), threshold=200)
    with rasterio.open(paths[0]) as probability, rasterio.open(paths[1]) as mask:
        np.testing.assert_array_equal(probability.read(), results[0].read())
        levels = probability.read(1)
        np.testing.assert_array_equal(mask.read(1) == 1, (levels >= 200) & (levels < 255))


def test_the_cut_into_parts_does_not_show_in_the_files(scene_at, results, tmp_path):
    paths = written(scene_at("north up"), tmp_path, levels_with_every_value(), part_size=97)
    for path, raster in zip(paths, results, strict=True):
        with rasterio.open(path) as other:
            np.testing.assert_array_equal(other.read(), raster.read())


def test_every_foreground_class_has_a_band(scene_at, tmp_path):
    levels = levels_with_every_value(bands=2)
    probability, _ = written(scene_at(), tmp_path, levels, classes=("artery", "vein"))
    with opened(probability) as raster:
        np.testing.assert_array_equal(raster.read(), levels)
        assert raster.descriptions == ("probability of artery", "probability of vein")


def test_only_the_two_rasters_are_left(scene_at, tmp_path):
    written(scene_at(), tmp_path / "new" / "folder", levels_with_every_value())
    left = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert left == ["mask.tif", "probability.tif"]


# When something goes wrong.


def fail_after_a_part(sink, error):
    with sink.collecting():
        sink.write(Window(0, 0, 300, 300), np.zeros((1, 300, 300), np.uint8))
        raise error


@pytest.mark.parametrize("error", [SceneError("scene.tif: damaged"), RuntimeError("no memory")])
def test_after_an_error_nothing_is_left(scene_at, tmp_path, error):
    sink = RasterSink(tmp_path / "out", scene_at(), ("road",), TAGS)
    with pytest.raises(type(error), match=str(error)):
        fail_after_a_part(sink, error)
    assert list(tmp_path.iterdir()) == []


def test_after_an_error_what_was_there_is_still_there(scene_at, tmp_path):
    scene = scene_at()
    paths = written(scene, tmp_path, levels_with_every_value())
    (tmp_path / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in paths}
    sink = RasterSink(tmp_path, scene, ("road",), TAGS)
    with pytest.raises(KeyboardInterrupt):
        fail_after_a_part(sink, KeyboardInterrupt())
    assert {path: path.read_bytes() for path in paths} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mask.tif", "notes.txt", "probability.tif",
    ]  # fmt: skip


def test_what_a_killed_run_left_is_not_taken_for_a_part(scene_at, tmp_path):
    scene = scene_at()
    killed = RasterSink(tmp_path, scene, ("road",), TAGS)
    parts = list(split(HEIGHT, WIDTH, 700))
    never_left = killed.collecting()
    never_left.__enter__()
    killed.write(parts[1], np.zeros((1, 700, 400), np.uint8))
    assert list(tmp_path.rglob("*"))
    again = RasterSink(tmp_path, scene, ("road",), TAGS)
    with again.collecting():
        again.write(parts[0], np.zeros((1, 700, 700), np.uint8))
        with pytest.raises(FileNotFoundError):
            again.finish(parts, 127)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", [(), ("deeper", "still")])
def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(scene_at, tmp_path, inside):
    (tmp_path / "taken").write_text("a file")
    folder = (tmp_path / "taken").joinpath(*inside)
    with pytest.raises(SinkError) as caught:
        written(scene_at(), folder, levels_with_every_value())
    assert isinstance(caught.value, TilingError)
    assert isinstance(caught.value, OSError)
    assert str(caught.value).startswith(f"{folder}: ")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "taken").read_text() == "a file"


FULL_DISK = """
import json, resource, sys
from pathlib import Path
import numpy as np
from tiling.errors import SinkError
from tiling.scene import RasterScene
from tiling.sink import RasterSink
from tiling.window import split

scene = RasterScene(sys.argv[1])
levels = np.random.default_rng(0).integers(0, 255, (1, scene.height, scene.width), np.uint8)
parts = list(split(scene.height, scene.width, 256))

def write(folder):
    sink = RasterSink(Path(folder), scene, ("road",), {})
    with sink.collecting():
        for part in parts:
            sink.write(part, levels[:, *part.slices()])
        return sink.finish(parts, 127)

size = write(sys.argv[2] + "/enough")[0].stat().st_size
outcomes = []
for share in (0.01, 0.3, 0.75, 0.95, 0.999):
    folder = Path(sys.argv[2] + f"/full{share}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), resource.RLIM_INFINITY))
    try:
        write(folder)
        outcomes.append([share, "no error", True])
    except SinkError as error:
        outcomes.append([share, str(error), folder.exists()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
print(json.dumps(outcomes))
"""


def test_a_disk_that_fills_up_at_any_moment_leaves_nothing(scene_at, tmp_path):
    pytest.importorskip("resource", reason="a limit of file size stands for a full disk")
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, scene_at("north up").name, str(tmp_path)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    outcomes = json.loads(result.stdout.splitlines()[-1])
    assert len(outcomes) == 5
    for share, message, left in outcomes:
        assert message.startswith(f"{tmp_path}/full{share}: cannot be written")
        assert "\n" not in message
        assert not left
