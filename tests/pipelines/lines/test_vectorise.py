"""Lines of a scene: the same however it is cut, and made anew only where something changed."""

import os

import numpy as np
import pytest
import shapely
import shapely.affinity
from affine import Affine
from rasterio.features import rasterize

from pipelines.config.lines import LineSettings
from pipelines.lines.vectorise import vectorise
from pipelines.results.levels import open_levels
from tests.pipelines.lines.conftest import NORTH_UP, read_layer, rows_of
from tests.tiling.lines.drawings import cross
from tiling.scenes.ground import PixelSize, pixel_size
from tiling.scenes.vector import VectorScene
from tiling.window import Window

AFFINE = [NORTH_UP.a, NORTH_UP.b, NORTH_UP.d, NORTH_UP.e, NORTH_UP.c, NORTH_UP.f]
"""As shapely wants it."""

TWO_METRES = PixelSize(2.0, 2.0)


def lines_of(folder, into, pixel=TWO_METRES, settings=None, **options):
    files = {path.stem: path for path in sorted(folder.glob("*.tif"))}
    files.setdefault("probability", files.get("mask"))
    settings = settings or LineSettings(least_spur=8, least_line=10)
    return vectorise("city", files, open_levels, settings, 0.5, into, pixel, **options)


@pytest.fixture(scope="module")
def made(ours, tmp_path_factory):
    return lines_of(ours, tmp_path_factory.mktemp("lines"))


def test_windows_of_any_size_give_the_same_features(made, ours, tmp_path):
    whole = rows_of(made.files["lines"])
    assert min(map(len, whole.values())) > 3
    for at_once in (40, 77):
        cut = lines_of(ours, tmp_path / str(at_once), at_once=at_once)
        assert rows_of(cut.files["lines"]) == whole
        assert cut.found == made.found


def test_lines_lead_from_node_to_node_and_nodes_know_how_many(made):
    lines, nodes = (read_layer(made.files["lines"], name) for name in ("lines", "nodes"))
    places = dict(zip(nodes.columns["id"], nodes.geometries, strict=True))
    for shape, start, end in zip(
        lines.geometries, lines.columns["from_node"], lines.columns["to_node"], strict=True
    ):
        assert shapely.Point(shape.coords[0]).equals(places[start])
        assert shapely.Point(shape.coords[-1]).equals(places[end])
    ends = [*lines.columns["from_node"], *lines.columns["to_node"]]
    degrees = dict(zip(nodes.columns["id"], nodes.columns["degree"], strict=True))
    assert degrees == {node: ends.count(node) for node in places}
    assert len(set(lines.columns["id"])) == len(lines.geometries)


def test_a_cross_has_its_lengths_widths_and_places(write_raster, tmp_path):
    mask = np.where(cross(), 1, 0).astype(np.uint8)
    write_raster(tmp_path / "in" / "mask.tif", mask[None], transform=NORTH_UP)
    made = lines_of(tmp_path / "in", tmp_path)
    lines = read_layer(made.files["lines"], "lines")
    assert lines.crs == "EPSG:26986"
    # 113 and 93 pixels of 2 m, from half a width within either end.
    assert sum(lines.columns["length_m"]) == pytest.approx(2 * (113 + 93), abs=0.01)
    assert made.found.kilometres == pytest.approx(0.412, abs=1e-3)
    assert lines.columns["width_mean_m"] == pytest.approx([14.0] * 4, abs=0.01)
    assert set(lines.columns["width_least_m"]) == {14.0}
    assert np.isnan(lines.columns["probability_mean"]).all()
    nodes = read_layer(made.files["lines"], "nodes")
    [middle] = nodes.geometries[np.array(nodes.columns["degree"]) == 4]
    assert (middle.x, middle.y) == (200_000 + 2 * 70.5, 900_000 - 2 * 60.5)
    [polygon] = read_layer(made.files["lines"], "polygons").geometries
    assert polygon.area == 4 * mask.sum()
    assert len(polygon.exterior.coords) == 12 + 1
    assert (made.found.junctions, made.found.ends, made.found.bridged) == (1, 4, 0)


@pytest.mark.parametrize("turned", [False, True])
def test_widths_are_right_where_pixels_are_not_square(write_raster, tmp_path, turned):
    mask = np.zeros((200, 300), np.uint8)
    mask[40:48, 20:280] = 1
    mask[100:180, 60:66] = 1
    mask = mask.T if turned else mask
    write_raster(tmp_path / "in" / "mask.tif", mask[None], transform=NORTH_UP)
    pixel = PixelSize(1.0, 0.5)  # As in degrees at 60 degrees of latitude.
    lines = read_layer(lines_of(tmp_path / "in", tmp_path, pixel).files["lines"], "lines").columns
    wide, high = (0.5, 1.0) if not turned else (1.0, 0.5)
    assert sorted(lines["width_mean_m"]) == pytest.approx(sorted([8 * high, 6 * wide]), abs=0.01)
    assert sorted(lines["length_m"]) == pytest.approx(sorted([252 * wide, 74 * high]), abs=0.01)


def test_a_bridge_is_as_long_as_on_the_ground(write_raster, tmp_path):
    levels = np.full((60, 200), 3, np.uint8)
    levels[27:33, 10:190] = 250
    levels[:, 90:110] = np.where(levels[:, 90:110] == 250, 110, 3)
    for name, pixels in (("probability", levels), ("mask", (levels >= 127).astype(np.uint8))):
        write_raster(tmp_path / "in" / f"{name}.tif", pixels[None], transform=NORTH_UP)
    found = {}
    for width in (1.0, 0.5):
        pixel = PixelSize(1.0, width)
        made = lines_of(tmp_path / "in", tmp_path / str(width), pixel)
        found[width] = read_layer(made.files["lines"], "lines").columns["bridged_m"]
    assert max(found[1.0]) > 20
    assert found[0.5] == pytest.approx([one / 2 for one in found[1.0]], rel=0.05)


