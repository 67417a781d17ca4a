"""The algorithms: their parameters, their words and their results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingOutputHtml,
    QgsProcessingOutputNumber,
    QgsProcessingOutputRasterLayer,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterMapLayer,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorLayer,
)

from .algorithm import LAYERS, MORE, CommandAlgorithm
from .child import Ended
from .commands import compare_with_labels, find_roads, vectorise_mask
from .loading import Loading


class FindRoads(CommandAlgorithm):
    """`rurnet infer-roads`."""

    NAME = "findroads"
    TITLE = "Find roads"
    HELP = (
        "Finds the roads of an aerial scene. The results are a mask, the probabilities, and lines "
        "with length and width.\n\nThe scene must have the bands that the weights were trained on "
        "(red, green, blue). Work that is stopped goes on from where it was if it is run again "
        "with the same folder of results."
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declares the parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", "Scene"))
        self.addParameter(
            QgsProcessingParameterBoolean("LINES", "Roads as lines too", defaultValue=True)
        )
        self.addParameter(
            QgsProcessingParameterVectorLayer(
                "AREA", "Area of interest (a GeoJSON file)",
                [QgsProcessing.TypeVectorPolygon], optional=True,
            )
        )  # fmt: skip
        self.add_advanced(
            QgsProcessingParameterString(
                "MODEL", "Weights (a name or a file; empty: the default)", optional=True
            )
        )
        self.add_number("THRESHOLD", "Probability from which on a pixel is road", 1.0)
        self.add_more()
        self.add_output_folder()
        self.addOutput(QgsProcessingOutputRasterLayer("MASK", "Mask"))
        self.addOutput(QgsProcessingOutputRasterLayer("PROBABILITY", "Probability"))
        self.addOutput(QgsProcessingOutputVectorLayer("ROADS", "Lines"))
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def words(
        self, parameters: dict[str, Any], context: QgsProcessingContext, output: str
    ) -> list[str]:
        """See `CommandAlgorithm`."""
        return find_roads(
            self.file(parameters, "INPUT", context),
            output,
            model=self.parameterAsString(parameters, "MODEL", context),
            lines=self.parameterAsBool(parameters, "LINES", context),
            threshold=self.number(parameters, "THRESHOLD", context),
            area=self.file(parameters, "AREA", context),
            more=self.parameterAsString(parameters, MORE, context),
        )

    def results(self, ended: Ended, output: Path, context: QgsProcessingContext) -> dict[str, Any]:
        """See `CommandAlgorithm`."""
        results: dict[str, Any] = {"REPORT": str(output / "report.html")}
        for scene in ended.scenes:
            loading = Loading(context, scene.name)
            probability = scene.files["probability"]
            results["PROBABILITY"] = loading.add(probability, "probability", 0, hidden=True)
            results["MASK"] = loading.add(scene.files["mask"], "mask", 1)
            if "lines" in scene.files:
                results["ROADS"] = loading.add(scene.files["lines"], "lines", 2)
        return results


class VectoriseMask(CommandAlgorithm):
    """`rurnet vectorise`."""

    NAME = "vectorisemask"
    TITLE = "Vectorise mask"
    HELP = (
        "Turns a mask of roads, or a raster of probabilities, into lines along their middle. It "
        "may be of any tool. Where there are probabilities, gaps are bridged that they support."
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declares the parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", "Mask or probabilities"))
        self.add_number("TOLERANCE", "Tolerance of the lines in metres")
        self.add_number("LONGEST_GAP", "Longest gap that is bridged, in metres")
        self.add_more()
        self.add_output_folder()
        self.addOutput(QgsProcessingOutputVectorLayer("ROADS", "Lines"))
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def words(
        self, parameters: dict[str, Any], context: QgsProcessingContext, output: str
    ) -> list[str]:
        """See `CommandAlgorithm`."""
        return vectorise_mask(
            self.file(parameters, "INPUT", context),
            output,
            tolerance=self.number(parameters, "TOLERANCE", context),
            longest_gap=self.number(parameters, "LONGEST_GAP", context),
            more=self.parameterAsString(parameters, MORE, context),
        )

    def results(self, ended: Ended, output: Path, context: QgsProcessingContext) -> dict[str, Any]:
        """See `CommandAlgorithm`."""
        results: dict[str, Any] = {"REPORT": str(output / "report.html")}
        for scene in ended.scenes:
            results["ROADS"] = Loading(context, scene.name).add(scene.files["lines"], "lines", 0)
        return results


class CompareWithLabels(CommandAlgorithm):
    """`rurnet evaluate`."""

    NAME = "comparewithlabels"
    TITLE = "Compare with labels"
    HELP = (
        "Scores a mask or a raster of probabilities against a label, and loads the places where "
        "they disagree, the largest first. Labels may be a raster on the same grid, or lines "
        "(give their width)."
    )
    SCORES: ClassVar = {"F1": "f1", "PRECISION": "precision", "RECALL": "recall"}

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declares the parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", "Mask or probabilities"))
        self.addParameter(QgsProcessingParameterMapLayer("LABELS", "Labels", types=list(LAYERS)))
        self.add_number("LABEL_WIDTH", "Width of the lines in labels of vectors, in metres")
        self.add_more()
        self.add_output_folder()
        for name in self.SCORES:
            self.addOutput(QgsProcessingOutputNumber(name, name.capitalize()))
        self.addOutput(QgsProcessingOutputVectorLayer("ERRORS", "Misses and false alarms"))
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def words(
        self, parameters: dict[str, Any], context: QgsProcessingContext, output: str
    ) -> list[str]:
        """See `CommandAlgorithm`."""
        return compare_with_labels(
            self.file(parameters, "INPUT", context),
            self.file(parameters, "LABELS", context),
            output,
            label_width=self.number(parameters, "LABEL_WIDTH", context),
            more=self.parameterAsString(parameters, MORE, context),
        )

    def results(self, ended: Ended, output: Path, context: QgsProcessingContext) -> dict[str, Any]:
        """See `CommandAlgorithm`."""
        report = json.loads((output / "report.json").read_text(encoding="utf-8"))
        scores = report["pooled"]["foreground"]
        results: dict[str, Any] = {"REPORT": str(output / "report.html")}
        results.update({name: scores[key] for name, key in self.SCORES.items()})
        errors = output / "errors.gpkg"
        if errors.is_file():
            results["ERRORS"] = Loading(context, "misses and false alarms").add(
                str(errors), "errors", 0
            )
        return results
