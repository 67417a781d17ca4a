import json

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.features import geometry_mask
from rasterio.warp import transform, transform_geom

from tiling.errors import OutsideError, SceneError
from tiling.readers.raster import RasterScene
from tiling.scenes.area import AreaScene, read_area
from tiling.window import Window

HEIGHT, WIDTH = 80, 100
WHOLE = Window(0, 0, HEIGHT, WIDTH)
LEFT, TOP = 200_000.5, 900_000.25
PLACE = Affine(1, 0, LEFT, 0, -1, TOP)

TRIANGLE = [[10, 10], [90.3, 22.7], [41.2, 71.9]]
"""Corners in pixels, x and y."""

HOLE = [[40, 30], [40, 45], [55, 45], [55, 30]]
ELSEWHERE = [[70, 50], [95, 50], [95, 75], [70, 75]]
AROUND_THE_HOLE = [[35, 25], [60, 25], [60, 50], [35, 50]]


@pytest.fixture(scope="module")
def scene(write_raster, tmp_path_factory):
    pixels = np.random.default_rng(6).integers(1, 256, (3, HEIGHT, WIDTH)).astype(np.uint8)
    path = tmp_path_factory.mktemp("area") / "scene.tif"
    valid = np.arange(HEIGHT)[:, None].repeat(WIDTH, axis=1) >= 20
    write_raster(path, pixels, nodata_kind="mask", valid=valid, transform=PLACE)
    with RasterScene(path) as scene:
        yield scene


def on_the_ground(corners, place=PLACE):
    """A closed ring in the scene's coordinates, of corners in pixels."""
    ring = [
        [place.a * x + place.b * y + place.c, place.d * x + place.e * y + place.f]
        for x, y in corners
    ]
    return [*ring, ring[0]]


def polygon(*rings, place=PLACE):
    return {"type": "Polygon", "coordinates": [on_the_ground(ring, place) for ring in rings]}


def in_degrees(geometry, crs="EPSG:26986"):
    return transform_geom(crs, "EPSG:4326", geometry)


def write(folder, content):
    path = folder / "area.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def feature(geometry):
    return {"type": "Feature", "properties": {"of": "interest"}, "geometry": geometry}


def inside(scene, path):
    return read_area(path, scene).inside(Window(0, 0, scene.height, scene.width))


def centres_in(*polygons):
    """Which pixels' centres lie in any of the polygons, as GDAL says."""
    return ~geometry_mask(polygons, (HEIGHT, WIDTH), PLACE)


@pytest.mark.parametrize(
    "polygons",
    [
        [[TRIANGLE]],
        [[TRIANGLE[::-1]]],
        [[TRIANGLE, HOLE]],
        [[TRIANGLE, HOLE[::-1]]],
        [[TRIANGLE, HOLE], [ELSEWHERE]],
        [[TRIANGLE, HOLE], [AROUND_THE_HOLE]],
        [[TRIANGLE], [TRIANGLE]],
        [[[[-50, -50], [500, -50], [500, 900], [-50, 900]], HOLE]],
        [[[[-50, 40.2], [30.2, -500], [500, 100.1]]]],
    ],
)
def test_a_pixel_is_in_the_area_when_its_centre_is_in_a_polygon(scene, tmp_path, polygons):
    shapes = [polygon(*rings) for rings in polygons]
    path = write(
        tmp_path, {"type": "GeometryCollection", "geometries": list(map(in_degrees, shapes))}
    )
    expected = np.any([centres_in(shape) for shape in shapes], axis=0)
    assert expected.any()
    np.testing.assert_array_equal(inside(scene, path), expected)


