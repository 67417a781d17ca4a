"""Photographs that show no eye, or a very small one."""

import numpy as np
import pytest
from PIL import Image

from pipelines.config.inference import InferDrive
from pipelines.datasets.synthetic import draw_fundus
from pipelines.errors import DataError
from pipelines.inference.run import infer_drive
from pipelines.inputs.discovery import fundus_inputs
from pipelines.inputs.opening import Reading
from pipelines.inputs.pixel_values import check_shows
from pipelines.results.progress import Silence

PHOTOGRAPH, _, DISC = draw_fundus(5)
PHOTOGRAPH = PHOTOGRAPH.transpose(1, 2, 0)
SHAPE = PHOTOGRAPH.shape


def noisy(top):
    return np.random.default_rng(0).integers(0, top + 1, SHAPE).astype(np.uint8)


def dated():
    black = np.zeros(SHAPE, np.uint8)
    black[-40:-20, -200:-20] = 255
    return black


BLANK = {
    "black": np.zeros(SHAPE, np.uint8),
    "white": np.full(SHAPE, 255, np.uint8),
    "noise": noisy(5),
    "one colour": np.full(SHAPE, (180, 90, 50), np.uint8),
    "a date": dated(),
}
SHOWN = {
    "dark": (PHOTOGRAPH * 0.1).astype(np.uint8),
    "pale": (PHOTOGRAPH // 8 + 220).astype(np.uint8),
    "a part": PHOTOGRAPH[200:260, 200:260],
}


def look(path, pixels, **reading):
    Image.fromarray(pixels).save(path)
    [item] = fundus_inputs([str(path)], None, Reading(**reading))
    with item.open() as opened:
        check_shows(opened)


@pytest.mark.parametrize("name", BLANK)
@pytest.mark.parametrize("source", [None, "whole"])
def test_a_photograph_of_nothing_is_an_error(tmp_path, name, source):
    with pytest.raises(DataError, match=r"eye\.png: shows no eye: all of its field of view is abo"):
        look(tmp_path / "eye.png", BLANK[name], field_source=source)


@pytest.mark.parametrize("name", SHOWN)
def test_a_photograph_of_little_contrast_is_none(tmp_path, name):
    look(tmp_path / "eye.png", SHOWN[name])


def test_what_lies_outside_the_field_does_not_count(tmp_path):
    (tmp_path / "mask").mkdir()
    Image.fromarray(DISC.astype(np.uint8) * 255).save(tmp_path / "mask" / "eye_mask.png")
    pixels = np.where(DISC[..., None], 30, PHOTOGRAPH[::-1]).astype(np.uint8)
    pixels[:80, :80] = 200
    with pytest.raises(DataError, match="shows no eye"):
        look(tmp_path / "eye.png", pixels, field_source=tmp_path / "mask")


def test_it_is_not_measured_and_the_others_are(tmp_path, vessels_weights):
    for name, pixels in (("black", BLANK["black"]), ("eye", PHOTOGRAPH)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    config = InferDrive(
        scenes=[str(tmp_path / "*.png")], output=tmp_path / "out", model=[str(vessels_weights)],
        scale=0.5, steps=1, device="cpu",
    )  # fmt: skip
    report = infer_drive(config, Silence()).report
    assert [scene.name for scene in report.scenes] == ["eye"]
    assert "shows no eye" in report.failed[0].error
    assert report.measurements.mean["density"] == report.scenes[0].measurements["density"]


@pytest.mark.parametrize(("side", "said"), [(60, True), (200, True), (500, False)])
def test_a_photograph_that_is_much_enlarged_is_remarked(tmp_path, side, said):
    path = tmp_path / "eye.png"
    Image.fromarray(PHOTOGRAPH).resize((side, side)).save(path)
    for scale in (None, 3.0):
        [item] = fundus_inputs([str(path)], None, Reading(field_diameters=(900, 1650), scale=scale))
        with item.open() as opened:
            assert any("enlarged" in one for one in opened.remarks) == (said and scale is None)
