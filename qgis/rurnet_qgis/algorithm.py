"""What the algorithms have in common: they run a command, show its progress, load its layers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from .child import Ended, Listener, run
from .commands import environment, file_of

OUTPUT = "OUTPUT"
MORE = "MORE"


class Shown(Listener):
    """Shows a child's progress where QGIS shows that of its algorithms.

    Args:
        feedback: Of the algorithm.
    """

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback

    def share(self, share: float, said: str) -> None:
        """See `Listener`."""
        self._feedback.setProgress(100 * share)
        self._feedback.setProgressText(said)

    def line(self, text: str) -> None:
        """See `Listener`."""
        self._feedback.pushConsoleInfo(text)

    def cancelled(self) -> bool:
        """See `Listener`."""
        return bool(self._feedback.isCanceled())


class CommandAlgorithm(QgsProcessingAlgorithm):
    """An algorithm that runs a command of `rurnet`.

    Subclasses name themselves, declare their parameters, say which words they run and what they
    return.

    Args:
        program: Returns the path of the `rurnet` program.
    """

    NAME = ""
    TITLE = ""
    HELP = ""

    def __init__(self, program: Callable[[], str]) -> None:
        super().__init__()
        self._program = program

    def createInstance(self) -> CommandAlgorithm:
        """Returns another one."""
        return type(self)(self._program)

    def name(self) -> str:
        """In `qgis_process`, after the colon."""
        return self.NAME

    def displayName(self) -> str:
        """In the toolbox."""
        return self.TITLE

    def shortHelpString(self) -> str:
        """Beside the parameters."""
        return self.HELP

    def words(
        self, parameters: dict[str, Any], context: QgsProcessingContext, output: str
    ) -> list[str]:
        """What follows the program.

        Raises:
            ValueError: A layer is no file.
        """
        raise NotImplementedError

    def results(self, ended: Ended, output: Path, context: QgsProcessingContext) -> dict[str, Any]:
        """The values of the outputs; loads what is to be loaded."""
        raise NotImplementedError

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Runs the command.

        Raises:
            QgsProcessingException: It failed, or there is no such program.
        """
        output = self.parameterAsString(parameters, OUTPUT, context)
        program = self._program()
        try:
            words = self.words(parameters, context, output)
            feedback.pushCommandInfo(" ".join([program, *words]))
            ended = run(program, words, environment(os.environ), Shown(feedback))
        except ValueError as error:
            raise QgsProcessingException(str(error)) from error
        except OSError as error:
            raise QgsProcessingException(
                f"{program}: cannot be run ({error.strerror}). Install rurnet (pip install, in a "
                "Python of its own), and give the path of its program under Settings > Options > "
                "Processing > Providers > RurNet."
            ) from error
        if ended.status is None:
            feedback.pushInfo(
                "Stopped. What is finished stays in the output folder: run it again with the same "
                "folder to go on from there."
            )
            return {}
        if ended.status != 0:
            raise QgsProcessingException("\n".join(ended.errors or ended.last))
        return {OUTPUT: output, **self.results(ended, Path(output), context)}

    def add_output_folder(self) -> None:
        """Adds the folder of the results."""
        self.addParameter(
            QgsProcessingParameterFolderDestination(
                OUTPUT, "Folder of the results (choose one, and a stopped run can go on)"
            )
        )

    def add_more(self) -> None:
        """Adds a field for all options that have none of their own."""
        more = QgsProcessingParameterString(
            MORE, "Further options, as on the command line", optional=True
        )
        self.add_advanced(more)

    def add_number(self, name: str, title: str, highest: float = 1e6) -> None:
        """Adds a number from 0 on that may be left out."""
        self.add_advanced(
            QgsProcessingParameterNumber(
                name, title, QgsProcessingParameterNumber.Double, None, True, 0.0, highest
            )
        )

    def add_advanced(self, parameter: QgsProcessingParameterDefinition) -> None:
        """Adds a parameter that is folded away."""
        parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
        self.addParameter(parameter)

    def number(
        self, parameters: dict[str, Any], name: str, context: QgsProcessingContext
    ) -> float | None:
        """The value of a number that may be left out."""
        if parameters.get(name) is None:
            return None
        return float(self.parameterAsDouble(parameters, name, context))

    def file(self, parameters: dict[str, Any], name: str, context: QgsProcessingContext) -> str:
        """The file of a layer; empty if it was left out.

        Raises:
            ValueError: It is no file.
        """
        layer = self.parameterAsLayer(parameters, name, context)
        return "" if layer is None else file_of(layer.source())


LAYERS: Sequence[int] = (QgsProcessing.TypeRaster, QgsProcessing.TypeVectorAnyGeometry)
"""Kinds of layers that can be labels."""
