"""How layers are shown: styles for QGIS, beside the layers or in the GeoPackage."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

_LINE = """<symbol type="line" name="0" alpha="1">
<layer class="SimpleLine" enabled="1"><Option type="Map">
<Option type="QString" name="line_color" value="214,39,40,255"/>
<Option type="QString" name="line_width" value="0.66"/>
<Option type="QString" name="line_width_unit" value="MM"/>
<Option type="QString" name="capstyle" value="round"/>
<Option type="QString" name="joinstyle" value="round"/>
</Option></layer></symbol>"""

_POINT = """<symbol type="marker" name="0" alpha="1">
<layer class="SimpleMarker" enabled="1"><Option type="Map">
<Option type="QString" name="name" value="circle"/>
<Option type="QString" name="color" value="255,255,255,255"/>
<Option type="QString" name="outline_color" value="214,39,40,255"/>
<Option type="QString" name="size" value="1.4"/>
<Option type="QString" name="size_unit" value="MM"/>
</Option></layer></symbol>"""

_AREA = """<symbol type="fill" name="0" alpha="0.4">
<layer class="SimpleFill" enabled="1"><Option type="Map">
<Option type="QString" name="color" value="255,187,120,255"/>
<Option type="QString" name="style" value="solid"/>
<Option type="QString" name="outline_style" value="no"/>
</Option></layer></symbol>"""

_OUTLINE = """<symbol type="fill" name="{number}" alpha="1">
<layer class="SimpleFill" enabled="1"><Option type="Map">
<Option type="QString" name="color" value="{colour},90"/>
<Option type="QString" name="style" value="solid"/>
<Option type="QString" name="outline_color" value="{colour},255"/>
<Option type="QString" name="outline_style" value="solid"/>
<Option type="QString" name="outline_width" value="0.5"/>
<Option type="QString" name="outline_width_unit" value="MM"/>
</Option></layer></symbol>"""

_SYMBOLS = {"lines": (_LINE, 1), "nodes": (_POINT, 0), "polygons": (_AREA, 2)}
"""The symbol of each layer, and QGIS's number of its kind of geometry."""

_ERRORS = {"miss": "31,95,214", "false alarm": "208,46,18"}
"""The colour of each kind of error, as in the figures."""


def style_of(layer: str) -> str:
    """The style of a layer, as QGIS reads it (QML)."""
    if layer == "errors":
        return _styled(_errors(), 2)
    symbol, kind = _SYMBOLS[layer]
    return _styled(
        '<renderer-v2 type="singleSymbol" enableorderby="0" forceraster="0">\n'
        f"<symbols>\n{symbol}\n</symbols>\n</renderer-v2>",
        kind,
    )


def _errors() -> str:
    """Misses and false alarms, each in its colour."""
    numbered = list(enumerate(_ERRORS.items()))
    categories = "\n".join(
        f'<category render="true" symbol="{number}" value="{kind}" type="string" label="{kind}"/>'
        for number, (kind, _) in numbered
    )
    symbols = "\n".join(
        _OUTLINE.format(number=number, colour=colour) for number, (_, colour) in numbered
    )
    return (
        '<renderer-v2 type="categorizedSymbol" attr="kind" enableorderby="0" forceraster="0">\n'
        f"<categories>\n{categories}\n</categories>\n<symbols>\n{symbols}\n</symbols>\n"
        "</renderer-v2>"
    )


def _styled(renderer: str, geometry: int) -> str:
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis version="3.22.0" styleCategories="Symbology">\n'
        f"{renderer}\n<layerGeometryType>{geometry}</layerGeometryType>\n</qgis>\n"
    )


def add_styles(geopackage: Path, layers: Sequence[str]) -> None:
    """Puts the styles of some layers into the table that QGIS looks for."""
    with closing(sqlite3.connect(geopackage)) as database:
        _add_styles(database, layers)


def with_styles(geopackage: bytes, layers: Sequence[str]) -> bytes:
    """A GeoPackage with the styles of some of its layers in it."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(geopackage)
        _add_styles(database, layers)
        return database.serialize()


def _add_styles(database: sqlite3.Connection, layers: Sequence[str]) -> None:
    with database:
        database.execute(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), "
            "f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT, "
            "useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), "
            "update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"
        )
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, "
            "last_change, srs_id) VALUES ('layer_styles', 'attributes', 'layer_styles', '', "
            "strftime('%Y-%m-%dT%H:%M:%fZ','now'), 0)"
        )
        for layer in layers:
            database.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, "
                "owner) VALUES ('', '', ?, 'geom', ?, ?, '', 1, '', '')",
                (layer, layer, style_of(layer)),
            )
