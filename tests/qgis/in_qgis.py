"""Runs algorithms of the plugin in QGIS's own Python, loads the layers and draws them.

Usage: in_qgis.py PLUGINS PROGRAM JOBS.json PICTURE.png: a job is an algorithm and its parameters,
and after how many per cent it is cancelled. Prints what came of each as a line of JSON; the layers
of all are drawn over the `INPUT` of the first.
"""

import json
import sys
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

SIDE = 900


class Feedback(QgsProcessingFeedback):
    """Notes the progress, and cancels at some share of it.

    Args:
        end: Per cent from which on the work is cancelled; None lets it end.
    """

    def __init__(self, end):
        super().__init__(False)
        self.shares = []
        self.progressChanged.connect(self.shares.append)
        if end is not None:
            self.progressChanged.connect(lambda share: share >= end and self.cancel())


def run(job, project):
    """Runs a job; loads its layers into the project."""
    from processing.gui.Postprocessing import handleAlgorithmResults

    algorithm = QgsApplication.processingRegistry().algorithmById(job["algorithm"]).create()
    context, feedback = QgsProcessingContext(), Feedback(job.get("cancel"))
    context.setProject(project)
    results, ok = algorithm.run(job["parameters"], context, feedback)
    if ok:
        handleAlgorithmResults(algorithm, context, feedback)
    return {"ok": ok, "results": results, "shares": feedback.shares, "log": feedback.textLog()}


def draw(project, scene, picture):
    """Draws the visible layers over a scene."""
    image = QgsRasterLayer(scene, "scene")
    layers = [node.layer() for node in project.layerTreeRoot().findLayers() if node.isVisible()]
    settings = QgsMapSettings()
    settings.setLayers([*layers, image])
    settings.setDestinationCrs(image.crs())
    settings.setBackgroundColor(QColor("white"))
    settings.setOutputSize(QSize(SIDE, SIDE))
    settings.setExtent(image.extent())
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(picture)


def main(plugins, program, jobs, picture):
    """See the module."""
    sys.path[:0] = [plugins, "/usr/share/qgis/python/plugins"]
    application = QgsApplication([], False)
    application.initQgis()
    from processing.core.Processing import Processing

    Processing.initialize()
    from processing.core.ProcessingConfig import ProcessingConfig
    from rurnet_qgis import classFactory

    plugin = classFactory(None)
    plugin.initProcessing()
    ProcessingConfig.setSettingValue("RURNET_PROGRAM", program)
    project = QgsProject.instance()
    jobs = json.loads(Path(jobs).read_text(encoding="utf-8"))
    for job in jobs:
        print(json.dumps(run(job, project)))
    drawn = [
        [node.layer().name(), node.layer().renderer().type(), node.isVisible()]
        for node in project.layerTreeRoot().findLayers()
    ]
    print(json.dumps(drawn))
    draw(project, jobs[0]["parameters"]["INPUT"], picture)
    plugin.unload()
    project.clear()
    application.exitQgis()


if __name__ == "__main__":
    main(*sys.argv[1:])
