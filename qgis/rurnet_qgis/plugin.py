"""The plugin as QGIS loads it: it adds the provider of the algorithms."""

from __future__ import annotations

from qgis.core import QgsApplication

from .provider import RurnetProvider


class RurnetPlugin:
    """Adds and removes the provider; QGIS calls its methods by their names."""

    def __init__(self) -> None:
        self._provider: RurnetProvider | None = None

    def initProcessing(self) -> None:
        """Adds the provider; all that `qgis_process` asks of a plugin."""
        self._provider = RurnetProvider()
        QgsApplication.processingRegistry().addProvider(self._provider)

    def initGui(self) -> None:
        """Is called with a window; there is nothing but the algorithms."""
        self.initProcessing()

    def unload(self) -> None:
        """Removes the provider."""
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
            self._provider = None
