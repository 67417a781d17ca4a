"""How far a run has come: a bar on a terminal, or lines in a log."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

import rich.progress
from rich.console import Console

if TYPE_CHECKING:
    from pipelines.results.outcome import SceneOutcome
    from pipelines.results.progress import Progress

_LINE_EVERY_S = 15.0


class BarProgress:
    """A bar per scene on a terminal; use it as a context.

    It is shown only while a scene is predicted: a training before that has a bar of its own.
    """

    def __init__(self, console: Console) -> None:
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("tiles"),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, rich.progress.TaskID] = {}

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
        """See `pipelines.results.progress.Progress`."""
        self._tasks[name] = self._bar.add_task(name, total=tiles)
        self._bar.start()

    def tiles(self, name: str, done: int) -> None:
        """See `pipelines.results.progress.Progress`."""
        self._bar.advance(self._tasks[name], done)

    def finished(self, outcome: "SceneOutcome") -> None:
        """See `pipelines.results.progress.Progress`."""
        task = self._tasks.pop(outcome.name, None)
        if task is not None:
            if not self._tasks:
                self._bar.stop()
            self._bar.remove_task(task)


class LogProgress:
    """A line when a scene begins, one every few seconds, and one when it ends.

    Args:
        logger: Where the lines go.
    """

    def __init__(self, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._logger = logger
        self._under_way: dict[str, _Scene] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """There is nothing to let go of."""

    def scene(self, name: str, tiles: int) -> None:
        """See `pipelines.results.progress.Progress`."""
        self._under_way[name] = _Scene(tiles)
        self._logger.info("%s: %d tile%s", name, tiles, "" if tiles == 1 else "s")

    def tiles(self, name: str, done: int) -> None:
        """See `pipelines.results.progress.Progress`."""
        scene = self._under_way[name]
        scene.done += done
        if time.monotonic() - scene.last_line >= _LINE_EVERY_S:
            scene.last_line = time.monotonic()
            self._logger.info("%s: %d of %d tiles", name, scene.done, scene.total)

    def finished(self, outcome: "SceneOutcome") -> None:
        """See `pipelines.results.progress.Progress`."""
        self._under_way.pop(outcome.name, None)
        prediction = outcome.prediction
        if outcome.error is not None:
            self._logger.error("%s", outcome.error)
        elif outcome.skipped is not None:
            self._logger.info("%s: left out: %s", outcome.name, outcome.skipped)
        elif prediction is not None:
            there = prediction.parts - prediction.computed
            self._logger.info(
                "%s: predicted in %.1f s%s",
                outcome.name,
                prediction.seconds,
                f", {there} of {prediction.parts} parts were there already" if there else "",
            )


@dataclass
class _Scene:
    """A scene under way: tiles in all, tiles done, and when its last line was written."""

    total: int
    done: int = 0
    last_line: float = field(default_factory=time.monotonic)


class ManyProgress:
    """Passes everything on to several others.

    Args:
        progress: The others.
    """

    def __init__(self, progress: "Sequence[Progress]") -> None:
        self._all = progress

    def scene(self, name: str, tiles: int) -> None:
        """See `pipelines.results.progress.Progress`."""
        for one in self._all:
            one.scene(name, tiles)

    def tiles(self, name: str, done: int) -> None:
        """See `pipelines.results.progress.Progress`."""
        for one in self._all:
            one.tiles(name, done)

    def finished(self, outcome: "SceneOutcome") -> None:
        """See `pipelines.results.progress.Progress`."""
        for one in self._all:
            one.finished(outcome)
