"""Scales that nobody can mean, and what is held in memory where they are asked for."""

import numpy as np
import pytest
from affine import Affine

from pipelines.config.inference import InferRoads, PredictionSettings
from pipelines.errors import DataError
from pipelines.inference.rasters import assemble
from pipelines.inference.run import infer_roads
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.opening import Reading
from pipelines.results.progress import Silence
from tiling.grid import Grid
from tiling.scenes.resample import ResampledScene
from tiling.store import Blended, PartStore
from tiling.window import Window

UTM = "EPSG:32632"


def scene_of(write_raster, path, side, size=(120, 160), crs=UTM, x=500_000, y=5_000_000):
    pixels = np.random.default_rng(1).integers(1, 250, (3, *size)).astype(np.uint8)
    return write_raster(path, pixels, crs=crs, transform=Affine(side, 0, x, 0, -side, y))


def opened_size(path, **reading):
    [item] = road_inputs([str(path)], None, Reading(**reading))
    with item.open() as opened:
        return opened.seen.height, opened.seen.width


@pytest.mark.parametrize(
    ("side", "gsd", "factor"),
    [
        (1e-5, 1.0, "1e+05"),  # Degrees, but the CRS says metres.
        (1.0, 1000.0, "1e+03"),
        (1.0, 8.5, "8.5"),
        (10.0, 1.0, "10"),
        (30.0, 1.0, "30"),
    ],
)
def test_a_scale_beyond_8_ends_the_scene_unless_it_is_asked_for(
    write_raster, tmp_path, side, gsd, factor
):
    path = scene_of(write_raster, tmp_path / "s.tif", side)
    with pytest.raises(DataError, match=r"s\.tif: .*--pixel-size.*--any-scale") as error:
        opened_size(path, gsd=gsd)
    assert f"a factor of {factor};" in str(error.value)
    assert f"a pixel is {side:.3g} m" in str(error.value)
    height, width = opened_size(path, gsd=gsd, any_scale=True)
    assert height == max(1, round(120 * side / gsd))
    assert width == max(1, round(160 * side / gsd))


@pytest.mark.parametrize("side", [0.126, 7.9])
def test_a_scale_of_up_to_8_needs_no_word(write_raster, tmp_path, side):
    path = scene_of(write_raster, tmp_path / "s.tif", side)
    assert opened_size(path, gsd=1.0) == (round(120 * side), round(160 * side))


def test_one_side_alone_may_be_beyond_it(write_raster, tmp_path):
    pixels = np.full((3, 120, 160), 9, np.uint8)
    place = Affine(20, 0, 500_000, 0, -1, 5_000_000)
    path = write_raster(tmp_path / "s.tif", pixels, crs=UTM, transform=place)
    with pytest.raises(DataError, match=r"1 m \(down\) by 20 m \(across\).*factor of 20;"):
        opened_size(path, gsd=1.0)


def test_the_remedies_work_and_the_other_scenes_are_done(write_raster, tmp_path, roads_weights):
    wrong = scene_of(write_raster, tmp_path / "wrong.tif", 1e-5, x=9, y=47)
    right = scene_of(write_raster, tmp_path / "right.tif", 1.0)
    settings = InferRoads(
        scenes=[str(wrong), str(right)], model=[str(roads_weights)], tile=64, overlap=16, batch=2,
        steps=1, device="cpu", output=tmp_path / "out",
    )  # fmt: skip
    result = infer_roads(settings, Silence())
    assert [failure.input for failure in result.failed] == [str(wrong)]
    assert [scene.name for scene in result.report.scenes] == ["right"]
    planned = infer_roads(settings.model_copy(update={"dry_run": True}), Silence())
    assert [failure.error for failure in planned.failed] == [result.failed[0].error]
    remedied = settings.model_copy(update={"pixel_size": 1.0, "output": tmp_path / "told"})
    done = infer_roads(remedied, Silence())
    assert not done.failed
    assert [scene.seen for scene in done.report.scenes] == [(120, 160), (120, 160)]


MOST = 2048 + 4 * 10
"""Side of a window with the pixels around it that a filter of factor 10 needs."""


def test_a_window_is_made_of_pieces_whose_sources_fit_into_memory(
    write_raster, tmp_path, roads_model
):
    class Counted(PartStore):
        """A store that notes what is asked of it; there is no road anywhere."""

        asked: list[Window] = []  # noqa: RUF012

        def read(self, window):
            self.asked.append(window)
            return Blended(np.zeros((1, window.height, window.width), np.uint8), None)

    path = scene_of(write_raster, tmp_path / "s.tif", 10.0, (310, 420))
    store = Counted(tmp_path, Grid(3100, 4200, 512, 128), (), 1)
    [item] = road_inputs([str(path)], None, Reading(gsd=1.0, any_scale=True))
    with item.open() as opened:
        assert (opened.seen.height, opened.seen.width) == (3100, 4200)
        assemble(opened, store, tmp_path, [roads_model], PredictionSettings())
    assert max(max(window.height, window.width) for window in store.asked) <= MOST
    assert sum(window.pixels for window in store.asked) < 1.1 * 3100 * 4200


@pytest.mark.parametrize("size", [(31, 42), (62, 42)])
def test_a_finer_scene_is_read_in_pieces_too(size):
    class Counted:
        name, bands, dtype = "counted", 1, np.dtype(np.uint8)
        height, width = 3100, 4200
        largest = 0

        def read(self, window):
            self.largest = max(self.largest, window.height, window.width)
            shape = window.height, window.width
            return np.full((1, *shape), 7, np.uint8), np.ones(shape, bool)

    scene = Counted()
    pixels, valid = ResampledScene(scene, *size).read(Window(0, 0, *size))
    assert scene.largest <= 2048 + 4 * 100
    assert (pixels == 7).all()
    assert valid.all()
