"""Pictures of scenes: that they show what was scored, and that many of them stay small."""

import io
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from pipelines.datasets.synthetic import draw_road_scene
from pipelines.inputs.labels import Labelling
from pipelines.report import previews as pictures
from pipelines.report.previews import MOST, _coarse, previews
from pipelines.report.write import write_report
from pipelines.results.levels import open_levels
from pipelines.results.outcome import SceneOutcome
from tiling.blend import NODATA, TOP
from tiling.scenes.raster import without_georeferencing_warning
from tiling.sink import CogSink, Description, publish
from tiling.window import Window

HEIGHT, WIDTH = 90, 130
LIMIT = 10_000_000
"""Bytes that a page of fifty scenes may have."""


@pytest.fixture
def write_levels(tmp_path):
    """Writes levels [bands, h, w] as a run does: a COG with overviews and a scale."""

    def write(name, levels):
        path = tmp_path / f"{name}.tif"
        bands = [f"probability of {band}" for band in range(len(levels))]
        what = Description(*levels.shape[1:], "uint8", NODATA, bands, scale=1 / TOP)
        sink = CogSink(path, tmp_path, what)
        sink.write(Window(0, 0, *levels.shape[1:]), levels)
        publish([sink])
        return path

    return write


@pytest.fixture
def outcome_of(write_levels, write_raster, tmp_path):
    """Makes an outcome from arrays: image [bands, h, w], levels of steps, label [h, w]."""

    def make(image, *steps, label=None, name="scene", labelling=None, **raster):
        steps = [step if step.ndim == 3 else step[None] for step in steps]
        files = {
            f"probability-step{number}": write_levels(f"{name}-step{number}", levels)
            for number, levels in enumerate(steps, start=1)
        }
        files |= {"probability": files[f"probability-step{len(steps)}"]}
        if len(steps) == 1:
            del files["probability-step1"]
        source = write_raster(tmp_path / "scenes" / f"{name}.tif", image, **raster)
        drawn = None
        if label is not None:
            drawn = str(write_raster(tmp_path / "labels" / f"{name}.tif", label[None]))
        return SceneOutcome(
            name, str(source), *image.shape[1:], files=files, image=str(source), label=drawn,
            labelling=labelling or Labelling(),
        )  # fmt: skip

    return make


def f1_of(outcomes, values=None):
    """F1 by scene; undefined where no values are given."""
    names = [one.name for one in outcomes]
    return dict(zip(names, values, strict=True)) if values else dict.fromkeys(names)


def picture_of(outcome, threshold=127, bands=None):
    [picture] = previews([outcome], f1_of([outcome]), threshold, bands)
    return picture


def decoded(data):
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture)
    return pixels


def greys(data):
    """Pixels [h, w] of a picture that is lossless and grey."""
    pixels = decoded(data)
    if pixels.ndim == 2:
        return pixels
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def noise(shape, seed=0, dtype="uint8", top=256):
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)


def flat_levels(height=HEIGHT, width=WIDTH):
    return np.zeros((height, width), np.uint8)


# What they show.


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


# What cannot be shown.


@pytest.mark.parametrize("gone", ["source", "label", "probability"])
def test_a_scene_that_is_gone_since_has_no_picture_and_the_others_do(outcome_of, gone):
    label = noise((HEIGHT, WIDTH), 1, top=2)
    outcomes = [
        outcome_of(noise((3, HEIGHT, WIDTH)), flat_levels(), label=label, name=name)
        for name in ("gone", "here")
    ]
    first = outcomes[0]
    Path(first.files[gone] if gone == "probability" else getattr(first, gone)).unlink()
    found = previews(outcomes, f1_of(outcomes), 127)
    assert [picture.name for picture in found] == ["here"]


def test_a_scene_whose_files_changed_since_has_no_picture(outcome_of, write_raster):
    label = noise((HEIGHT, WIDTH), 1, top=3)
    outcome = outcome_of(
        noise((3, HEIGHT, WIDTH)), flat_levels(), label=label, labelling=Labelling(classes=3)
    )
    write_raster(Path(outcome.label), label[None] + np.uint8(7))  # No classes any more.
    assert previews([outcome], f1_of([outcome]), 127) == []
    write_raster(Path(outcome.label), label[None])
    write_raster(outcome.files["probability"], np.full((1, HEIGHT, WIDTH), 7, "float32"))
    assert previews([outcome], f1_of([outcome]), 127) == []