@pytest.mark.parametrize("clockwise", [False, True])
def test_neighbouring_polygons_leave_no_pixel_out_and_borders_are_on_one_side(
    scene, tmp_path, clockwise
):
    # Borders through pixel centres: each centre must be on one side of them.
    left = [[10, 10], [50.5, 10], [50.5, 60.5], [10, 60.5]]
    right = [[50.5, 10], [90, 10], [90, 60.5], [50.5, 60.5]]
    crs = {"type": "name", "properties": {"name": "EPSG:26986"}}
    areas = []
    for ring in (left, right):
        ring = ring[::-1] if clockwise else ring
        areas.append(inside(scene, write(tmp_path, polygon(ring) | {"crs": crs})))
    assert not (areas[0] & areas[1]).any()
    both = areas[0] | areas[1]
    assert both[10:60, 10:90].all()
    assert both.sum() in (50 * 80, 51 * 80)


WRAPPINGS = {
    "Polygon": lambda shape: shape,
    "MultiPolygon": lambda shape: {"type": "MultiPolygon", "coordinates": [shape["coordinates"]]},
    "Feature": feature,
    "FeatureCollection": lambda shape: {
        "type": "FeatureCollection",
        "features": [
            feature(None),
            feature({"type": "Point", "coordinates": [0, 0]}),
            feature(shape),
        ],
    },
    "GeometryCollection": lambda shape: feature(
        {"type": "GeometryCollection", "geometries": [shape]}
    ),
    "with heights": lambda shape: {
        "type": "Polygon",
        "coordinates": [[[x, y, 12.5] for x, y in ring] for ring in shape["coordinates"]],
    },
    "with rings not closed": lambda shape: {
        "type": "Polygon",
        "coordinates": [ring[:-1] for ring in shape["coordinates"]],
    },
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_every_form_of_geojson_is_the_same_area(scene, tmp_path, wrapping):
    shape = polygon(TRIANGLE, HOLE)
    path = write(tmp_path, WRAPPINGS[wrapping](in_degrees(shape)))
    np.testing.assert_array_equal(inside(scene, path), centres_in(shape))


@pytest.mark.parametrize(
    ("name", "crs"),
    [
        ("EPSG:26986", "EPSG:26986"),
        ("urn:ogc:def:crs:EPSG::26986", "EPSG:26986"),
        ("urn:ogc:def:crs:EPSG::32619", "EPSG:32619"),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326"),
        ("EPSG:4326", "EPSG:4326"),
    ],
)
def test_an_old_files_own_crs_is_honoured(scene, tmp_path, name, crs):
    shape = polygon(TRIANGLE)
    content = feature(transform_geom("EPSG:26986", crs, shape))
    content["crs"] = {"type": "name", "properties": {"name": name}}
    np.testing.assert_array_equal(inside(scene, write(tmp_path, content)), centres_in(shape))


def test_a_scene_that_is_turned_is_cut_where_the_area_lies(write_raster, tmp_path):
    turned = Affine(0.257, 0.154, LEFT, 0.154, -0.257, TOP)
    path = write_raster(tmp_path / "s.tif", np.ones((3, HEIGHT, WIDTH), np.uint8), transform=turned)
    area = write(tmp_path, in_degrees(polygon(TRIANGLE, HOLE, place=turned)))
    with RasterScene(path) as scene:
        np.testing.assert_array_equal(inside(scene, area), centres_in(polygon(TRIANGLE, HOLE)))


SPIKY = st.lists(
    st.tuples(st.floats(-200, 300, width=32), st.floats(-200, 300, width=32)),
    min_size=3,
    max_size=9,
)


@given(corners=SPIKY, data=st.data())
def test_any_window_is_cut_as_the_whole_is(scene, tmp_path, corners, data):
    row, column = data.draw(st.integers(0, HEIGHT - 1)), data.draw(st.integers(0, WIDTH - 1))
    window = Window(
        row,
        column,
        data.draw(st.integers(1, HEIGHT - row)),
        data.draw(st.integers(1, WIDTH - column)),
    )
    dot = [[50.2, 40.2], [50.8, 40.2], [50.5, 40.8]]  # It holds a pixel of the scene.
    shape = {"type": "MultiPolygon",
             "coordinates": [polygon(ring)["coordinates"] for ring in (corners, dot)]}  # fmt: skip
    content = shape | {"crs": {"type": "name", "properties": {"name": "EPSG:26986"}}}
    area = read_area(write(tmp_path, content), scene)
    np.testing.assert_array_equal(area.inside(window), area.inside(WHOLE)[window.slices()])


def test_pixels_are_there_in_the_area_where_the_scene_has_them(scene, tmp_path):
    shape = polygon(TRIANGLE)
    cut = AreaScene(scene, read_area(write(tmp_path, in_degrees(shape)), scene))
    pixels, there = cut.read(WHOLE)
    np.testing.assert_array_equal(there, centres_in(shape) & scene.read(WHOLE)[1])
    np.testing.assert_array_equal(pixels[:, there], scene.read(WHOLE)[0][:, there])


def test_windows_outside_the_area_are_not_even_read(write_raster, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 400, 300)).astype(np.uint8)
    path = write_raster(tmp_path / "cut.tif", pixels, transform=PLACE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    area = write(tmp_path, in_degrees(polygon([[10, 10], [90, 10], [90, 90], [10, 90]])))
    with RasterScene(path) as scene:
        cut = AreaScene(scene, read_area(area, scene))
        assert cut.read(Window(0, 0, 100, 100))[1].sum() == 80 * 80
        damaged = Window(300, 0, 100, 300)
        with pytest.raises(SceneError):
            scene.read(damaged)
        read, there = cut.read(damaged)
    assert not there.any()
    assert read.shape == (3, 100, 300)
    assert read.dtype == np.uint8
    assert not read.any()


# Errors.


def refused(path, scene):
    with pytest.raises(SceneError) as caught:
        read_area(path, scene)
    message = str(caught.value)
    assert "\n" not in message
    assert "; " in message, "says what to do next"
    assert str(path) in message
    return message


NO_GEOJSON = {
    "text": "This is no GeoJSON.\nNot at all.",
    "empty": "",
    "a number": 3,
    "a list": [],
    "other JSON": {"name": "area"},
    "unknown type": {"type": "Topology"},
    "a feature without geometry": {"type": "Feature"},
    "one coordinate": {"type": "Polygon", "coordinates": [[[1], [2], [3]]]},
    "two corners": {"type": "Polygon", "coordinates": [[[1, 2], [2, 3]]]},
    "an empty ring": {"type": "Polygon", "coordinates": [[]]},
    "words": {"type": "Polygon", "coordinates": [[["a", "b"], ["c", "d"], ["e", "f"]]]},
    "no ring": {"type": "Polygon", "coordinates": [1, 2]},
}

UNKNOWN = {
    "nowhere": {"type": "name", "properties": {"name": "nowhere"}},
    "EPSG::99999": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::99999"}},
    "example.com": {"type": "link", "properties": {"href": "http://example.com"}},
    "26986": "EPSG:26986",
    "Engineering": {"type": "name", "properties": {"name": None, "of": "Engineering"}},
}


@pytest.mark.parametrize("kind", NO_GEOJSON)
def test_what_is_no_geojson_is_an_error(scene, tmp_path, kind):
    assert "is no GeoJSON" in refused(write(tmp_path, NO_GEOJSON[kind]), scene)


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_crs_that_is_not_known_is_named(scene, tmp_path, name):
    said = refused(write(tmp_path, polygon(TRIANGLE) | {"crs": UNKNOWN[name]}), scene)
    assert "names no coordinate reference system that is known" in said
    assert name in said
    assert "is no GeoJSON" not in said


def test_bytes_that_are_no_text_are_an_error(scene, tmp_path):
    (tmp_path / "area.geojson").write_bytes(b"\xff\xfe\x00")
    assert "is no GeoJSON" in refused(tmp_path / "area.geojson", scene)


def test_a_missing_file_is_an_error(scene, tmp_path):
    assert "check the path" in refused(tmp_path / "missing.geojson", scene)
    assert "check the path" in refused(tmp_path, scene)


@pytest.mark.parametrize(
    "content",
    [
        {"type": "FeatureCollection", "features": []},
        feature({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}),
        {"type": "MultiPolygon", "coordinates": []},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": None},
    ],
)
def test_without_polygons_there_is_no_area(scene, tmp_path, content):
    assert "has no polygon" in refused(write(tmp_path, content), scene)


def test_a_scene_without_crs_has_no_area(write_raster, tmp_path):
    photo = write_raster(tmp_path / "p.tif", np.ones((3, 9, 9), np.uint8), crs=None)
    with RasterScene(photo) as scene:
        message = refused(write(tmp_path, in_degrees(polygon(TRIANGLE))), scene)
    assert message.startswith(f"{photo}: has no coordinate reference system")


@pytest.mark.parametrize(
    "corners",
    [[[-20, 5], [-1, 5], [-1, 9]], [[5, 81], [50, 85], [9, 99]], [[101, 0], [120, 50], [140, 0]]],
)
def test_an_area_beside_the_scene_is_an_error(scene, tmp_path, corners):
    message = refused(write(tmp_path, in_degrees(polygon(corners))), scene)
    assert f"lies outside {scene.name}" in message


TOWNS = [[[-30, 5], [-2, 5], [-2, 70]], [[102, 5], [130, 5], [130, 70]]]
BEND = [[-9, -9], [-9, 120], [-2, 120], [-2, -2], [120, -2], [120, -9]]
LAKE = [[-9, -9], [120, -9], [120, 99], [-9, 99]], [[-1, -1], [-1, 81], [101, 81], [101, -1]]
BETWEEN_MIDDLES = [[30.6, 40.6], [31.4, 40.6], [31.4, 41.4], [30.6, 41.4]]


@pytest.mark.parametrize("rings", [[[one] for one in TOWNS], [[BEND]], [LAKE], [[BETWEEN_MIDDLES]]])
def test_an_area_around_a_scene_that_holds_none_of_its_pixels_is_an_error(scene, tmp_path, rings):
    shape = {"type": "MultiPolygon",
             "coordinates": [polygon(*one)["coordinates"] for one in rings]}  # fmt: skip
    with pytest.raises(OutsideError, match=f"lies beside {scene.name}.* none is inside"):
        read_area(write(tmp_path, in_degrees(shape)), scene)


def test_an_area_of_one_pixel_is_kept(scene, tmp_path):
    dot = [[30.4, 40.4], [30.6, 40.4], [30.6, 40.6], [30.4, 40.6]]
    area = read_area(write(tmp_path, in_degrees(polygon(dot))), scene)
    assert np.argwhere(area.inside(WHOLE)).tolist() == [[40, 30]]


def test_coordinates_of_the_scene_taken_for_degrees_are_an_error(scene, tmp_path):
    message = refused(write(tmp_path, polygon(TRIANGLE)), scene)
    assert "longitude and latitude" in message


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:26986"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_corners_that_are_no_numbers_are_an_error(scene, tmp_path, crs, value):
    shape = transform_geom("EPSG:26986", crs, polygon(TRIANGLE))
    ring = [list(corner) for corner in shape["coordinates"][0]]
    ring[1][0] = value
    content = {
        "type": "Polygon",
        "coordinates": [ring],
        "crs": {"type": "name", "properties": {"name": crs}},
    }
    assert "cannot be placed" in refused(write(tmp_path, content), scene)


def test_an_area_that_reaches_where_the_scenes_crs_does_not_is_an_error(scene, tmp_path):
    world = [[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]
    message = refused(write(tmp_path, {"type": "Polygon", "coordinates": [world]}), scene)
    assert "cut it to the scene's surroundings" in message


def test_longitude_comes_first(scene, tmp_path):
    [x], [y] = transform("EPSG:26986", "EPSG:4326", [LEFT + 50], [TOP - 40])
    ring = [[x - 1, y - 1], [x + 1, y - 1], [x + 1, y + 1], [x - 1, y + 1]]
    shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    assert inside(scene, write(tmp_path, shape)).all()
