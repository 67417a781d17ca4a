"""Which pixels count: fields of view, and values to ignore."""

import re

import numpy as np
import pytest
from PIL import Image

from pipelines.datasets.synthetic import draw_fundus
from tests.pipelines.evaluation.reported import (
    HEIGHT,
    WIDTH,
    assert_foreground,
    by_hand,
    disc,
    guess,
    names,
    probability,
    scene,
    scored,
)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_nothing_counts_outside_the_masks_of_the_field_of_view(tool, tmp_path, mode):
    field = disc()
    field[2:12, 2:12] = True  # In a photograph it would be taken for a speck.
    (tmp_path / "fov").mkdir()
    for name in tool:
        mask = Image.fromarray((field * 255).astype(np.uint8)).convert(mode)
        mask.save(tmp_path / "fov" / f"{name}_mask.png")
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", fov=tmp_path / "fov")
    for name, label in tool.items():
        predicted = probability(tmp_path, name) >= 0.5
        assert_foreground(scene(report, name), by_hand(predicted, label, field))
        assert scene(report, name)["pixels"] == field.sum()
    assert "inside the field of view" in report["scoring"]["counted"]


def test_a_field_of_view_that_is_missing_or_does_not_fit_ends_its_scene(tool, tmp_path):
    (tmp_path / "fov").mkdir()
    for name, pixels in (("a", disc()), ("c", disc()[1:])):
        Image.fromarray((pixels * 255).astype(np.uint8)).save(tmp_path / "fov" / f"{name}.png")
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", fov=tmp_path / "fov")
    assert names(report) == ["a"]
    missing, size = (failed["error"] for failed in report["failed"])
    assert missing.startswith("b: no field of view of this name in ")
    assert re.search(r"fov/c\.png: 80 x 59 pixels, but its image has 80 x 60", size)


def test_in_photographs_the_field_of_view_is_found(write_raster, page, tmp_path):
    photograph, label, field = draw_fundus(3)
    rows, columns = slice(None, None, 4), slice(None, None, 4)
    photograph, label, field = (
        photograph[:, rows, columns],
        label[rows, columns],
        field[rows, columns],
    )
    (tmp_path / "photos").mkdir()
    photograph = photograph.clip(9)  # Of cameras, the border is not quite black.
    Image.fromarray(np.moveaxis(photograph, 0, -1)).save(tmp_path / "photos" / "eye.png")
    write_raster(tmp_path / "labels" / "eye.tif", label[None], crs=None)
    write_raster(tmp_path / "tool" / "eye.tif", guess(label > 0, 2), crs=None)
    photos = tmp_path / "photos"
    report = scored(
        tmp_path / "tool", tmp_path / "labels", tmp_path / "out", fov=photos, images=photos
    )
    assert report["failed"] == []
    [eye] = report["scenes"]
    assert eye["pixels"] == pytest.approx(field.sum(), rel=0.03)
    assert eye["pixels"] < 0.8 * field.size
    assert "data:image/webp;base64," in page()


def test_a_photograph_of_another_size_is_no_field_of_view(tool, tmp_path):
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(1).integers(0, 255, (HEIGHT + 3, WIDTH, 3)).astype(np.uint8)
    for name in tool:
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    report = scored(
        tmp_path / "tool", tmp_path / "labels", tmp_path / "out", fov=tmp_path / "photos"
    )
    assert report["scenes"] == []
    assert len(report["failed"]) == 3
    assert "80 x 63 pixels, but its image has 80 x 60" in report["failed"][0]["error"]


def test_values_to_ignore_do_not_count(tool, write_raster, tmp_path):
    for name, label in tool.items():
        pixels = np.where(disc(), label, 254).astype(np.uint8)
        write_raster(tmp_path / "labels" / f"{name}.tif", pixels[None])
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", ignore="254,255")
    for name, label in tool.items():
        predicted = probability(tmp_path, name) >= 0.5
        assert_foreground(scene(report, name), by_hand(predicted, label, disc()))
    assert report["scoring"]["ignore"] == [254, 255]
