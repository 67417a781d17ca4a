"""Errors of flows and their server."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.results.result import Result


class FlowsError(Exception):
    """Root of what this package raises."""


class ScenesFailedError(FlowsError, RuntimeError):
    """Some scenes of a batch failed; the others are done.

    Args:
        result: Of the whole run; the reasons are in its `failed`.
    """

    def __init__(self, result: "Result") -> None:
        failed = result.failed
        reasons = "; ".join(failure.error for failure in failed)
        super().__init__(f"{len(failed)} of {len(failed) + len(result.report.scenes)} "
                         f"scenes failed: {reasons}")  # fmt: skip
        self.result = result


class ServerError(FlowsError, ConnectionError):
    """The Prefect server cannot be started or found."""


def checked(result: "Result") -> "Result":
    """Returns the result if no scene failed.

    Raises:
        ScenesFailedError: A scene failed.
    """
    if result.failed:
        raise ScenesFailedError(result)
    return result
