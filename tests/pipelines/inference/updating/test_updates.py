"""Results that are brought up to date: what has not changed is taken over, bit for bit."""

import shutil
from functools import partial

import numpy as np
import pytest

from pipelines.datasets.synthetic import draw_road_scene
from tests.pipelines.inference.commands import rasters
from tests.pipelines.inference.updating.predicting import prediction_of, read

SMALL = {"tile": 64, "overlap": 16, "part_size": 128, "device": "cpu"}
predicted = partial(prediction_of, **SMALL)
SIDE = 300


@pytest.fixture(scope="module")
def drawn():
    return draw_road_scene(SIDE, SIDE, seed=4)[0]


@pytest.fixture(scope="module")
def other():
    return draw_road_scene(SIDE, SIDE, seed=9)[0]


@pytest.fixture(scope="module")
def changed(drawn, other):
    """The same scene with a corner of another one."""
    pixels = drawn.copy()
    pixels[:, :90, :100] = other[:, :90, :100]
    return pixels


@pytest.fixture(scope="module")
def folder(drawn, changed, write_raster, tmp_path_factory):
    """Scenes of one name, in folders `before` and `after`."""
    folder = tmp_path_factory.mktemp("scenes")
    write_raster(folder / "before/s.tif", drawn)
    write_raster(folder / "after/s.tif", changed)
    return folder


@pytest.fixture(scope="module")
def weights(roads_weights):
    return {"model": [str(roads_weights)], "steps": 2}


@pytest.fixture(scope="module")
def earlier(folder, weights):
    predicted(folder / "before/s.tif", folder / "earlier", **weights)
    return folder / "earlier"


@pytest.fixture(scope="module")
def anew(folder, weights):
    predicted(folder / "after/s.tif", folder / "anew", **weights)
    return rasters(folder / "anew/s")


def test_an_unchanged_scene_is_taken_over_whole(folder, earlier, weights, tmp_path):
    scene = predicted(folder / "before/s.tif", tmp_path / "out", **weights, from_run=earlier)
    assert (scene.updated.taken, scene.updated.cold, scene.computed) == (36, 0, 0)
    made = rasters(tmp_path / "out/s")
    assert not read(tmp_path / "out/s/change.tif").any()
    del made["change.tif"]
    assert made == rasters(earlier / "s")


def test_a_copy_of_the_file_is_unchanged_too(folder, earlier, weights, tmp_path):
    shutil.copy(folder / "before/s.tif", tmp_path / "s.tif")
    scene = predicted(tmp_path / "s.tif", tmp_path / "out", **weights, from_run=earlier)
    assert scene.updated.taken == scene.tiles


def test_weights_without_a_gate_give_changed_tiles_what_a_new_run_gives(
    folder, earlier, anew, weights, tmp_path
):
    scene = predicted(folder / "after/s.tif", tmp_path / "out", **weights, from_run=earlier)
    assert (scene.updated.refined, scene.updated.cold) == (0, 6)
    made = read(tmp_path / "out/s/probability.tif")
    before = read(earlier / "s/probability.tif")
    # Beyond the tiles that the corner lies in.
    assert (made[160:] == before[160:]).all()
    assert (made[:, 160:] == before[:, 160:]).all()
    new = read(folder / "anew/s/probability.tif")
    # Where no tile that was taken over reaches.
    assert (made[:90, :96] == new[:90, :96]).all()
    assert (new[160:] == before[160:]).all()


@pytest.mark.parametrize("cut", [{"part_size": 64}, {"part_size": 2000}, {"batch": 7}])
def test_the_cut_does_not_change_a_byte(folder, earlier, weights, tmp_path, cut):
    asked = weights | {"from_run": earlier}
    predicted(folder / "after/s.tif", tmp_path / "one", **asked)
    predicted(folder / "after/s.tif", tmp_path / "other", **asked | cut)
    assert rasters(tmp_path / "one/s") == rasters(tmp_path / "other/s")


def test_changes_are_those_of_the_masks(folder, earlier, weights, tmp_path):
    predicted(folder / "after/s.tif", tmp_path / "out", **weights, from_run=earlier)
    old, new = read(earlier / "s/mask.tif"), read(tmp_path / "out/s/mask.tif")
    change = read(tmp_path / "out/s/change.tif")
    assert (
        change == np.where((old == 0) & (new == 1), 1, np.where((old == 1) & (new == 0), 2, 0))
    ).all()
    assert set(np.unique(change)) == {0, 1, 2}


def test_a_scene_that_the_network_sees_at_another_scale_keeps_what_has_not_changed(
    folder, weights, tmp_path
):
    asked = weights | {"gsd": 1.5}
    predicted(folder / "before/s.tif", tmp_path / "before", **asked)
    scene = predicted(
        folder / "after/s.tif", tmp_path / "out", **asked, from_run=tmp_path / "before"
    )
    assert 0 < scene.updated.taken < scene.tiles
    made, before = (read(tmp_path / one / "s/probability.tif") for one in ("out", "before"))
    assert made.shape == before.shape == (SIDE, SIDE)
    assert (made[250:] == before[250:]).all()
    assert (made[:90, :90] != before[:90, :90]).any()
    other = predicted(
        folder / "after/s.tif", tmp_path / "cut", **asked, from_run=tmp_path / "before",
        part_size=64,
    )  # fmt: skip
    assert other.updated == scene.updated
    assert rasters(tmp_path / "cut/s") == rasters(tmp_path / "out/s")


def test_another_threshold_makes_another_mask_of_the_same_probabilities(
    folder, earlier, weights, tmp_path
):
    asked = weights | {"from_run": earlier, "threshold": 0.4}
    made = predicted(folder / "before/s.tif", tmp_path / "out", **asked)
    assert made.computed == 0
    probability, mask = (read(tmp_path / f"out/s/{one}.tif") for one in ("probability", "mask"))
    assert (probability == read(earlier / "s/probability.tif")).all()
    # Levels go up to 254.
    assert (mask == (probability >= 0.4 * 254)).all()
