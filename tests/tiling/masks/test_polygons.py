"""Regions of a mask as polygons: without seams, and with the mask's area."""

import numpy as np
import pytest
import shapely

from tests.tiling.lines.drawings import blank, ring, wild
from tiling.masks.polygons import polygons_of


def polygons(mask, at_once=2048):
    return polygons_of(*mask.shape, lambda window: mask[window.slices()], at_once)


@pytest.mark.parametrize("at_once", [17, 40, 64])
@pytest.mark.parametrize("mask", [ring(), wild()], ids=["ring", "wild"])
def test_windows_cannot_be_seen(mask, at_once):
    whole, cut = polygons(mask), polygons(mask, at_once)
    assert shapely.to_wkb(whole).tolist() == shapely.to_wkb(cut).tolist()


@pytest.mark.parametrize("mask", [ring(), wild()], ids=["ring", "wild"])
def test_polygons_are_valid_and_have_the_area_of_the_mask(mask):
    found = polygons(mask)
    assert shapely.is_valid(found).all()
    assert shapely.area(found).sum() == mask.sum()
    assert set(shapely.get_type_id(found)) == {3}


def test_a_block_has_four_corners_and_a_ring_a_hole():
    mask = blank()
    mask[30:40, 50:80] = True
    [block] = polygons(mask, 16)
    assert block.equals(shapely.box(50, 30, 80, 40))
    assert len(block.exterior.coords) == 5
    [around] = polygons(ring(), 32)
    assert len(around.interiors) == 1


def test_what_touches_at_a_corner_is_two():
    mask = np.zeros((6, 6), bool)
    mask[1:3, 1:3] = mask[3:5, 3:5] = True
    assert len(polygons(mask)) == len(polygons(mask, 3)) == 2


def test_nothing_of_nothing():
    assert len(polygons(blank())) == 0
