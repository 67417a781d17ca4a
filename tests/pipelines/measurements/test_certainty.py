"""Where a prediction is least certain."""

import math

import numpy as np
import pytest

from pipelines.measurements import certainty
from pipelines.measurements.certainty import doubt_of
from tests.pipelines.measurements.drawn import levels
from tiling.blend import NODATA, TOP
from tiling.window import Window


def prediction(height=400, width=500):
    """Certain but for three squares."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[:, 200:230] = TOP
    pixels[64:128, 64:128] = TOP // 2
    pixels[128:192, 64:128] = 100  # Touches the first.
    pixels[320:384, 384:448] = 25
    return pixels


def test_the_least_certain_squares_come_first_and_touch_no_other():
    found = doubt_of(levels(prediction())).places
    assert [place.window for place in found] == [Window(64, 64, 64, 64), Window(320, 384, 64, 64)]
    p = 25 / TOP
    entropy = -(p * math.log2(p) + (1 - p) * math.log2(1 - p))
    assert [place.entropy for place in found] == pytest.approx([1, entropy])


def test_as_many_as_are_asked_for():
    assert len(doubt_of(levels(prediction()), most=1).places) == 1
    noise = np.random.default_rng(1).integers(0, 255, (400, 500)).astype(np.uint8)
    places = [place.window.grown(1) for place in doubt_of(levels(noise)).places]
    assert 6 <= len(places) <= 12  # No more fit beside each other.
    assert not any(one.meets(other) for one in places for other in places if one is not other)


def test_windows_do_not_show(monkeypatch):
    whole = doubt_of(levels(prediction())).places
    monkeypatch.setattr(certainty, "_AT_ONCE", 128)
    assert doubt_of(levels(prediction())).places == whole


def test_what_is_mostly_missing_is_left_out():
    pixels = prediction()
    pixels[64:128, 64:97] = NODATA
    pixels[330:384, 384:448] = NODATA
    assert [place.window.row for place in doubt_of(levels(pixels)).places] == [128]


def test_a_certain_prediction_has_no_such_place():
    assert doubt_of(levels(np.full((300, 300), TOP, np.uint8))).places == []
    assert doubt_of(levels(np.full((30, 30), NODATA, np.uint8))).places == []


def test_probabilities_of_several_classes_count_together():
    pixels = prediction() // 2
    assert doubt_of(levels(np.stack([pixels, pixels]))).places[0].entropy == pytest.approx(
        1, abs=1e-3
    )


def test_the_levels_are_counted_with_it():
    drawn = prediction()
    drawn[:10, :10] = NODATA
    pixels = doubt_of(levels(drawn)).pixels
    assert (pixels[25], pixels[TOP]) == (64 * 64, 400 * 30)
    assert pixels.sum() == drawn.size - 100
