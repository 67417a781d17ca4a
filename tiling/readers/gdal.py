"""How GDAL is set up: its cache, and what it must not do with files of strangers.

GDAL reads all of this from the environment when it needs it. A user's own settings stay.
"""

import logging
import os

BLOCK_CACHE_BYTES = 64 * 1024 * 1024
"""GDAL's block cache; its own default is a twentieth of the machine's memory."""

NOT_LOADED = (
    # They fetch what a file names: `scene.tif` may be a description of a web service.
    "DAAS", "EEDA", "EEDAI", "HTTP", "PLMOSAIC", "STACIT", "STACTA", "WCS", "WMS", "WMTS",
    "AmigoCloud", "CSW", "Carto", "Elasticsearch", "GML", "NGW", "OAPIF", "OGCAPI", "PLSCENES",
    "WFS",
    # They load libraries or start programs that a file names, or open any other file as vectors.
    "ADBC", "GDALG", "GPSBabel", "OGR_VRT",
)  # fmt: skip
"""Drivers that are not loaded. Rasterio and pyogrio have a GDAL each, which has some of them."""

_SETTINGS = {
    "GDAL_CACHEMAX": str(BLOCK_CACHE_BYTES),
    # With this shortcut GDAL gives noise and no error where a PNG is cut off.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
    "GDAL_SKIP": ",".join(NOT_LOADED),
    # Pixel functions that a VRT brings along.
    "GDAL_VRT_ENABLE_PYTHON": "NO",
}


def _is_of_interest(record: logging.LogRecord) -> bool:
    """Not the warnings of one copy of GDAL about drivers that the other one has."""
    return "unload from GDAL_SKIP" not in record.getMessage()


for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)
logging.getLogger("rasterio._env").addFilter(_is_of_interest)
