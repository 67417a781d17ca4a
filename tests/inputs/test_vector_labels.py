"""Labels that are lines or polygons, and labels whose CRS says more than the scene's."""

import json
from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from rasterio.warp import transform_geom

from pipelines.config.evaluation import Evaluate
from pipelines.config.training import TrainRoads
from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.folder import folder_data
from pipelines.datasets.massachusetts import road_data
from pipelines.errors import LabelError
from pipelines.evaluation.run import evaluate
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.label_checks import check_fits
from pipelines.inputs.labels import Labelling, open_label
from pipelines.inputs.naming import find_label
from pipelines.inputs.opening import Reading
from pipelines.results.progress import Silence
from tiling.errors import SceneError
from tiling.readers.raster import RasterScene
from tiling.window import Window, split

pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")

SIDE = 60
WHOLE = Window(0, 0, SIDE, SIDE)
PLACE = Affine(0.5, 0, 200_000, 0, -0.5, 900_000)
CRS = "EPSG:26986"
SEVEN = Labelling(line_width=7.0)
FORMATS = ["GeoJSON", "GPKG", "FlatGeobuf", "ESRI Shapefile"]
SUFFIX = dict(zip(FORMATS, (".geojson", ".gpkg", ".fgb", ".shp"), strict=True))


def on_ground(*points):
    """Points in pixels, as coordinates."""
    return [PLACE @ point for point in points]


LINE = shapely.LineString(on_ground((-20, 30), (100, 30)))
POLYGON = shapely.Polygon(
    on_ground((10, 10), (50, 10), (50, 50), (10, 50)),
    [on_ground((20, 20), (40, 20), (40, 40), (20, 40))],
)
ROAD = np.zeros((SIDE, SIDE), np.uint8)
ROAD[23:37] = 1
RING = np.zeros((SIDE, SIDE), np.uint8)
RING[10:50, 10:50] = 1
RING[20:40, 20:40] = 0


