"""Scenes of another pixel size, and scenes of which a part is white, in training."""

import numpy as np
import pytest

from pipelines.datasets.examples import checked_contents
from pipelines.inputs.discovery import aerial_input
from pipelines.inputs.opening import Reading
from pipelines.sampling.sources import SceneSource
from tiling.window import Window

SIDE = 120


@pytest.fixture
def striped(tmp_path, write_raster):
    """A scene of 120 pixels with a road of 12 across; written as a function of its reading."""
    road = np.zeros((SIDE, SIDE), bool)
    road[48:60] = True
    image = write_raster(tmp_path / "a.tif", np.stack([np.where(road, 200, 50)] * 3).astype("u1"))
    label = write_raster(tmp_path / "b.tif", (road * 255).astype(np.uint8)[None])
    return lambda reading, **options: SceneSource(
        aerial_input(str(image), label, reading), **options
    )


def width_of_road(label):
    return int((label[0] == 1).sum(axis=0).max())


def test_the_network_sees_a_scene_at_its_own_pixel_size(striped):
    source = striped(Reading(pixel_told=0.5, gsd=2.0))
    assert source.shape() == (30, 30)
    sample = source.read(Window(0, 0, 30, 30))
    assert sample["image"].shape == (3, 30, 30)
    np.testing.assert_array_equal(sample["label"][0, :, 4] == 1, (np.arange(30) // 3) == 4)
    assert sample["image"][0, 13, 4] > 190


def test_windows_of_a_scaled_scene_fit_together(striped):
    source = striped(Reading(pixel_told=0.5, gsd=1.0))
    whole = source.read(Window(0, 0, 60, 60))
    part = source.read(Window(20, 10, 20, 30))
    np.testing.assert_array_equal(part["image"], whole["image"][:, 20:40, 10:40])
    np.testing.assert_array_equal(part["label"], whole["label"][:, 20:40, 10:40])


def test_crops_are_cut_at_every_scale_between_the_two_that_are_told(striped):
    source = striped(Reading(), scales=(0.5, 2.0))
    widths = {
        width_of_road(crop["label"])
        for seed in range(60)
        if (crop := source.crop(48, np.random.default_rng(seed)))["label"][0, 0, 0] == 0
        and crop["label"][0, -1, 0] == 0
    }
    assert min(widths) <= 7
    assert max(widths) >= 20
    # What is past the scene's border is missing.
    small = striped(Reading(), scales=(0.25, 0.25)).crop(48, np.random.default_rng(0))
    assert small["valid"].sum() == 30 * 30


def test_crops_look_for_the_roads_that_can_be_seen(tmp_path, write_raster):
    pixels = np.full((3, SIDE, SIDE), 60, np.uint8)
    pixels[:, :, 40:] = 255
    roads = np.zeros((1, SIDE, SIDE), np.uint8)
    roads[:, ::3, 40:] = 255
    roads[:, 50:54, :40] = 255
    image = write_raster(tmp_path / "edge.tif", pixels)
    label = write_raster(tmp_path / "edge_label.tif", roads)
    source = SceneSource(aerial_input(str(image), label, Reading(white_is_nodata=True)))
    crops = [source.crop(32, np.random.default_rng(seed)) for seed in range(60)]
    there = np.mean([(crop["label"] == 1).any() for crop in crops])
    # One place in six sees the one road, and four of five crops choose among four places.
    assert 0.38 < there < 0.6


def test_the_contents_of_a_scaled_scene_are_of_its_own_pixels_and_its_tiles_of_the_seen(striped):
    whole = checked_contents(striped(Reading()), "road")
    scaled = checked_contents(striped(Reading(pixel_told=0.5, gsd=2.0)), "road")
    assert scaled.classes.tolist() == whole.classes.tolist() == [108 * 120, 12 * 120]
    assert (scaled.pixels, scaled.digest) == (whole.pixels, whole.digest)
    assert whole.labelled == (Window(0, 0, SIDE, SIDE),)
    assert scaled.labelled == (Window(0, 0, 30, 30),)
