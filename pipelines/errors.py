"""Errors of data, weights, training and prediction; each also is a built-in one would catch."""

from collections.abc import Sequence

from tiling.scenes.names import without_secrets

_LONGEST = 160


def shortened(error: Exception) -> str:
    """What another library says, in one line of at most 160 characters, to quote in ours.

    What is secret in a URL is left out.
    """
    return without_secrets(" ".join(str(error).split()))[:_LONGEST]


def first_few(names: Sequence[str]) -> str:
    """The first four of them, in a line."""
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


class PipelineError(Exception):
    """Root of what this package raises."""


class DataError(PipelineError, OSError):
    """A data set is not where it was said to be, or not in its layout."""


class WeightsError(PipelineError, ValueError):
    """Weights cannot be found or read, or belong to another network."""


class TrainingError(PipelineError, ArithmeticError):
    """A training that cannot go on: its loss is not a number."""


class LabelError(PipelineError, ValueError):
    """A label that does not fit its image."""


class PredictionError(PipelineError, ValueError):
    """A predicted raster that cannot be scored."""


class UnforeseenError(PipelineError, RuntimeError):
    """An error that nobody foresaw, as a Dask worker sends it.

    Args:
        message: It in one line.
        trace: Its traceback.
    """

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message, trace)
        self.trace = trace

    def __str__(self) -> str:
        return str(self.args[0])


class OutOfTimeError(PipelineError):
    """A run cannot be over in the time that it was given."""


class DeviceMemoryError(PipelineError, MemoryError):
    """Not even the smallest batch fits into the memory of the device."""


class DeviceLostError(PipelineError, RuntimeError):
    """A GPU answers no more, or refuses to go on."""


class ClusterLostError(PipelineError):
    """The scheduler of a Dask cluster answers no more."""
