"""Loads results as layers: with the style beside them, in the order that shows all of them."""

from __future__ import annotations

from typing import ClassVar

from qgis.core import (
    QgsLayerTreeLayer,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
)


class _Styled(QgsProcessingLayerPostProcessorInterface):
    """Gives a layer its own style, once it is in the project."""

    def __init__(self, scene: str, rank: int, hidden: bool) -> None:
        super().__init__()
        self._scene, self._rank, self._hidden = scene, rank, hidden

    def postProcessLayer(
        self,
        layer: QgsMapLayer,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> None:
        """Is called by QGIS."""
        # Processing loads layers without the style that lies beside them.
        layer.loadDefaultStyle()
        layer.triggerRepaint()
        node = context.project().layerTreeRoot().findLayer(layer.id())
        if node is not None:
            node.setItemVisibilityChecked(not self._hidden)
            _put_below(node, self._scene, self._rank)


class Loading:
    """Has the layers of a scene loaded when an algorithm is done.

    Args:
        context: Of the algorithm.
        scene: Name of the scene.
    """

    _kept: ClassVar[list[_Styled]] = []
    """QGIS takes no reference: what it calls later must not be gone."""

    def __init__(self, context: QgsProcessingContext, scene: str) -> None:
        self._context, self._scene = context, scene

    def add(self, path: str, name: str, rank: int, *, hidden: bool = False) -> str:
        """Has a file loaded, as a layer above those of a lower rank.

        Args:
            path: The file; of a GeoPackage the layer of this name is loaded.
            name: What the layer holds.
            rank: Its place among the scene's layers.
            hidden: Whether it is only drawn once a person ticks it.

        Returns:
            The source of the layer.
        """
        source = f"{path}|layername={name}" if path.endswith(".gpkg") else path
        project = self._context.project()
        if project is not None:
            styled = _Styled(self._scene, rank, hidden)
            self._kept.append(styled)
            title = f"{self._scene}: {name}"
            details = QgsProcessingContext.LayerDetails(title, project, title)
            details.forceName = True
            details.layerSortKey = rank  # From QGIS 3.32 on; others read it nowhere.
            details.setPostProcessor(styled)
            self._context.addLayerToLoadOnCompletion(source, details)
        return source


def _put_below(node: QgsLayerTreeLayer, scene: str, rank: int) -> None:
    """Moves a layer below those of the same scene that have a higher rank."""
    node.setCustomProperty("rurnet/scene", scene)
    node.setCustomProperty("rurnet/rank", rank)
    siblings = node.parent().children()
    place = siblings.index(node)
    above = 0
    for other in siblings[place + 1 :]:
        if other.customProperty("rurnet/scene") != scene:
            break
        above += int(other.customProperty("rurnet/rank")) > rank
    if above:
        node.parent().insertChildNode(place + above + 1, node.clone())
        node.parent().removeChildNode(node)
