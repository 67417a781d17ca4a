"""The size of pixels on the ground, against geodesics of pyproj."""

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.crs import CRS

from tiling.readers.raster import RasterScene
from tiling.scenes.ground import PixelSize, pixel_size

GEOD = Geod(ellps="WGS84")
MERCATOR, DEGREES, FEET = "EPSG:3857", "EPSG:4326", "EPSG:2249"


class Placed:
    """A raster of 400 rows and 600 columns, by its place alone."""

    name, height, width = "placed.tif", 400, 600

    def __init__(self, crs, transform):
        self.crs, self.transform = crs and CRS.from_user_input(crs), transform


def at(longitude, latitude, crs, across, down, turned=0.0):
    """A raster whose centre lies there, of so many map units per pixel."""
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
    shape = Affine.rotation(turned) @ Affine.scale(across, -down)
    off = shape @ Affine.translation(-300, -200)
    return Placed(crs, Affine(off.a, off.b, off.c + x, off.d, off.e, off.f + y))


def geodesic(placed, down, across):
    """Metres from the centre's pixel to the one so far away."""
    centre = placed.transform @ (300, 200)
    other = placed.transform @ (300 + across, 200 + down)
    to_degrees = Transformer.from_crs(placed.crs.to_wkt(), 4326, always_xy=True)
    ends = [to_degrees.transform(*point) for point in (centre, other)]
    return GEOD.inv(*ends[0], *ends[1])[2]


PLACES = {
    **{f"mercator {n}": at(7, n, MERCATOR, 1, 1) for n in (-33, 20, 45, 60, 65)},
    "mercator, turned": at(7, 60, MERCATOR, 1, 1, 30),
    "mercator, oblong": at(7, 60, MERCATOR, 2, 1),
    **{f"degrees {n}": at(7, n, DEGREES, 1e-5, 1e-5) for n in (-60, 0, 47, 80)},
    "degrees, oblong": at(7, 47, DEGREES, 1.5e-5, 1e-5),
    "degrees, at the 180th meridian": at(180, 10, DEGREES, 1e-5, 1e-5),
    "degrees, coarse": at(0, 0, DEGREES, 0.1, 0.1),
    "degrees, with heights": at(7, 47, "EPSG:4979", 1e-5, 1e-5),
    "another datum": at(7, 50, "EPSG:4314", 1e-5, 1e-5),
    "UTM, far outside its zone": at(25, 10, "EPSG:32632", 1, 1),
}


@pytest.mark.parametrize("place", PLACES)
def test_pixels_are_measured_along_geodesics(place):
    placed = PLACES[place]
    size = pixel_size(placed)
    height, width = geodesic(placed, 1, 0), geodesic(placed, 0, 1)
    # Nearly a square counts as one.
    assert size.height == pytest.approx(height, rel=0.006)
    assert size.width == pytest.approx(width, rel=0.006)
    assert size.side**2 == pytest.approx(height * width, rel=1e-3)


@pytest.mark.parametrize(("latitude", "metres"), [(45, 0.707), (60, 0.501), (65, 0.424)])
def test_a_metre_of_web_mercator_is_less_on_the_ground(latitude, metres):
    assert pixel_size(at(10, latitude, MERCATOR, 1, 1)).side == pytest.approx(metres, abs=2e-3)


@pytest.mark.parametrize(
    ("placed", "height", "width"),
    [
        (at(9, 50, "EPSG:32632", 0.3, 0.3), 0.3, 0.3),  # 0.9996 on the ground.
        (at(6, 50, "EPSG:25832", 0.5, 0.5), 0.5, 0.5),
        (at(-71, 42, "EPSG:26986", 1.0, 1.0), 1.0, 1.0),
        (at(-71, 42, "EPSG:26986", 0.5, 0.5, 37), 0.5, 0.5),
        (at(9, 50, "EPSG:32632", 1.0, 0.5), 0.5, 1.0),
        (at(9, 50, "EPSG:32632", 1.0, 0.5, 90), 0.5, 1.0),
        (at(-71, 42, FEET, 1.0, 1.0), 1200 / 3937, 1200 / 3937),
        (at(9, 50, "EPSG:25832+7837", 0.2, 0.2), 0.2, 0.2),
    ],
)
def test_in_zones_and_national_grids_map_units_are_taken_as_they_are(placed, height, width):
    size = pixel_size(placed)
    assert (size.height, size.width) == (pytest.approx(height, 1e-9), pytest.approx(width, 1e-9))


def test_a_square_in_metres_has_the_very_side_that_its_file_says():
    for side in (0.1, 0.3, 0.7, 0.35, 1.9):
        assert pixel_size(at(9, 50, "EPSG:32632", side, side)) == PixelSize(side, side)


@pytest.mark.parametrize(
    "placed",
    [
        Placed(None, Affine.identity()),
        Placed(None, Affine(0.5, 0, 9, 0, -0.5, 9)),
        Placed("EPSG:32632", Affine.identity()),
        Placed("EPSG:4326", Affine(1e-5, 0, 7, 0, -1e-5, 9e4)),
        Placed("EPSG:32632", Affine(0, 0, 5e5, 0, 0, 5e6)),
        Placed('LOCAL_CS["site",UNIT["metre",1]]', Affine(1, 0, 0, 0, -1, 0)),
    ],
)
def test_without_a_place_on_the_earth_there_is_no_size(placed):
    assert pixel_size(placed) is None
    assert pixel_size(placed, 0.3) == PixelSize(0.3, 0.3)


def test_what_is_told_counts_whatever_the_coordinates_say():
    assert pixel_size(at(7, 47, DEGREES, 1, 1), 0.3) == PixelSize(0.3, 0.3)


def test_a_map_of_the_whole_earth_is_measured_inside_of_it(write_raster, tmp_path):
    place = Affine(10, 0, -180, 0, -10, 90)
    path = write_raster(
        tmp_path / "earth.tif", np.zeros((3, 18, 36), np.uint8), crs=DEGREES, transform=place
    )
    with RasterScene(path) as scene:
        size = pixel_size(scene)
    assert size.width == pytest.approx(1.113e6, rel=5e-3)
    assert size.height == pytest.approx(1.106e6, rel=5e-3)
