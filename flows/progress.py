"""How a run tells that it gets on: a bar on a terminal, lines in a log, an artifact in Prefect."""

import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pipelines import batch

_LINE_EVERY_S = 15.0


class BarProgress:
    """A bar per scene on a terminal; use it as a context.

    It is there only while a scene is predicted: a training before that has a bar of its own.
    """

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("tiles"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def scene(self, name: str, tiles: int) -> None:
        """See `pipelines.batch.Progress`."""
        self._task = self._bar.add_task(name, total=tiles)
        self._bar.start()

    def tiles(self, done: int) -> None:
        """See `pipelines.batch.Progress`."""
        if self._task is not None:
            self._bar.advance(self._task, done)

    def finished(self, outcome: batch.SceneOutcome) -> None:
        """See `pipelines.batch.Progress`."""
        if self._task is not None:
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None


class LogProgress:
    """A line when a scene begins, one now and then, and one when it ends.

    Args:
        logger: Where the lines go.
    """

    def __init__(self, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._logger = logger
        self._name, self._total, self._done, self._last = "", 0, 0, 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is held."""

    def scene(self, name: str, tiles: int) -> None:
        """See `pipelines.batch.Progress`."""
        self._name, self._total, self._done, self._last = name, tiles, 0, time.monotonic()
        self._logger.info("%s: %d tiles", name, tiles)

    def tiles(self, done: int) -> None:
        """See `pipelines.batch.Progress`."""
        self._done += done
        if time.monotonic() - self._last >= _LINE_EVERY_S:
            self._last = time.monotonic()
            self._logger.info("%s: %d of %d tiles", self._name, self._done, self._total)

    def finished(self, outcome: batch.SceneOutcome) -> None:
        """See `pipelines.batch.Progress`."""
        if outcome.error is not None:
            self._logger.error("%s", outcome.error)
        elif outcome.prediction is not None:
            self._logger.info("%s: done in %.1f s", outcome.job.name, outcome.prediction.seconds)


class ManyProgress:
    """Tells several at once."""

    def __init__(self, told: Sequence[batch.Progress]) -> None:
        self._told = told

    def scene(self, name: str, tiles: int) -> None:
        """See `pipelines.batch.Progress`."""
        for one in self._told:
            one.scene(name, tiles)

    def tiles(self, done: int) -> None:
        """See `pipelines.batch.Progress`."""
        for one in self._told:
            one.tiles(done)

    def finished(self, outcome: batch.SceneOutcome) -> None:
        """See `pipelines.batch.Progress`."""
        for one in self._told:
            one.finished(outcome)
