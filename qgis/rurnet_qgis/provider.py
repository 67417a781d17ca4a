"""The provider: its algorithms and its one setting."""

from __future__ import annotations

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import QgsProcessingProvider

from .algorithms import CompareWithLabels, FindRoads, VectoriseMask
from .commands import PROGRAM

SETTING = "RURNET_PROGRAM"
"""Name of the setting that holds the path of the `rurnet` program."""


class RurnetProvider(QgsProcessingProvider):
    """`rurnet:findroads`, `rurnet:vectorisemask` and `rurnet:comparewithlabels`."""

    def id(self) -> str:
        """Before the colon."""
        return "rurnet"

    def name(self) -> str:
        """In the toolbox."""
        return "RurNet"

    def load(self) -> bool:
        """Adds the setting, under Settings > Options > Processing > Providers > RurNet."""
        ProcessingConfig.settingIcons[self.name()] = self.icon()
        ProcessingConfig.addSetting(
            Setting(
                self.name(), SETTING, "Path of the rurnet program", PROGRAM, valuetype=Setting.FILE
            )
        )
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self) -> None:
        """Takes the setting away."""
        ProcessingConfig.removeSetting(SETTING)

    def loadAlgorithms(self) -> None:
        """Adds the algorithms."""
        for algorithm in (FindRoads, VectoriseMask, CompareWithLabels):
            self.addAlgorithm(algorithm(lambda: str(ProcessingConfig.getSetting(SETTING))))