def test_degrees_of_longitude_come_first(write_raster, tmp_path):
    mask = np.where(cross(), 1, 0).astype(np.uint8)
    # Near Boston: the axes of EPSG:4326 are latitude and longitude, those of files the reverse.
    place = Affine(1e-5, 0, -71.0, 0, -1e-5, 42.0)
    write_raster(tmp_path / "in" / "mask.tif", mask[None], crs="EPSG:4326", transform=place)
    with open_levels(tmp_path / "in" / "mask.tif") as raster:
        pixel = pixel_size(raster)
    made = lines_of(tmp_path / "in", tmp_path, pixel)
    lines = read_layer(made.files["lines"], "lines")
    left, bottom, right, top = shapely.total_bounds(lines.geometries)
    assert (left, right) == pytest.approx((-71.0 + 13.5e-5, -71.0 + 126.5e-5))
    assert (top, bottom) == pytest.approx((42.0 - 13.5e-5, 42.0 - 106.5e-5))
    # A pixel is 1.11 m down and 0.83 m across.
    across = 113 * pixel.width + 93 * pixel.height
    assert sum(lines.columns["length_m"]) == pytest.approx(across, rel=1e-3)


def test_without_a_size_of_pixels_lengths_are_in_pixels(write_raster, tmp_path):
    mask = np.where(cross(), 1, 0).astype(np.uint8)
    write_raster(tmp_path / "in" / "mask.tif", mask[None], crs=None)
    made = lines_of(tmp_path / "in", tmp_path, None)
    lines = read_layer(made.files["lines"], "lines")
    assert sum(lines.columns["length_px"]) == 113 + 93
    assert made.found.kilometres is None
    # Below the axis, where GIS programs show an image without coordinates.
    assert shapely.total_bounds(lines.geometries)[3] == -13.5


def test_lines_are_kept_until_rasters_or_settings_change(write_raster, tmp_path):
    ours = tmp_path / "in"
    write_raster(ours / "mask.tif", np.where(cross(), 1, 0).astype(np.uint8)[None])
    first = lines_of(ours, tmp_path)
    path = first.files["lines"]
    os.utime(path, (1, 1))
    again = lines_of(ours, tmp_path)
    assert again.found == first.found
    assert path.stat().st_mtime == 1
    for changed in (
        {"settings": LineSettings(least_spur=8, least_line=10, tolerance=3.0)},
        {"pixel": PixelSize(3.0, 3.0)},
        {"overwrite": True, "pixel": PixelSize(3.0, 3.0)},
    ):
        os.utime(path, (1, 1))
        lines_of(ours, tmp_path, **changed)
        assert path.stat().st_mtime > 1
    write_raster(ours / "mask.tif", np.where(cross().T, 1, 0).astype(np.uint8)[None])
    path.write_bytes(path.read_bytes()[:4096])
    assert rows_of(lines_of(ours, tmp_path).files["lines"]) == rows_of(
        lines_of(ours, tmp_path / "other").files["lines"]
    )
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_a_mask_without_roads_gives_empty_layers(write_raster, tmp_path):
    write_raster(tmp_path / "in" / "mask.tif", np.zeros((1, 50, 60), np.uint8))
    made = lines_of(tmp_path / "in", tmp_path)
    assert rows_of(made.files["lines"]) == {"lines": [], "nodes": [], "polygons": []}
    assert made.found.kilometres == 0


def test_lines_drawn_at_their_width_are_the_mask_and_may_be_labels(write_raster, tmp_path):
    mask, _ = _roads()
    path = write_raster(tmp_path / "in" / "mask.tif", mask[None], transform=NORTH_UP)
    made = lines_of(tmp_path / "in", tmp_path)
    with open_levels(path) as raster:
        scene = VectorScene(made.files["lines"], raster, width=14.0)
        drawn = scene.read(Window(0, 0, *mask.shape))[0][0] > 0
    both = (drawn & (mask > 0)).sum()
    assert 2 * both / (drawn.sum() + (mask > 0).sum()) >= 0.95


def _roads():
    """A drawn network of roads of 7 pixels [h, w], straight and slanted, and its lines."""
    ways = [
        shapely.LineString(points)
        for points in (
            [(20, 20), (280, 60)], [(20, 150), (150, 130), (280, 220)], [(60, 5), (80, 230)],
            [(200, 15), (170, 230)], [(250, 20), (255, 240)],
        )
    ]  # fmt: skip
    shapes = [(way.buffer(3.5), 1) for way in ways]
    return rasterize(shapes, (250, 300), dtype="uint8"), ways


def test_the_lines_of_a_drawn_network_are_those_that_were_drawn(write_raster, tmp_path):
    mask, ways = _roads()
    write_raster(tmp_path / "in" / "mask.tif", mask[None], transform=NORTH_UP)
    made = lines_of(tmp_path / "in", tmp_path)
    # Six crossings of five roads.
    assert (made.found.junctions, made.found.ends) == (6, 10)
    drawn = sum(way.length for way in ways)
    assert made.found.pixels == pytest.approx(drawn, rel=0.02)
    lines = read_layer(made.files["lines"], "lines").geometries
    placed = shapely.union_all([shapely.affinity.affine_transform(way, AFFINE) for way in ways])
    assert max(shapely.distance(shapely.points(line.coords[:]), placed).max() for line in lines) < 4
