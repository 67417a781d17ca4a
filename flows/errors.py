"""Errors of flows and their server."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.results.result import Result

_NAMED = 5
"""Failures whose reasons are given in one message."""


class FlowsError(Exception):
    """Root of what this package raises."""


class ScenesFailedError(FlowsError, RuntimeError):
    """Some scenes of a batch failed; the others are done.

    Args:
        result: Of the whole run; the reasons are in its `failed`.
    """

    def __init__(self, result: "Result") -> None:
        from pipelines.results.failure import said_once

        reasons = said_once(result.failed)
        if more := len(reasons[_NAMED:]):
            reasons[_NAMED:] = [f"and {more} more, which the log names"]
        super().__init__("; ".join([result.done, *reasons]))
        self.result = result


class OptionsError(FlowsError, ValueError):
    """Options of a run that cannot be, or do not go together."""


class ServerError(FlowsError, ConnectionError):
    """The Prefect server cannot be started or found."""


class ClusterError(FlowsError, RuntimeError):
    """The workers of a cluster cannot be started."""


class NotifyError(FlowsError, ValueError):
    """A notification cannot be set up as it was asked for."""


def checked(result: "Result") -> "Result":
    """Returns the result if no scene failed.

    Raises:
        ScenesFailedError: A scene failed.
    """
    if result.failed:
        raise ScenesFailedError(result)
    return result
