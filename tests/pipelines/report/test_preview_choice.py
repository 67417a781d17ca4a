"""Which scenes have a picture in a report, and how large it is."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipelines.inputs.labels import Labelling
from pipelines.report import previews as pictures
from pipelines.report.previews import MOST, previews
from pipelines.report.write import write_report
from pipelines.results.outcome import SceneOutcome
from tests.pipelines.report.pictures import (
    HEIGHT,
    WIDTH,
    decoded,
    f1_of,
    flat_levels,
    greys,
    noise,
    picture_of,
)
from tiling.readers.raster import without_georeferencing_warning

LIMIT = 10_000_000
"""Bytes that a page of fifty scenes may have."""


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


def test_of_more_than_fifty_scenes_the_worst_by_f1_are_shown_the_worst_first(tiny):
    outcomes = tiny([f"{number:02}" for number in range(57)])
    f1 = [((7 * number) % 57) / 57 for number in range(57)]
    f1[3] = None  # Nothing to be found in it, and nothing found: none of the worst.
    shown = [picture.name for picture in previews(outcomes, f1_of(outcomes, f1), 127)]
    order = sorted(range(57), key=lambda number: 2 if f1[number] is None else f1[number])
    assert shown == [f"{number:02}" for number in order[:50]]
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
    encode, made = pictures.encoded, {}

    def encoded(pixels, quality=None):
        key = pixels.shape, quality, hash(pixels.tobytes())
        if key not in made:
            made[key] = encode(pixels, quality)
        return made[key]

    monkeypatch.setattr(pictures, "encoded", encoded)


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
