"""How results are shown in QGIS: styles, beside the files or in their GeoPackage."""

import sqlite3
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import quoteattr

_LINE_COLOUR = "214,39,40,255"

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

_SINGLE = {"lines": (_LINE, 1), "nodes": (_POINT, 0), "polygons": (_AREA, 2)}
"""The symbol of each layer, and QGIS's number of its kind of geometry."""

_COLOURS = ("#ffd92f", "#17becf", "#2ca02c", "#9467bd", "#ff7f0e", "#1f77b4")
"""Of the classes of a mask, in turn; lines over them are red."""

_CHANGES = ("#2ca02c", "#d62728", "#ff7f0e")
"""Of what appeared, vanished, or is another class now."""

_CHANGED_LINES = {"added": "44,160,44,255", "removed": _LINE_COLOUR}

_ERRORS = {"miss": "31,119,180,255", "false alarm": "255,127,14,255"}
"""Colours of what `errors.gpkg` tells apart."""

_RAMP = ((0.0, "#ffffcc", 0), (0.1, "#ffeda0", 90), (0.5, "#fd8d3c", 200), (1.0, "#bd0026", 230))
"""Probabilities with a colour and an opacity of 0 to 255: nothing is seen where there is none."""


def style_of(layer: str) -> str:
    """The style of a layer of lines, nodes or polygons, as QGIS reads it (QML)."""
    symbol, kind = _SINGLE[layer]
    return _qml(
        '<renderer-v2 type="singleSymbol" enableorderby="0" forceraster="0">\n'
        f"<symbols>\n{symbol}\n</symbols>\n</renderer-v2>\n"
        f"<layerGeometryType>{kind}</layerGeometryType>"
    )


def style_of_changed_lines(layer: str) -> str:
    """The style of the lines that were "added" or "removed"."""
    symbol = _LINE.replace(_LINE_COLOUR, _CHANGED_LINES[layer])
    return _qml(
        '<renderer-v2 type="singleSymbol" enableorderby="0" forceraster="0">\n'
        f"<symbols>\n{symbol}\n</symbols>\n</renderer-v2>\n<layerGeometryType>1</layerGeometryType>"
    )


def style_of_errors() -> str:
    """The style of misses and false alarms."""
    categories = "\n".join(
        f'<category value="{kind}" label="{kind}" symbol="{number}" render="true"/>'
        for number, kind in enumerate(_ERRORS)
    )
    symbols = "\n".join(
        f"""<symbol type="fill" name="{number}" alpha="1"><layer class="SimpleFill" enabled="1">
<Option type="Map"><Option type="QString" name="style" value="no"/>
<Option type="QString" name="outline_color" value="{colour}"/>
<Option type="QString" name="outline_width" value="0.6"/>
<Option type="QString" name="outline_width_unit" value="MM"/></Option></layer></symbol>"""
        for number, colour in enumerate(_ERRORS.values())
    )
    return _qml(
        '<renderer-v2 type="categorizedSymbol" attr="kind" enableorderby="0" forceraster="0">\n'
        f"<categories>\n{categories}\n</categories>\n<symbols>\n{symbols}\n</symbols>\n"
        "</renderer-v2>\n<layerGeometryType>2</layerGeometryType>"
    )


def style_of_change(labels: Mapping[int, str]) -> str:
    """The style of a raster of changes: what is as before is not drawn.

    Args:
        labels: What each value says; 0 is as before.
    """
    return _paletted(labels, _CHANGES)


def style_of_mask(classes: Sequence[str]) -> str:
    """The style of a mask: the background is not drawn, each class has a colour.

    Args:
        classes: Names of the foreground classes; their values are 1, 2, ...
    """
    labels = dict(enumerate(("background", *classes)))
    colours = [_COLOURS[index % len(_COLOURS)] for index in range(len(classes))]
    return _paletted(labels, colours)


def _paletted(labels: Mapping[int, str], colours: Sequence[str]) -> str:
    """The style of a raster whose value 0 is not drawn, while 1, 2, ... have a colour each."""
    entries = [
        f'<paletteEntry value="{value}" label={quoteattr(name)} '
        f'color="{colours[value - 1]}" alpha="255"/>'
        for value, name in labels.items()
        if value
    ]
    entries.insert(
        0, f'<paletteEntry value="0" label={quoteattr(labels[0])} color="#000000" alpha="0"/>'
    )
    return _of_raster(
        '<rasterrenderer type="paletted" band="1" opacity="0.7" alphaBand="-1" '
        f'nodataColor="">\n<colorPalette>\n{"".join(entries)}\n</colorPalette>\n</rasterrenderer>'
    )


def style_of_probability() -> str:
    """The style of probabilities 0 to 1: the likelier, the redder and the less transparent."""
    items = "".join(
        f'<item value="{value:g}" label="{value:g}" color="{colour}" alpha="{alpha}"/>'
        for value, colour, alpha in _RAMP
    )
    return _of_raster(
        '<rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" '
        'nodataColor="" classificationMin="0" classificationMax="1">\n<rastershader>\n'
        '<colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0" '
        f'minimumValue="0" maximumValue="1">\n{items}\n</colorrampshader>\n</rastershader>\n'
        "</rasterrenderer>"
    )


def add_styles(geopackage: sqlite3.Connection, styles: Mapping[str, str]) -> None:
    """Puts the styles of some layers into the table that QGIS looks for.

    Args:
        geopackage: The open file.
        styles: Of each layer, by its name.
    """
    with geopackage:
        geopackage.execute(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), "
            "f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT, "
            "useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), "
            "update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"
        )
        geopackage.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, "
            "last_change, srs_id) VALUES ('layer_styles', 'attributes', 'layer_styles', '', "
            "strftime('%Y-%m-%dT%H:%M:%fZ','now'), 0)"
        )
        for layer, style in styles.items():
            geopackage.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, "
                "owner) VALUES ('', '', ?, 'geom', ?, ?, '', 1, '', '')",
                (layer, layer, style),
            )


def _qml(content: str) -> str:
    """A style as QGIS writes one to a file."""
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        f'<qgis version="3.22.0" styleCategories="Symbology">\n{content}\n</qgis>\n'
    )


def _of_raster(renderer: str) -> str:
    return _qml(f"<pipe>\n{renderer}\n</pipe>\n<blendMode>0</blendMode>")
