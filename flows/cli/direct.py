"""Runs a flow in this process, without Prefect."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from flows.cli.json_progress import JsonProgress, json_is_asked
from flows.cli.process import let_readers_be_quiet
from flows.cli.progress import BarProgress, LogProgress, ManyProgress
from flows.errors import FlowsError, checked
from flows.table import Config, FlowEntry
from pipelines.errors import PipelineError
from pipelines.results.progress import Progress
from pipelines.results.result import Result
from rurnet.errors import RurnetError
from tiling.errors import TilingError

OWN_ERRORS = (PipelineError, TilingError, RurnetError, FlowsError)
"""Errors whose message is enough: it is printed in one line, without a traceback."""


def run_directly(flow: FlowEntry[Config], values: Config, errors: Console) -> Result:
    """Runs a flow; no server starts and no port opens.

    Args:
        flow: What to run.
        values: Its options.
        errors: Where the progress is shown: as a bar on a terminal, or else in lines; in lines of
            JSON too, if these are asked for.

    Raises:
        ScenesFailedError: A scene failed.
    """
    with shown_progress(errors) as progress:
        return checked(flow.run(values, progress))


@contextmanager
def shown_progress(errors: Console) -> Iterator[Progress]:
    """Shows the progress of work in this process.

    Args:
        errors: Where, see `run_directly`.
    """
    let_readers_be_quiet()
    if errors.is_terminal and not json_is_asked():
        with BarProgress(errors) as bar:
            yield bar
        return
    logger = logging.getLogger("rurnet")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        lines = logging.StreamHandler(errors.file)
        lines.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(lines)
    with LogProgress(lambda: logger) as log:
        yield ManyProgress([log, JsonProgress(errors.file)]) if json_is_asked() else log
