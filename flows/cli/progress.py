"""How far a run has come: a bar on a terminal, or lines in a log."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import rich.progress
from rich.console import Console
from rich.markup import escape

from pipelines.results.progress import Progress
from pipelines.results.tally import Tally, duration
from pipelines.results.training import TRAINING

if TYPE_CHECKING:
    from pipelines.results.outcome import SceneOutcome
    from pipelines.results.training import TrainingEnd, TrainingStanding

_LINE_EVERY_S = 15.0

_TRAINING_LINE_EVERY_S = 30.0

_ALL = "all scenes"

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


class BarProgress(Progress):
    """A bar of a training on a terminal, then one per scene and one of all; use it as a context."""

    def __init__(self, console: Console) -> None:
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            # What is left of the line: what is said must be there whole.
            rich.progress.BarColumn(bar_width=None),
            rich.progress.TextColumn("{task.fields[said]}"),
            rich.progress.TimeElapsedColumn(),
            console=console,
            transient=True,
            expand=True,
        )
        self._tally = Tally()
        self._tasks: dict[str, rich.progress.TaskID] = {}
        self._all: rich.progress.TaskID | None = None
        self._training: rich.progress.TaskID | None = None
        self._status = console.status("")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status.stop()
        self._bar.stop()

    def doing(self, what: str) -> None:
        """See `Progress`."""
        self._status.update(escape(what))
        self._status.start()

    def training(self, standing: "TrainingStanding") -> None:
        """See `Progress`."""
        at_work = standing.phase == TRAINING
        shown: dict[str, Any] = {
            "description": standing.place if at_work else standing.phase,
            "completed": standing.share,
            "said": standing.numbers,
        }
        if self._training is None:
            self._status.stop()
            self._training = self._bar.add_task(total=1.0, **shown)
            self._bar.start()
        else:
            self._bar.update(self._training, refresh=True, **shown)

    def trained(self, end: "TrainingEnd") -> None:
        """See `Progress`."""
        if self._training is not None:
            self._bar.stop()
            self._bar.remove_task(self._training)
            self._training = None

    def expect(self, tiles: Mapping[str, int | None]) -> None:
        """See `Progress`."""
        self._tally.expect(tiles)

    def scene(self, name: str, tiles: int) -> None:
        """See `Progress`."""
        self._status.stop()
        self._tally.begin(name, tiles)
        if self._all is None and self._tally.standing().scenes > 1:
            self._all = self._bar.add_task(_ALL, total=1.0, said="")
        self._tasks[name] = self._bar.add_task(name, total=tiles, said="")
        self._show(name)
        self._bar.start()

    def tiles(self, name: str, done: int) -> None:
        """See `Progress`."""
        self._tally.add(name, done)
        self._show(name)

    def finished(self, outcome: "SceneOutcome") -> None:
        """See `Progress`."""
        self._tally.finish(outcome.name)
        task = self._tasks.pop(outcome.name, None)
        if task is not None:
            if not self._tasks:
                self._bar.stop()
            self._bar.remove_task(task)

    def _show(self, name: str) -> None:
        done, total = self._tally.done_of(name)
        standing, said = self._tally.standing(), f"{done}/{total} tiles"
        if self._all is not None:
            self._bar.update(self._all, completed=standing.share, said=str(standing))
        elif standing.seconds_left is not None:
            said += f", {duration(standing.seconds_left)} left"
        self._bar.update(self._tasks[name], completed=done, said=said)


class LogProgress(Progress):
    """A line when a scene or a training begins, one now and then, and one when it ends.

    Args:
        logger: Gives what a line of this moment goes to: a scene may have a log of its own.
    """

    def __init__(self, logger: Callable[[], Logger]) -> None:
        self._logger = logger
        self._tally = Tally()
        self._last_line: dict[str, float] = {}
        self._last_of_training: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """There is nothing to let go of."""

    def doing(self, what: str) -> None:
        """See `Progress`."""
        self._logger().info("%s", what)

    def training(self, standing: "TrainingStanding") -> None:
        """See `Progress`."""
        last, now = self._last_of_training, time.monotonic()
        if last is None or now - last >= _TRAINING_LINE_EVERY_S:
            self._last_of_training = now
            self._logger().info("%s", standing)

    def trained(self, end: "TrainingEnd") -> None:
        """See `Progress`."""
        self._last_of_training = None
        for line in ("training: " + end.said, *end.advice):
            self._logger().info("%s", line)

    def expect(self, tiles: Mapping[str, int | None]) -> None:
        """See `Progress`."""
        self._tally.expect(tiles)

    def scene(self, name: str, tiles: int) -> None:
        """See `Progress`."""
        self._tally.begin(name, tiles)
        self._last_line[name] = time.monotonic()
        standing = self._tally.standing()
        of_all = f" ({standing})" if standing.scenes > 1 else ""
        self._logger().info("%s: %d tile%s%s", name, tiles, "" if tiles == 1 else "s", of_all)

    def tiles(self, name: str, done: int) -> None:
        """See `Progress`."""
        self._tally.add(name, done)
        if time.monotonic() - self._last_line[name] >= _LINE_EVERY_S:
            self._last_line[name] = time.monotonic()
            of_scene, total = self._tally.done_of(name)
            self._logger().info(
                "%s: %d of %d tiles; %s", name, of_scene, total, self._tally.standing()
            )

    def finished(self, outcome: "SceneOutcome") -> None:
        """See `Progress`."""
        self._tally.finish(outcome.name)
        prediction = outcome.prediction
        if outcome.error is not None:
            self._logger().error("%s", outcome.error)
        elif outcome.skipped is not None:
            self._logger().info("%s: left out: %s", outcome.name, outcome.skipped)
        elif prediction is not None:
            there = prediction.parts - prediction.computed
            said = [f"predicted in {prediction.seconds:.1f} s"] if prediction.computed else []
            if there:
                said.append(f"{there} of {prediction.parts} parts were there already")
            self._logger().info("%s: %s", outcome.name, ", ".join(said))


class ManyProgress(Progress):
    """Passes everything on to several others.

    Args:
        progress: The others.
    """

    def __init__(self, progress: Sequence[Progress]) -> None:
        self._all = progress

    @property
    def run(self) -> str | None:
        """See `Progress`."""
        return next((one.run for one in self._all if one.run is not None), None)

    def doing(self, what: str) -> None:
        """See `Progress`."""
        for one in self._all:
            one.doing(what)

    def training(self, standing: "TrainingStanding") -> None:
        """See `Progress`."""
        for one in self._all:
            one.training(standing)

    def trained(self, end: "TrainingEnd") -> None:
        """See `Progress`."""
        for one in self._all:
            one.trained(end)

    def expect(self, tiles: Mapping[str, int | None]) -> None:
        """See `Progress`."""
        for one in self._all:
            one.expect(tiles)

    def around(self, name: str, work: "Callable[[], SceneOutcome]") -> "SceneOutcome":
        """See `Progress`."""
        for one in self._all:
            work = partial(one.around, name, work)
        return work()

    def scene(self, name: str, tiles: int) -> None:
        """See `Progress`."""
        for one in self._all:
            one.scene(name, tiles)

    def tiles(self, name: str, done: int) -> None:
        """See `Progress`."""
        for one in self._all:
            one.tiles(name, done)

    def finished(self, outcome: "SceneOutcome") -> None:
        """See `Progress`."""
        for one in self._all:
            one.finished(outcome)
