"""Pictures of scenes show what was scored."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pipelines.datasets.synthetic import draw_road_scene
from pipelines.inputs.labels import Labelling
from pipelines.report.previews import _coarse
from pipelines.results.levels import open_levels
from pipelines.results.outcome import SceneOutcome
from tests.pipelines.report.pictures import (
    HEIGHT,
    WIDTH,
    decoded,
    flat_levels,
    greys,
    noise,
    picture_of,
)


def test_a_small_scene_is_shown_at_full_resolution(outcome_of):
    image, roads, _ = draw_road_scene(HEIGHT, WIDTH, 0)
    steps = [noise((HEIGHT, WIDTH), seed) for seed in (1, 2, 3)]
    picture = picture_of(outcome_of(image, *steps, label=roads))
    assert (picture.height, picture.width, picture.scale) == (HEIGHT, WIDTH, 1.0)
    assert picture.threshold_level == 127
    assert decoded(picture.image).shape == (HEIGHT, WIDTH, 3)
    assert greys(picture.label).shape == (HEIGHT, WIDTH)
    assert len(picture.steps) == 3
    for shown, levels in zip(picture.steps, steps, strict=True):
        np.testing.assert_array_equal(greys(shown) >= 127, levels >= 127)
        assert np.abs(greys(shown).astype(int) - levels).max() <= 16
    np.testing.assert_array_equal(greys(picture.label), roads * 254)
    assert np.abs(np.moveaxis(decoded(picture.image), -1, 0).astype(int) - image).mean() < 12


def test_every_level_stays_on_its_side_of_every_threshold():
    levels = np.arange(256, dtype=np.uint8)
    for threshold in range(1, 255):
        coarse = _coarse(levels, threshold)
        assert coarse[255] == 255
        assert (coarse[:255] < 255).all()
        np.testing.assert_array_equal(coarse[:255] >= threshold, levels[:255] >= threshold)
        assert np.abs(coarse.astype(int) - levels).max() <= 16
        assert (np.diff(coarse.astype(int)) >= 0).all()
        assert len(np.unique(coarse)) <= 19


@pytest.mark.parametrize("threshold", [1, 4, 8, 127, 128, 153, 254])
def test_the_picture_has_what_the_raster_has_on_each_side_of_the_threshold(outcome_of, threshold):
    levels = np.arange(256, dtype=np.uint8).repeat(2).reshape(16, 32)
    outcome = outcome_of(noise((3, 16, 32)), levels)
    shown = greys(picture_of(outcome, threshold).steps[0])
    with open_levels(outcome.files["probability"]) as raster:
        [written] = raster.overview(64)
    np.testing.assert_array_equal(written, levels)
    np.testing.assert_array_equal(shown == 255, levels == 255)
    there = levels != 255
    np.testing.assert_array_equal((shown >= threshold)[there], (levels >= threshold)[there])


def test_label_pixels_are_background_foreground_or_left_out(outcome_of):
    label = noise((HEIGHT, WIDTH), 3, top=4)
    outcome = outcome_of(
        noise((3, HEIGHT, WIDTH)), flat_levels(), label=label, labelling=Labelling(ignore=(3,))
    )
    shown = greys(picture_of(outcome).label)
    np.testing.assert_array_equal(shown == 0, label == 0)
    np.testing.assert_array_equal(shown == 254, (label == 1) | (label == 2))
    np.testing.assert_array_equal(shown == 255, label == 3)


def test_several_classes_are_shown_as_one_foreground_as_they_are_scored(outcome_of):
    levels = np.stack([noise((HEIGHT, WIDTH), seed, top=130) for seed in (1, 2)])
    levels[:, :9] = 255
    label = noise((HEIGHT, WIDTH), 3, top=3)
    outcome = outcome_of(
        noise((3, HEIGHT, WIDTH)), levels, label=label, labelling=Labelling(classes=3)
    )
    picture = picture_of(outcome)
    shown = greys(picture.steps[0])
    together = levels[:, 9:].sum(axis=0, dtype=int)
    assert (together > 254).any()
    np.testing.assert_array_equal(shown[9:] >= 127, together >= 127)
    assert (shown[9:] != 255).all()
    assert (shown[:9] == 255).all()
    np.testing.assert_array_equal(greys(picture.label), (label > 0) * 254)


def test_probabilities_of_floats_and_of_another_tool_are_shown_too(outcome_of, write_raster):
    outcome = outcome_of(noise((3, HEIGHT, WIDTH)), flat_levels())
    probability = np.random.default_rng(0).random((1, HEIGHT, WIDTH)).astype(np.float32)
    probability[:, :9] = np.nan
    path = write_raster(Path(outcome.source).parent / "theirs.tif", probability, nodata=np.nan)
    shown = greys(picture_of(replace(outcome, files={"probability": path})).steps[0])
    assert (shown[:9] == 255).all()
    np.testing.assert_array_equal(shown[9:] >= 127, probability[0, 9:] >= 0.5)


def test_what_lies_outside_the_field_of_view_is_missing(outcome_of):
    field = noise((HEIGHT, WIDTH), 5, top=2) > 0
    outcome = outcome_of(noise((3, HEIGHT, WIDTH)), noise((HEIGHT, WIDTH), 1, top=255))
    outcome = replace(outcome, open_raster=partial(open_levels, field=field))
    np.testing.assert_array_equal(greys(picture_of(outcome).steps[0]) == 255, ~field)


def same_but_for_loss(shown, expected):
    """Whether pixels are the same as far as an encoder with loss lets one see."""
    difference = shown.astype(float) - expected
    assert np.abs(difference).mean() < 8
    assert abs(difference.mean()) < 2


def ramps(bands, top, dtype="uint8"):
    """Smooth bands that differ, which an encoder with loss hardly changes [bands, h, w]."""
    across, down = np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT)[:, None]
    kinds = (across + 0 * down, down + 0 * across, 1 - across + 0 * down, (across + down) / 2)
    return (np.stack([kinds[band % 4] for band in range(bands)]) * top).astype(dtype)


def test_the_bands_that_were_chosen_are_shown(outcome_of):
    four = ramps(4, 255)
    outcome = outcome_of(four, flat_levels())
    shown = decoded(picture_of(outcome, bands=(4, 3, 2)).image)
    same_but_for_loss(shown, np.moveaxis(four[[3, 2, 1]], 0, -1))
    same_but_for_loss(decoded(picture_of(outcome).image), np.moveaxis(four[:3], 0, -1))


@pytest.mark.parametrize("bands", [1, 2])
def test_a_scene_of_one_or_two_bands_is_shown_grey(outcome_of, bands):
    grey = ramps(bands, 255)
    shown = decoded(picture_of(outcome_of(grey, flat_levels())).image)
    same_but_for_loss(shown, grey[0][..., None])
    assert np.ptp(shown.astype(int), axis=-1).max() <= 6


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_other_types_are_stretched_from_the_2nd_to_the_98th_percentile(outcome_of, dtype):
    values = ramps(3, 1, "float64") * 900 - 90
    values = (values if dtype != "uint16" else values + 90).astype(dtype)
    values[:, :30] = 30_000
    values[:, -1, :60] = 20_000  # Less than two in a hundred: all else keeps its contrast.
    levels = flat_levels()
    levels[:30] = 255  # What is not there has no say.
    shown = np.moveaxis(decoded(picture_of(outcome_of(values, levels)).image), -1, 0)
    there = values[:, 30:]
    ends = np.percentile(there, (2, 98))
    same_but_for_loss(shown[:, 34:], np.interp(there[:, 4:], ends, (0, 255)))
    assert (shown[:, 34:] <= 8).mean() > 0.01
    assert (shown[:, 34:] >= 247).mean() > 0.01


def test_bytes_are_shown_as_they_are(outcome_of):
    dark = ramps(3, 40)
    shown = decoded(picture_of(outcome_of(dark, flat_levels())).image)
    same_but_for_loss(shown, np.moveaxis(dark, 0, -1))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("there", [True, False])
def test_a_scene_of_one_value_or_without_a_pixel_can_be_shown(outcome_of, dtype, there):
    levels = np.full((HEIGHT, WIDTH), 0 if there else 255, np.uint8)
    value = np.nan if dtype == "float32" and not there else 1
    picture = picture_of(outcome_of(np.full((3, HEIGHT, WIDTH), value, dtype), levels))
    assert decoded(picture.image).shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(greys(picture.steps[0]), levels)


@pytest.mark.parametrize(("size", "scale"), [((80, 120), 1.0), ((1000, 1400), 0.5)])
def test_an_ome_tiff_is_shown_too(write_levels, tmp_path, size, scale):
    across, down = np.linspace(0, 4000, size[1]), np.linspace(0, 4000, size[0])[:, None]
    values = np.stack([across + 0 * down, down + 0 * across, 4000 - across + 0 * down] * 2)[:4]
    path = tmp_path / "cells.ome.tif"
    tifffile.imwrite(
        path, values.astype(np.uint16), metadata={"axes": "CYX"}, photometric="minisblack",
        tile=(64, 64),
    )  # fmt: skip
    probability = write_levels("cells", np.zeros((1, *size), np.uint8))
    outcome = SceneOutcome(
        "cells", str(path), *size, files={"probability": probability}, image=str(path)
    )
    picture = picture_of(outcome, bands=(4, 2, 1))
    shown = decoded(picture.image)
    assert shown.shape == (picture.height, picture.width, 3)
    assert max(shown.shape) <= 1280
    assert picture.scale >= scale
    assert shown.std() > 50
    assert np.abs(shown[:, :, 0].astype(int) - shown[:, :, 1]).mean() > 50


def test_a_scene_without_an_image_is_grey(outcome_of):
    outcome = outcome_of(noise((3, HEIGHT, WIDTH)), noise((HEIGHT, WIDTH), 1, top=255))
    picture = picture_of(replace(outcome, image=None))
    assert np.ptp(decoded(picture.image)) <= 2
    assert greys(picture.steps[0]).max() > 200