def save(path, *shapes, crs=CRS, driver="GeoJSON"):
    """Writes shapes in a CRS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    placed = [
        shapely.geometry.shape(transform_geom(CRS, crs, shapely.geometry.mapping(one)))
        for one in shapes
    ]
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array(placed, object)), [], [], driver=driver, crs=crs,
        geometry_type="Unknown" if driver != "ESRI Shapefile" else placed[0].geom_type,
    )  # fmt: skip
    return path


@pytest.fixture
def scene(write_raster, tmp_path):
    """The scene that labels belong to."""
    path = tmp_path / "images" / "a.tif"
    pixels = np.full((3, SIDE, SIDE), 90, np.uint8)
    return write_raster(path, pixels, crs=CRS, transform=PLACE)


def drawn(path, scene, labelling=SEVEN, windows=(WHOLE,)):
    """Classes of the whole, put together from windows."""
    classes = np.zeros((SIDE, SIDE), np.uint8)
    with RasterScene(scene) as on, open_label(path, labelling, on) as label:
        for window in windows:
            classes[window.slices()] = label.read(window)
        assert label.overview(SIDE).tolist() == label.read(WHOLE).tolist()
    return classes


@pytest.mark.parametrize("driver", FORMATS)
@pytest.mark.parametrize("crs", [CRS, "EPSG:4326", "EPSG:32619"])
def test_lines_are_as_wide_as_is_said_and_polygons_keep_their_holes(scene, tmp_path, driver, crs):
    line = save(tmp_path / "labels" / f"a{SUFFIX[driver]}", LINE, crs=crs, driver=driver)
    ring = save(tmp_path / "rings" / f"a{SUFFIX[driver]}", POLYGON, crs=crs, driver=driver)
    # Between two corners, a line that is straight in one CRS is hardly bent in another.
    np.testing.assert_array_equal(drawn(line, scene), ROAD)
    assert (drawn(ring, scene, Labelling()) != RING).mean() < (1e-9 if crs == CRS else 0.02)


def test_a_pixel_is_the_same_in_any_window(scene, tmp_path):
    random = np.random.default_rng(2)
    lines = [
        shapely.LineString(on_ground(*random.uniform(-10, SIDE + 10, (4, 2)))) for _ in range(12)
    ]
    path = save(tmp_path / "a.geojson", *lines, POLYGON, crs="EPSG:32619")
    whole = drawn(path, scene)
    assert 0.2 < whole.mean() < 1
    for side in (1, 7, 16, 31):
        windows = list(split(SIDE, SIDE, side))
        np.testing.assert_array_equal(drawn(path, scene, windows=windows), whole)


def test_one_file_of_vectors_is_of_all_scenes(scene, write_raster, tmp_path):
    east = PLACE @ Affine.translation(SIDE, 0)
    write_raster(
        tmp_path / "images" / "b.tif", np.full((3, SIDE, SIDE), 9, np.uint8), crs=CRS,
        transform=east,
    )  # fmt: skip
    path = save(tmp_path / "roads.gpkg", LINE, driver="GPKG")
    found = []
    for item in road_inputs([str(tmp_path / "images")], path, Reading(labelling=SEVEN)):
        with item.open() as opened:
            check_fits(opened.label, opened.scene)
            found.append(opened.label.read(WHOLE))
    np.testing.assert_array_equal(found[0], ROAD)
    assert found[1][:, :47].sum() == pytest.approx(14 * 40 + np.pi * 7**2 / 2, abs=10)
    assert not found[1][:, 47:].any()


def test_a_prediction_is_scored_against_lines(scene, write_raster, monkeypatch, tmp_path):
    pages = []
    monkeypatch.setattr(
        "pipelines.report.page.render_page",
        lambda report, pictures, *others: pages.append(pictures) or "",
    )
    found = ROAD.copy()
    found[23:30] = 0
    write_raster(tmp_path / "found" / "a.tif", found[None], crs=CRS, transform=PLACE)
    save(tmp_path / "labels" / "a.geojson", LINE, crs="EPSG:4326")
    config = Evaluate(
        predictions=[str(tmp_path / "found")], labels=tmp_path / "labels", label_width="7m",
        output=tmp_path / "out", topology=False,
    )  # fmt: skip
    evaluate(config, Silence())
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["pooled"]["foreground"]["recall"] == 0.5
    assert report["pooled"]["foreground"]["precision"] == 1
    assert pages[0][0].label is not None


def test_a_folder_is_trained_on_with_lines(scene, tmp_path):
    save(tmp_path / "labels" / "a.geojson", LINE)
    config = TrainFolder(images=tmp_path / "images", labels=tmp_path / "labels", label_width="7m")
    data = folder_data(config)
    assert data.classes == ("background", "foreground")
    [[example]] = data.folders
    np.testing.assert_array_equal(example.source.read(WHOLE)["label"][0], ROAD)
    assert example.contents().classes.tolist() == [int((ROAD == 0).sum()), int(ROAD.sum())]


def test_a_size_that_is_told_sets_the_width_of_lines(scene, tmp_path):
    """A metre for a pixel of half a metre: lines of 14 m are as wide as those of 7 m."""
    line = save(tmp_path / "a.geojson", LINE)
    told = Labelling(line_width=14.0, pixel_told=1.0)
    np.testing.assert_array_equal(drawn(line, scene, told), ROAD)
    reading = Reading(labelling=told, pixel_told=1.0)
    [item] = road_inputs([str(scene)], line, reading)
    with item.open() as opened:
        np.testing.assert_array_equal(opened.label.read(WHOLE), ROAD)


def test_a_width_means_nothing_without_a_size_unless_one_is_told(write_raster, tmp_path):
    """Coordinates of a building site lie nowhere on the earth."""
    site = 'LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    pixels = np.ones((3, SIDE, SIDE), np.uint8)
    scene = write_raster(tmp_path / "a.tif", pixels, crs=site, transform=PLACE)
    path = tmp_path / "a.gpkg"
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array([LINE], object)), [], [], driver="GPKG", crs=site,
        geometry_type="LineString",
    )  # fmt: skip
    with pytest.raises(SceneError, match="--pixel-size"):
        drawn(path, scene)
    np.testing.assert_array_equal(drawn(path, scene, replace(SEVEN, pixel_told=0.5)), ROAD)


def test_roads_are_trained_on_with_lines(write_raster, tmp_path):
    folder = tmp_path / "data"
    pixels = np.full((3, SIDE, SIDE), 90, np.uint8)
    for part in ("train", "valid"):
        write_raster(folder / part / "sat" / "a.tif", pixels, crs=CRS, transform=PLACE)
        save(folder / part / "map" / "a.geojson", LINE, crs="EPSG:4326")
    with pytest.raises(SceneError, match="--label-width 7m"):
        road_data(TrainRoads(data=[folder]))
    data = road_data(TrainRoads(data=[folder], label_width="7m"))
    [[example]] = data.folders
    assert example.contents().classes.tolist() == [int((ROAD == 0).sum()), int(ROAD.sum())]
    with data.tests[0].open() as opened:
        np.testing.assert_array_equal(opened.label.read(WHOLE), ROAD)


def test_roads_are_trained_on_with_labels_of_another_grid(write_raster, tmp_path):
    folder = tmp_path / "data"
    drawn_at = PLACE @ Affine.translation(-10, -10)
    for part in ("train", "valid"):
        pixels = np.full((3, SIDE, SIDE), 90, np.uint8)
        write_raster(folder / part / "sat" / "a.tif", pixels, crs=CRS, transform=PLACE)
        label = np.pad(ROAD, 10)[None]
        write_raster(folder / part / "map" / "a.tif", label, crs=CRS, transform=drawn_at)
    with pytest.raises(LabelError, match="--align-labels"):
        road_data(TrainRoads(data=[folder]))
    [[example]] = road_data(TrainRoads(data=[folder], align_labels=True)).folders
    np.testing.assert_array_equal(example.source.read(WHOLE)["label"][0], ROAD)


def test_a_training_without_vectors_goes_on_from_before():
    assert not {"label_width", "align_labels"} & TrainRoads().compared().keys()
    assert TrainRoads(label_width="7m").compared()["label_width"] == "7m"


def test_metres_without_a_crs_are_no_degrees(scene, tmp_path):
    """GeoJSON without a CRS is in longitude and latitude: such a label would be empty."""
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(LINE)))
    with pytest.raises(SceneError, match=r"a\.geojson: its coordinates .* are no degrees"):
        drawn(path, scene)


def test_what_cannot_be_drawn_says_what_to_do(scene, write_raster, tmp_path):
    line = save(tmp_path / "a.geojson", LINE)
    with pytest.raises(SceneError, match=r"a\.geojson: holds lines, .* --label-width 7m"):
        drawn(line, scene, Labelling())
    bare = write_raster(tmp_path / "bare.tif", np.ones((3, SIDE, SIDE), np.uint8), crs=None)
    with pytest.raises(SceneError, match=r"bare\.tif: has no coordinate reference system, so .*a"):
        drawn(line, bare)
    (tmp_path / "b.geojson").write_text("{}")
    with pytest.raises(SceneError, match=r"b\.geojson: no vectors that can be read"):
        drawn(tmp_path / "b.geojson", scene)
    layers = save(tmp_path / "c.gpkg", LINE, driver="GPKG")
    pyogrio.raw.write(
        layers, shapely.to_wkb(np.array([LINE], object)), [], [], driver="GPKG", crs=CRS,
        geometry_type="LineString", layer="other", append=True,
    )  # fmt: skip
    with pytest.raises(SceneError, match=r"c\.gpkg: 2 layers \(c, other\), but one is wanted"):
        drawn(layers, scene)


@pytest.mark.parametrize(("suffix", "driver"), [(".json", "GeoJSON"), (".kml", "KML"),
                                                (".shp.zip", "ESRI Shapefile")])  # fmt: skip
def test_less_usual_vectors_are_labels_where_there_are_no_others(scene, tmp_path, suffix, driver):
    labels = tmp_path / "labels"
    save(labels / f"a{suffix}", LINE, crs="EPSG:4326", driver=driver)
    found = find_label(labels, "a")
    assert found == labels / f"a{suffix}"
    np.testing.assert_array_equal(drawn(found, scene), ROAD)
    usual = save(labels / "a.geojson", LINE)
    assert find_label(labels, "a") == usual


def osm(path, ways):
    """Writes an extract of OpenStreetMap: the tag and the corners of each way, in degrees."""
    nodes, parts = [], []
    for tag, corners in ways:
        references = []
        for longitude, latitude in corners:
            nodes.append(
                f'<node id="{len(nodes) + 1}" version="1" lat="{latitude}" lon="{longitude}"/>'
            )
            references.append(f'<nd ref="{len(nodes)}"/>')
        key, value = tag
        parts.append(f'<way id="{len(parts) + 1}" version="1">{"".join(references)}'
                     f'<tag k="{key}" v="{value}"/></way>')  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f'<?xml version="1.0"?><osm version="0.6">{"".join(nodes)}{"".join(parts)}</osm>'
    )
    return path


def test_of_an_extract_of_openstreetmap_the_roads_for_cars_are_labels(scene, tmp_path):
    line = transform_geom(CRS, "EPSG:4326", shapely.geometry.mapping(LINE))["coordinates"]
    across = transform_geom(
        CRS, "EPSG:4326", shapely.geometry.mapping(shapely.LineString(on_ground((5, 5), (50, 55))))
    )["coordinates"]
    extract = osm(
        tmp_path / "labels" / "a.osm",
        [(("highway", "residential"), line), (("waterway", "river"), across),
         (("highway", "footway"), across)],
    )  # fmt: skip
    assert find_label(tmp_path / "labels", "a") == extract
    np.testing.assert_array_equal(drawn(extract, scene), ROAD)


def test_what_is_no_label_is_named(scene, tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.json").write_text('{"type": "Catalog"}')
    (tmp_path / "labels" / "a.dxf").write_text("")
    config = TrainFolder(images=tmp_path / "images", labels=tmp_path / "labels")
    with pytest.raises(LabelError, match=r"no label of its name .*passed over: a\.dxf, a\.json,"):
        folder_data(config)
