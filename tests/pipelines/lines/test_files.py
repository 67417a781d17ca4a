"""The formats that lines are written in."""

import json
import sqlite3
from contextlib import closing
from xml.etree import ElementTree

import pyogrio
import pytest
import shapely

from pipelines.config.lines import LineSettings
from pipelines.errors import PipelineError
from pipelines.lines.files import noted
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
