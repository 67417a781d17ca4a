"""What ended a scene, in one line; of what nobody foresaw the traceback goes to a log."""

import traceback
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pipelines.errors import (
    DeviceLostError,
    DeviceMemoryError,
    PipelineError,
    UnforeseenError,
    first_few,
    shortened,
)
from pipelines.results.this_run import Failure
from rurnet.errors import RurnetError
from tiling.errors import TilingError
from tiling.scenes.names import without_secrets

LOG = "failures.log"
"""Name of the file, in the output's folder, that tracebacks are appended to."""

OWN_ERRORS = (TilingError, PipelineError, RurnetError)
"""Errors whose message is enough: it names the file, what is wrong and a remedy."""


def failure_line(source: str, error: Exception, folder: Path | None) -> str:
    """Says what ended a scene. Nothing secret of a URL is in it, or in the log.

    Args:
        source: The scene, as it is shown.
        error: What ended it.
        folder: Takes the log of errors that are not ours; None writes none.
    """
    if isinstance(error, DeviceLostError | DeviceMemoryError):
        return without_secrets(f"{source}: {error}")
    if isinstance(error, OWN_ERRORS) and not isinstance(error, UnforeseenError):
        return without_secrets(str(error))
    line = f"{source}: {unforeseen(error)}"
    log = None if folder is None else _logged(folder / LOG, source, error)
    where = "" if log is None else f"; its traceback is in {log}"
    remedy = (
        "give a smaller --part-size, --batch or --tile"
        if isinstance(error, MemoryError)
        else "write the file anew as GeoTIFF and give that, or leave it out"
    )
    return f"{line}{where}; {remedy}"


def said_once(failed: Sequence[Failure]) -> list[str]:
    """Returns a line for each failure; what several have in common is said once, of all of them."""
    reasons: dict[str, list[str]] = {}
    for one in failed:
        reason = one.error.removeprefix(f"{one.input}: ")
        reasons.setdefault(reason, []).append(one.input)
    lines = {one.error.removeprefix(f"{one.input}: "): one.error for one in failed}
    return [
        lines[reason] if len(inputs) == 1 else f"{len(inputs)} ({first_few(inputs)}): {reason}"
        for reason, inputs in reasons.items()
    ]


def unforeseen(error: Exception) -> str:
    """An error that is not ours, by kind and message, in one line."""
    if isinstance(error, UnforeseenError):
        return str(error)
    return f"{type(error).__name__}: {shortened(error) or 'no message'}"


def trace_of(error: Exception) -> str:
    """The traceback of an error; of one that a worker sent, the worker's."""
    if isinstance(error, UnforeseenError):
        return error.trace
    return "".join(traceback.format_exception(error))


def _logged(log: Path, source: str, error: Exception) -> Path | None:
    """Appends a traceback to a log; None where the disk refuses."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    text = without_secrets(f"{when} {source}\n{trace_of(error)}\n")
    with suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(text)
        return log
    return None
