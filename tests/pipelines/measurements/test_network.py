"""Roads that were drawn have the length, width and area that they were drawn with."""

import math

import numpy as np
import pytest

from pipelines.measurements import network as module
from pipelines.measurements.measured import of_networks
from pipelines.measurements.network import network
from tests.pipelines.measurements.drawn import SIDE, bar, levels
from tiling.blend import NODATA, TOP
from tiling.scenes.ground import PixelSize


def drawn(*bars):
    return np.logical_or.reduce(bars).astype(np.uint8) * TOP


@pytest.mark.parametrize("angle", [0, 20, 45, 70])
def test_a_straight_road_has_its_length_and_its_width(angle):
    found = network(levels(drawn(bar(6, angle))), PixelSize(0.5, 0.5))
    # It ends up to half a width before the road does.
    assert found.steps == pytest.approx(157, rel=0.08)
    numbers = of_networks([found])
    assert numbers["length_km"] == pytest.approx(found.steps * 0.5 / 1000)
    assert numbers["area_km2"] == pytest.approx((SIDE * 0.5 / 1000) ** 2)
    assert numbers["km_per_km2"] == pytest.approx(numbers["length_km"] / numbers["area_km2"])
    assert numbers["width_m"] == pytest.approx(found.foreground / 157 * 0.5, rel=0.1)


@pytest.mark.parametrize(("angle", "metres"), [(0, 0.5), (90, 1.0), (45, 0.79)])
def test_pixels_that_are_not_square_count_with_both_sides(angle, metres):
    # As in degrees at 60 degrees of latitude: half as long across as down.
    found = of_networks([network(levels(drawn(bar(6, angle))), PixelSize(1.0, 0.5))])
    square = of_networks([network(levels(drawn(bar(6, angle))), PixelSize(1.0, 1.0))])
    assert found["length_km"] == pytest.approx(square["length_km"] * metres, rel=0.01)
    assert found["area_km2"] == pytest.approx(square["area_km2"] / 2)
    assert found["width_m"] == pytest.approx(square["width_m"] * 0.5 / metres, rel=0.01)


def test_lengths_of_all_directions_are_right_on_average():
    lengths = [network(levels(drawn(bar(5, angle))), None).steps for angle in range(0, 180, 5)]
    assert np.mean(lengths) == pytest.approx(157, rel=0.015)


def test_parts_measure_what_the_whole_does(monkeypatch):
    pixels = drawn(bar(5, 20), bar(7, 80), bar(4, 150))
    whole = network(levels(pixels), PixelSize(1, 1))
    monkeypatch.setattr(module, "PART", 50)
    monkeypatch.setattr(module, "MARGIN", 40)
    parts = network(levels(pixels), PixelSize(1, 1))
    assert (parts.pixels, parts.foreground) == (whole.pixels, whole.foreground)
    assert parts.steps == pytest.approx(whole.steps, rel=0.01)


def test_missing_pixels_have_no_area():
    pixels = drawn(bar(6, 0))
    pixels[:, : SIDE // 2] = NODATA
    found = network(levels(pixels), PixelSize(1, 1))
    assert found.pixels == SIDE * SIDE // 2
    assert found.foreground == 6 * 80
    assert found.share == pytest.approx(6 * 80 / (SIDE * SIDE / 2))


def test_several_classes_are_one_network():
    road, rail = drawn(bar(6, 0)), drawn(bar(6, 90))
    rail[road > 0] = 0
    found = network(levels(np.stack([road, rail])), PixelSize(1, 1))
    assert found.foreground == (road > 0).sum() + (rail > 0).sum()


def test_scenes_add_up_and_pixels_of_unknown_size_have_no_kilometres():
    one, other = (
        network(levels(drawn(bar(6, angle))), PixelSize(side, side))
        for angle, side in ((0, 1.0), (90, 2.0))
    )
    both = of_networks([one, other])
    assert both["length_km"] == pytest.approx((one.steps + 2 * other.steps) / 1000)
    assert both["area_km2"] == pytest.approx(5 * SIDE**2 / 1e6)
    unknown = of_networks([one, network(levels(drawn(bar(6, 0))), None)])
    assert unknown["length_km"] is unknown["width_m"] is None
    assert unknown["length_px"] == pytest.approx(2 * one.steps)


def test_an_empty_scene_has_no_width():
    numbers = of_networks([network(levels(np.zeros((50, 60), np.uint8)), PixelSize(1, 1))])
    assert (numbers["length_km"], numbers["foreground_share"], numbers["width_m"]) == (0, 0, None)
    missing = network(levels(np.full((50, 60), NODATA, np.uint8)), PixelSize(1, 1))
    assert math.isnan(missing.share)
