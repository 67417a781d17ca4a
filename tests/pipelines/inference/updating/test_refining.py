"""Changed tiles that start from an earlier mask: one step, or all where that mask is wrong."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from pipelines.datasets.synthetic import draw_road_scene
from pipelines.inference.stepping.refining import ALL_STEPS, from_earlier, starting_levels
from pipelines.inference.updating.change import changed_classes
from pipelines.models import stopping
from rurnet.registry import create
from tests.pipelines.inference.commands import rasters
from tests.pipelines.inference.updating.predicting import prediction_of, read

SMALL = {"tile": 128, "overlap": 32, "part_size": 128, "device": "cpu"}
predicted = partial(prediction_of, **SMALL)
SIDE = 300
TILES = 9


@pytest.fixture(scope="module")
def folder(write_raster, tmp_path_factory):
    """A scene, brighter, with a corner of another scene, and elsewhere; and its result."""
    folder = tmp_path_factory.mktemp("scenes")
    pixels, _, _ = draw_road_scene(SIDE, SIDE, seed=4)
    other, _, _ = draw_road_scene(SIDE, SIDE, seed=9)
    cornered = pixels.copy()
    cornered[:, :120, :120] = other[:, :120, :120]
    write_raster(folder / "before/s.tif", pixels)
    write_raster(folder / "brighter/s.tif", np.minimum(pixels + 9, 255).astype(np.uint8))
    write_raster(folder / "cornered/s.tif", cornered)
    with rasterio.open(folder / "before/s.tif") as file:
        profile = file.profile
    profile["transform"] = profile["transform"] @ Affine.translation(10, 6)
    profile |= {"height": SIDE - 6, "width": SIDE - 10}
    (folder / "elsewhere").mkdir()
    with rasterio.open(folder / "elsewhere/s.tif", "w", **profile) as file:
        file.write(pixels[:, 6:, 10:])
    predicted(folder / "before/s.tif", folder / "earlier")
    return folder


@pytest.fixture
def no_gate(tmp_path, monkeypatch):
    """The drawn scenes are not what the gate was measured on: here no tile reaches it."""
    gates = dict.fromkeys(json.loads(stopping._GATES.read_text()), 1_000_000)
    (tmp_path / "gates.json").write_text(json.dumps(gates))
    monkeypatch.setattr(stopping, "_GATES", tmp_path / "gates.json")


@pytest.mark.usefixtures("no_gate")
def test_a_brighter_scene_takes_one_step_from_the_earlier_mask(folder, tmp_path):
    scene = predicted(folder / "brighter/s.tif", tmp_path, from_run=folder / "earlier")
    assert (scene.updated.taken, scene.updated.refined) == (0, TILES)


def test_tiles_with_other_content_start_anew(folder, tmp_path):
    scene = predicted(folder / "cornered/s.tif", tmp_path, from_run=folder / "earlier")
    assert scene.updated.cold >= 1
    assert scene.updated.taken == 5
    anew = tmp_path / "anew"
    predicted(folder / "cornered/s.tif", anew)
    # Only the first tile touches these pixels.
    assert (read(tmp_path / "s/mask.tif")[:96, :96] == read(anew / "s/mask.tif")[:96, :96]).all()


@pytest.mark.parametrize("scene", ["brighter", "cornered"])
@pytest.mark.parametrize("cut", [{"part_size": 2000}, {"batch": 16}])
def test_the_cut_does_not_change_a_byte(folder, tmp_path, scene, cut):
    asked = {"from_run": folder / "earlier"}
    predicted(folder / scene / "s.tif", tmp_path / "one", **asked)
    predicted(folder / scene / "s.tif", tmp_path / "other", **asked, **cut)
    assert rasters(tmp_path / "one/s") == rasters(tmp_path / "other/s")


@pytest.mark.usefixtures("no_gate")
def test_a_scene_on_another_grid_starts_from_the_warped_mask(folder, tmp_path):
    scene = predicted(folder / "elsewhere/s.tif", tmp_path, from_run=folder / "earlier")
    assert (scene.updated.taken, scene.updated.refined) == (0, TILES)
    change = read(tmp_path / "s/change.tif")
    old, new = read(folder / "earlier/s/mask.tif")[6:, 10:], read(tmp_path / "s/mask.tif")
    assert (change == changed_classes(old, new)).all()


@pytest.mark.usefixtures("no_gate")
def test_a_finer_scene_starts_from_a_mask_of_another_grid(folder, tmp_path):
    with rasterio.open(folder / "before/s.tif") as file:
        pixels, profile = file.read(), file.profile
    profile["transform"] = profile["transform"] @ Affine.scale(0.5)
    profile |= {"height": 2 * SIDE, "width": 2 * SIDE}
    with rasterio.open(tmp_path / "s.tif", "w", **profile) as file:
        file.write(pixels.repeat(2, axis=1).repeat(2, axis=2))
    made = predicted(tmp_path / "s.tif", tmp_path / "out", from_run=folder / "earlier")
    assert (made.updated.taken, made.updated.refined) == (0, TILES)
    old, new = (read(one / "s/mask.tif") for one in (folder / "earlier", tmp_path / "out"))
    assert new.shape == (2 * SIDE, 2 * SIDE)
    assert (new == old.repeat(2, axis=0).repeat(2, axis=1)).mean() > 0.95
    change = read(tmp_path / "out/s/change.tif")
    assert (change == changed_classes(old.repeat(2, axis=0).repeat(2, axis=1), new)).all()


def test_lines_that_were_added_and_removed_are_written(folder, tmp_path):
    earlier = tmp_path / "earlier"
    shutil.copytree(folder / "earlier", earlier)
    predicted(folder / "before/s.tif", earlier, lines=True)
    made = predicted(folder / "cornered/s.tif", tmp_path / "out", lines=True, from_run=earlier)
    assert made.files["changes"].is_file()
    assert not [*earlier.rglob("*.aux.xml"), *(tmp_path / "out").rglob("*.aux.xml")]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return create("dru-4", steps=3).eval()


@torch.inference_mode()
def test_a_gate_of_everything_takes_one_step_and_one_of_nothing_all(network):
    image, mask = torch.rand(3, 3, 64, 64), torch.rand(3, 1, 64, 64)
    start = torch.cat([1 - mask, mask], dim=1)
    there = torch.ones(3, 1, 64, 64, dtype=torch.bool)

    def refined(gate):
        return from_earlier(
            network, image, there, start, 3, ALL_STEPS, gate, 4, same_size=False
        )  # fmt: skip

    warm, cold = refined(1_000_000), refined(-1)
    [one] = network.unroll(image, network.initial_state(image, start), 1)
    assert torch.equal(warm.stepped.every[-1], one.softmax(dim=1)[:, 1:])
    assert warm.stepped.taken.tolist() == [1, 1, 1]
    assert not warm.cold.any()
    every = network(image, 3)
    assert torch.equal(cold.stepped.every[-1], every[-1].softmax(dim=1)[:, 1:])
    assert cold.cold.all()


def test_levels_become_masks_and_missing_ones_are_of_any_class():
    mask = starting_levels(torch.tensor([[[[0, 127, 254, 255]]]], dtype=torch.uint8))
    assert mask[0, 1, 0].tolist() == [0, 0.5, 1, 0.5]
    assert mask.sum(dim=1).unique().tolist() == [1]


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [(0, 0, 0), (1, 1, 0), (0, 2, 1), (1, 0, 2), (1, 2, 3), (255, 1, 255), (0, 255, 255)],
)
def test_changes_of_classes(before, now, change):
    assert changed_classes(np.array([before], np.uint8), np.array([now], np.uint8)) == change
