"""The formats that lines are written in."""

import json
import sqlite3
from contextlib import closing
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.warp import transform

from pipelines.config.lines import LineSettings
from pipelines.errors import PipelineError
from pipelines.lines.features import Layer
from pipelines.lines.files import noted, write
from tests.pipelines.lines.conftest import read_layer
from tests.pipelines.lines.test_vectorise import lines_of

LAYERS = ["lines", "nodes", "polygons"]


def made_as(format, ours, folder):
    return lines_of(ours, folder, settings=LineSettings(least_spur=8, least_line=10, format=format))


@pytest.fixture(scope="module")
def geopackage(ours, tmp_path_factory):
    return made_as("gpkg", ours, tmp_path_factory.mktemp("gpkg")).files["lines"]


def test_a_geopackage_has_the_layers_with_a_style_each(geopackage):
    layers = pyogrio.list_layers(geopackage).tolist()
    assert [name for name, kind in layers if kind] == LAYERS
    assert [kind for _, kind in layers if kind] == ["LineString", "Point", "Polygon"]
    with closing(sqlite3.connect(geopackage)) as database:
        styles = database.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ).fetchall()
        columns = dict(
            database.execute("SELECT table_name, column_name FROM gpkg_geometry_columns")
        )
        [(check,)] = database.execute("PRAGMA integrity_check").fetchall()
    assert check == "ok"
    assert [(name, column, default) for name, column, default, _ in styles] == [
        (name, columns[name], 1) for name in LAYERS
    ]
    for *_, qml in styles:
        assert ElementTree.fromstring(qml.split("\n", 1)[1]).tag == "qgis"


def test_flatgeobuf_has_a_file_and_a_style_for_each_layer(geopackage, ours, tmp_path):
    made = made_as("flatgeobuf", ours, tmp_path)
    assert sorted(path.name for path in made.files.values()) == [f"{name}.fgb" for name in LAYERS]
    for name in LAYERS:
        one, other = read_layer(made.files[name], name), read_layer(geopackage, name)
        # The format sorts features by place.
        assert dict(zip(one.columns["id"], shapely.to_wkb(one.geometries), strict=True)) == dict(
            zip(other.columns["id"], shapely.to_wkb(other.geometries), strict=True)
        )
        assert one.crs == other.crs == "EPSG:26986"
        assert (tmp_path / f"{name}.qml").is_file()
    assert noted(made.files["lines"])["made_from"]["format"] == "flatgeobuf"


def test_geoparquet_says_its_crs_and_holds_the_same(geopackage, ours, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    made = made_as("geoparquet", ours, tmp_path)
    for name in LAYERS:
        table = parquet.read_table(made.files[name])
        about = json.loads(table.schema.metadata[b"geo"])
        geometry = about["columns"][about["primary_column"]]
        assert geometry["encoding"] == "WKB"
        assert geometry["crs"]["id"] == {"authority": "EPSG", "code": 26986}
        other = read_layer(geopackage, name)
        assert table["id"].to_pylist() == other.columns["id"]
        assert table["geometry"].to_pylist() == list(shapely.to_wkb(other.geometries))
    assert noted(made.files["lines"])["made_from"]["format"] == "geoparquet"


def test_without_pyarrow_geoparquet_is_refused_with_a_remedy(ours, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(PipelineError, match=r"pip install 'rurnet\[geoparquet\]'"):
        made_as("geoparquet", ours, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def tiles(ours, tmp_path_factory):
    """The files of PMTiles."""
    return made_as("pmtiles", ours, tmp_path_factory.mktemp("pmtiles")).files


def test_pmtiles_have_a_layer_each_at_every_zoom_of_a_map(tiles):
    reader = pytest.importorskip("pmtiles.reader", reason="pmtiles is not installed")
    assert list(tiles) == LAYERS
    for name in LAYERS:
        with tiles[name].open("rb") as file:
            source = reader.MmapSource(file)
            header, about = reader.Reader(source).header(), reader.Reader(source).metadata()
            zooms = {zoom for (zoom, _, _), _ in reader.all_tiles(source)}
        assert [layer["id"] for layer in about["vector_layers"]] == [name]
        assert header["tile_type"].name == "MVT"
        assert (header["min_zoom"], header["max_zoom"]) == (6, 15)
        assert zooms == set(range(6, 16))


def test_lines_in_pmtiles_lie_where_those_of_the_geopackage_do(tiles, geopackage):
    lines = read_layer(geopackage, "lines")
    crs, _, shapes, values = pyogrio.raw.read(tiles["lines"], layer="lines")
    assert crs["crs"] == "EPSG:3857"
    ids = dict(zip(crs["fields"], values, strict=True))["id"]
    assert set(ids) == set(lines.columns["id"])
    # Web Mercator at 42.8 degrees: a metre on the ground is 1.36 there.
    expected = shapely.transform(shapely.union_all(lines.geometries), web_mercator)
    found = shapely.union_all(shapely.from_wkb(shapes))
    assert shapely.hausdorff_distance(found, expected) < 1
    assert found.length == pytest.approx(expected.length, rel=0.01)


def web_mercator(points):
    return np.column_stack(transform("EPSG:26986", "EPSG:3857", *points.T))


def test_lines_get_simpler_from_zoom_to_zoom(tiles):
    counts = [
        sum(map(shapely.get_num_coordinates, shapely.from_wkb(shapes)))
        for shapes in (
            pyogrio.raw.read(tiles["lines"], layer="lines", ZOOM_LEVEL=zoom)[2]
            for zoom in (11, 13, 15)
        )
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] / 2


def test_a_layer_without_features_has_no_pmtiles_and_an_earlier_one_goes(ours, tmp_path):
    made_as("pmtiles", ours, tmp_path)
    settings = LineSettings(least_line=1e6, least_spur=1e6, format="pmtiles")
    made = lines_of(ours, tmp_path, settings=settings)
    assert list(made.files) == ["polygons"]
    assert not (tmp_path / "lines.pmtiles").exists()


def test_pmtiles_of_a_scene_without_coordinates_are_refused(ours, tmp_path):
    with pytest.raises(PipelineError, match=r"no coordinates; give --format gpkg"):
        write([Layer("lines", "LineString", np.array([]))], None, tmp_path, "pmtiles", {})
    assert not list(tmp_path.iterdir())