def test_a_failed_scene_has_no_picture():
    failed = SceneOutcome("bad", "bad.tif", error="bad.tif: no such file")
    assert previews([failed], {}, 127) == []


# Which are shown, and how large.


@pytest.fixture
def tiny(outcome_of):
    """Makes outcomes that share one set of tiny files."""

    def make(names):
        one = outcome_of(noise((3, 8, 8)), flat_levels(8, 8))
        return [replace(one, name=name) for name in names]

    return make


def test_of_more_than_fifty_scenes_the_worst_by_f1_are_shown_in_their_order(tiny):
    outcomes = tiny([f"{number:02}" for number in range(57)])
    f1 = [((7 * number) % 57) / 57 for number in range(57)]
    f1[3] = None  # Nothing to be found in it, and nothing found: none of the worst.
    shown = [picture.name for picture in previews(outcomes, f1_of(outcomes, f1), 127)]
    order = sorted(range(57), key=lambda number: 2 if f1[number] is None else f1[number])
    assert shown == [f"{number:02}" for number in sorted(order[:50])]
    assert "03" not in shown
    assert len(shown) == MOST


def test_of_more_than_fifty_scenes_without_labels_the_first_are_shown(tiny):
    outcomes = tiny([f"{number:02}" for number in range(53)])
    shown = [picture.name for picture in previews(outcomes, f1_of(outcomes), 127)]
    assert shown == [f"{number:02}" for number in range(50)]


def test_a_large_scene_comes_in_reduced(outcome_of):
    side = 3000
    image = np.zeros((3, side, side), np.uint8)
    image[:, :, : side // 2] = 200
    levels = np.zeros((side, side), np.uint8)
    levels[: side // 2] = 254
    levels[-300:] = 255
    label = (levels == 254).astype(np.uint8)
    outcome = outcome_of(image, levels, label=label, driver="COG")
    with without_georeferencing_warning(), rasterio.open(outcome.files["probability"]) as raster:
        assert raster.overviews(1)
    picture = picture_of(outcome)
    assert max(picture.height, picture.width) <= 1280
    assert picture.height == picture.width == round(side * picture.scale)
    assert picture.scale > 0.4
    shown = greys(picture.steps[0])
    for pixels in (decoded(picture.image), greys(picture.label), shown):
        assert pixels.shape[:2] == (picture.height, picture.width)
    middle, last = picture.height // 2, int(picture.height * 0.9)
    assert (shown[: middle - 2] >= 127).all()
    assert (shown[middle + 2 : last - 2] < 127).all()
    assert (shown[last + 2 :] == 255).all()
    assert (greys(picture.label)[: middle - 2] == 254).all()
    assert decoded(picture.image)[:, : middle - 8].min() > 180
    assert decoded(picture.image)[:, middle + 8 :].max() < 20


@pytest.fixture
def encoded_once(monkeypatch):
    """Files are encoded once where fifty scenes have the same."""
    encode, made = pictures._encoded, {}

    def encoded(pixels, quality=None):
        key = pixels.shape, quality, hash(pixels.tobytes())
        if key not in made:
            made[key] = encode(pixels, quality)
        return made[key]

    monkeypatch.setattr(pictures, "_encoded", encoded)


def test_one_scene_may_be_larger_than_each_of_many(outcome_of, encoded_once):
    one = outcome_of(noise((3, 400, 500)), noise((400, 500), 1))
    many = [replace(one, name=f"{number}") for number in range(MOST)]
    assert picture_of(one).scale == 1
    picture = previews(many, f1_of(many), 127)[0]
    assert 0.3 < picture.scale < 1
    assert greys(picture.steps[0]).shape == (picture.height, picture.width)


@pytest.mark.parametrize("steps", [3, 6])
def test_a_page_of_fifty_scenes_of_noise_is_below_ten_megabytes(
    outcome_of, sample_report, tmp_path, encoded_once, steps
):
    shape = (500, 700)
    names = [f"{number:02}" for number in range(MOST)]
    one = outcome_of(
        noise((3, *shape)), *(noise(shape, seed) for seed in range(1, steps + 1)),
        label=noise(shape, 99, top=2),
    )  # fmt: skip
    outcomes = [replace(one, name=name) for name in names]
    report = sample_report(names, steps=steps)
    size = write_report(tmp_path / "report", report, outcomes).stat().st_size
    assert LIMIT / 2 < size < LIMIT  # What there is room for is used.
    html = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r"data:image/\w+;base64,", html)) == (2 + steps) * MOST
