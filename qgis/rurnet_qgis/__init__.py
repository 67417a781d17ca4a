"""A QGIS plugin: Processing algorithms that run the `rurnet` command line.

QGIS's Python is not the one that `rurnet` is installed in, so nothing here imports it. `commands`
and `child` are plain Python; the other modules import QGIS. QGIS 3.22 may run Python 3.9.
"""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:
    """Returns the plugin; QGIS calls it by this name."""
    from .plugin import RurnetPlugin

    return RurnetPlugin()
