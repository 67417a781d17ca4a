"""Misses and false alarms as regions, whatever windows a scene is read in."""

import numpy as np
import pytest
from shapely.geometry import box

from pipelines.measurements.errors import ErrorRegions
from pipelines.scores.relaxed import Disc
from tests.pipelines.measurements.drawn import SIDE
from tiling.window import Window, split

SCENE = Window(0, 0, SIDE, SIDE)


def drawn():
    """A road that is found two pixels too low, one that is missed, and one that is not there."""
    predicted, labelled = (np.zeros((SIDE, SIDE), bool) for _ in range(2))
    labelled[20:26] = True
    predicted[22:28] = True
    labelled[100:106, 30:200] = True
    predicted[60:90, 150:154] = True
    return predicted, labelled


def regions(predicted, labelled, rho=3.0, size=SIDE, counted=None):
    disc = Disc(rho)
    found = ErrorRegions(disc)
    counted = np.ones_like(predicted) if counted is None else counted
    for window in split(SIDE, SIDE, size):
        around = window.grown(disc.margin).intersection(SCENE)
        inside = around.slices()
        found.add(predicted[inside], labelled[inside], counted[inside], window, around)
    return found.found()


def told(found):
    return [(region.kind, region.pixels) for region in found]


@pytest.mark.parametrize("size", [SIDE, 64, 37])
def test_misses_and_false_alarms_are_found_the_largest_first(size):
    found = regions(*drawn(), size=size)
    assert told(found) == [("miss", 6 * 170), ("false alarm", 30 * 4)]
    assert found[0].outline.equals(box(30, 100, 200, 106))
    assert found[1].outline.equals(box(150, 60, 154, 90))


def test_what_is_near_enough_is_no_error():
    assert [kind for kind, _ in told(regions(*drawn(), rho=1))].count("miss") == 2
    strict = told(regions(*drawn(), rho=0))
    assert sorted(strict[1:3]) == [("false alarm", 2 * SIDE), ("miss", 2 * SIDE)]


def test_pixels_that_do_not_count_are_neither_missed_nor_wrong():
    counted = np.ones((SIDE, SIDE), bool)
    counted[:, 100:] = False
    assert told(regions(*drawn(), counted=counted)) == [("miss", 6 * 70)]


@pytest.mark.parametrize("size", [SIDE, 13])
def test_pixels_that_touch_at_a_corner_are_one_region_with_a_valid_outline(size):
    label = np.zeros((SIDE, SIDE), bool)
    label[np.arange(40), np.arange(40)] = True
    [region] = regions(np.zeros_like(label), label, size=size)
    assert (region.kind, region.pixels) == ("miss", 40)
    assert region.outline.is_valid


@pytest.mark.parametrize("size", [SIDE, 64, 37])
def test_a_chequered_mask_is_one_region_of_single_pixels(size):
    row, column = np.mgrid[:SIDE, :SIDE]
    chequered = (row + column) % 2 == 0
    [region] = regions(chequered, np.zeros_like(chequered), size=size)
    assert (region.kind, region.pixels) == ("false alarm", SIDE * SIDE // 2)
    assert len(region.outline.geoms) == SIDE * SIDE // 2
    assert region.outline.is_valid


@pytest.mark.parametrize("size", [SIDE, 64, 37])
def test_a_region_with_holes_across_windows_has_the_outline_it_has_in_one(size):
    noise = np.random.default_rng(3).random((SIDE, SIDE)) < 0.6
    nothing = np.zeros_like(noise)
    found, whole = (regions(noise, nothing, size=one) for one in (size, SIDE))
    assert told(found) == told(whole)
    for one, other in zip(found, whole, strict=True):
        assert one.outline.is_valid
        assert one.outline.equals(other.outline)


def test_where_all_is_right_there_is_none():
    _, labelled = drawn()
    assert regions(labelled, labelled) == []
