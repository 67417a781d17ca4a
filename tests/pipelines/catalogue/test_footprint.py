"""Footprints of rasters in degrees: projections, the 180th meridian and the poles."""

import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from pipelines.catalogue.footprint import box_around, footprint_of


def footprint(epsg, left, top, pixel, height=100, width=100):
    return footprint_of(CRS.from_epsg(epsg), Affine(pixel, 0, left, 0, -pixel, top), height, width)


def test_a_raster_in_degrees_has_its_own_corners():
    found = footprint(4326, 10, 50, 0.01)
    assert found.bbox == (10, 49, 11, 50)
    assert shapely.geometry.shape(found.geometry).equals(shapely.box(10, 49, 11, 50))
    assert len(found.geometry["coordinates"][0]) == 5


def test_web_mercator_is_measured_as_degrees():
    # x = R * longitude, y = R * ln(tan(45 + latitude / 2)): 20 and 30 degrees.
    found = footprint(3857, 2226389.8158654715, 3503549.8435043753, 10)
    west, south, east, north = found.bbox
    assert (west, north) == pytest.approx((20, 30), abs=1e-6)
    assert east - west == pytest.approx(1000 / 6378137 * 57.29577951, abs=1e-6)
    assert north - south == pytest.approx((east - west) * 0.8660254, rel=1e-3)


def test_a_scene_in_utm_is_a_ring_whose_corners_are_those_of_the_scene():
    # On the central meridian of zone 33, 15 degrees, northing 0 is the equator.
    found = footprint(32633, 500000, 1000, 10)
    west, south, east, north = found.bbox
    assert (west, south) == pytest.approx((15, 0), abs=1e-6)
    assert east - 15 == pytest.approx(1000 / 111320, rel=2e-3)
    assert north == pytest.approx(1000 / 110574, rel=2e-3)
    assert shapely.geometry.shape(found.geometry).exterior.is_ccw


@pytest.mark.parametrize(
    ("epsg", "left", "top", "pixel", "height", "width"),
    [
        (4326, 179, 10, 0.02, 100, 100),
        (4326, -181, 10, 0.02, 100, 100),
        (32660, 781000, 1000000, 500, 200, 200),
    ],
)
def test_a_scene_over_the_180th_meridian_is_cut_there(epsg, left, top, pixel, height, width):
    found = footprint(epsg, left, top, pixel, height, width)
    shape = shapely.geometry.shape(found.geometry)
    west, _, east, _ = found.bbox
    assert shape.geom_type == "MultiPolygon"
    assert len(shape.geoms) == 2
    assert 178 < west < 180
    assert -180 < east < -178
    assert -180 <= shape.bounds[0] < shape.bounds[2] <= 180


def test_degrees_from_0_to_360_are_those_from_minus_180_to_180():
    found = footprint(4326, 200, 10, 0.01)
    assert found.bbox == (-160, 9, -159, 10)
    assert footprint(4326, 0, 90, 1, 180, 360).bbox == (-180, -90, 180, 90)


def test_a_raster_around_a_pole_covers_it():
    found = footprint(3413, -500000, 500000, 10000)
    shape = shapely.geometry.shape(found.geometry)
    assert found.bbox[0::2] == (-180, 180)
    assert found.bbox[3] == 90
    assert shape.covers(shapely.Point(0, 89.9))
    assert not shape.covers(shapely.Point(0, 80))


def test_nothing_is_told_of_what_has_no_coordinates():
    assert footprint_of(None, Affine(1, 0, 0, 0, -1, 0), 10, 10) is None
    assert footprint_of(CRS.from_epsg(32633), Affine.identity(), 10, 10) is None
    assert footprint(32633, 1e12, 1e12, 1e6) is None


@pytest.mark.parametrize(
    ("boxes", "around"),
    [
        ([(10, 40, 11, 41), (-5, 45, -4, 46)], [-5, 40, 11, 46]),
        ([(179, 0, 179.5, 1), (-179.5, 2, -179, 3)], [179, 0, -179, 3]),
        ([(179, 0, -179, 1), (175, 0, 176, 1)], [175, 0, -179, 1]),
        ([(179, 0, -179, 1), (-1, 0, 1, 1)], [-180, 0, 180, 1]),
    ],
)
def test_a_box_around_others_goes_the_shorter_way(boxes, around):
    assert box_around(boxes) == around
