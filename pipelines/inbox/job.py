"""One run of a job over an inbox: takes scenes, notes what comes of them, and what reports keep."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pipelines.config.inference import InferDrive, InferRoads
from pipelines.errors import LabelError
from pipelines.inbox.ledger import LEDGER, Ledger, Line, Look, Watched, alone, running
from pipelines.inbox.looks import is_gone, look_at, still_written
from pipelines.inbox.plan import Found, Plan, Todo, is_finished, plan
from pipelines.inbox.stored import as_text, from_text
from pipelines.inputs.naming import find_label
from pipelines.inputs.scene_input import SceneInput
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Progress
from pipelines.results.this_run import Failure, ThisRun
from tiling.errors import ManifestError
from tiling.manifest import finished
from tiling.scenes.names import kind_of

_LOG = logging.getLogger("rurnet")

_CHANGED = "{}: changed while it was looked at, so it waits for the next run"


@dataclass
class Job:
    """A run over an inbox.

    Attributes:
        ledger: Of the outbox.
        run: Its name: that of the Prefect flow run, where there is one.
        made_with: Stands for the options and weights.
        attempts: Failures after which a scene is quarantined.
        plan: What there is to do.
        others: Files besides its own that each scene depends on, by name.
        sources: What each scene is opened by, by its name.
        waiting: Scenes that wait for the next run.
        taken: Scenes that other runs are doing.
        tried: Names of the scenes that this run has done, or failed at.
    """

    ledger: Ledger
    run: str
    made_with: str
    attempts: int
    plan: Plan
    others: Mapping[str, list[str]]
    sources: Mapping[str, Found]
    waiting: dict[str, Failure] = field(default_factory=dict)
    taken: dict[str, Failure] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)

    @property
    def due(self) -> list[str]:
        """The names of the scenes that are to be done, those that a killed run was at last.

        One that takes the whole process with it then does not keep the others from being done.
        """
        names = [one for one in self.plan.of("new", "changed", "again") if one not in self.waiting]
        return sorted(names, key=lambda name: _was_killed(self.plan.lines.get(name)))

    @property
    def nothing(self) -> str:
        """Why there is nothing to do, in words."""
        said = [f"Nothing was done: nothing new among {len(self.sources)} scenes ({self.plan})"]
        said += [one.error for one in (*self.waiting.values(), *self.taken.values())]
        return "; ".join(said) + "."

    def around(self, name: str, work: Callable[[], SceneOutcome]) -> SceneOutcome:
        """Does a scene's work, unless another run has it, and notes what came of it."""
        one = self.sources[name]
        look, before = self._look(name), self.plan.lines[name]
        if (why := self.ledger.claim(name, look, self.made_with, self.run, before)) is not None:
            self.taken[name] = Failure(one.shown, f"{one.shown}: {why}")
            return SceneOutcome(name, one.shown, skipped=why)
        outcome = work()
        if self._look(name) != look:
            said = _CHANGED.format(one.shown)
            self.waiting[name] = Failure(one.shown, said)
            self.ledger.settle(name, self.run, "waiting", reason=said, counted=False)
            return SceneOutcome(name, one.shown, skipped=said)
        self.tried.append(name)
        samples, files = self._made_from(name)
        state = self.ledger.settle(
            name,
            self.run,
            "done" if outcome.done else "failed" if outcome.error is not None else "left out",
            reason=outcome.error or outcome.skipped,
            counted=outcome.error is None or outcome.of_scene,
            samples=samples,
            look=self._look(name, files) if outcome.done else None,
            limit=self.attempts,
        )
        if state == "quarantined":
            _LOG.error(
                "%s: failed too often (--attempts %d), so it is left alone until it changes or is "
                "named itself", one.shown, self.attempts,
            )  # fmt: skip
        return outcome

    def ended(self, outcomes: Sequence[SceneOutcome]) -> list[SceneOutcome]:
        """The outcomes without those of scenes that wait, or that others are doing."""
        left = {*self.waiting, *self.taken}
        return [one for one in outcomes if one.name not in left]

    def keep(self, outcomes: Sequence[SceneOutcome]) -> None:
        """Keeps for later reports what a report has told.

        Scenes of which nothing was kept are taken up again by the next run: so none is lost to all
        reports if this run is killed, or cannot write its own.

        Args:
            outcomes: Of this run, with what was measured.
        """
        kept = {one.name: as_text(one) for one in outcomes if one.error is None}
        self.ledger.keep(kept, self.made_with)

    @contextmanager
    def reporting(self, outcomes: Sequence[SceneOutcome]) -> Iterator[list[SceneOutcome]]:
        """The outcomes of all scenes of the outbox, while no other run writes its report.

        Args:
            outcomes: Of this run, with what was measured.
        """
        with alone(self.ledger.folder):
            now = {one.name: one for one in outcomes}
            earlier = {one.name: one for one in self._earlier() if one.name not in now}
            yield [one for _, one in sorted((earlier | now).items())]

    def this_run(self) -> ThisRun:
        """What a report says of this run."""
        return ThisRun(
            self.run,
            sorted(self.tried),
            [*self.waiting.values()],
            [
                Failure(line.source, line.reason or "")
                for line in self.ledger.lines().values()
                if line.state == "quarantined" and not is_gone(line.source, line.look)
            ],
        )

    def _earlier(self) -> Iterator[SceneOutcome]:
        """What earlier runs left that was made with the same options, or what they failed at."""
        lines, others = self.ledger.lines(), 0
        kept = self.ledger.kept(self.made_with)
        for name, line in lines.items():
            if line.state in ("failed", "quarantined"):
                if is_gone(line.source, line.look):
                    continue  # Nobody waits for it any more.
                yield SceneOutcome(name, line.source, error=line.reason)
            elif line.state in ("done", "left out"):
                if name not in kept and self.ledger.is_at_work(line.run):
                    continue  # That run keeps it when it ends, and reports then.
                outcome = None
                if name in kept:
                    with suppress(ValueError):
                        outcome = from_text(kept[name])
                if outcome is None or not (
                    line.state == "left out" or is_finished(self.ledger.folder / name)
                ):
                    others += 1
                    continue
                yield self._of_before(outcome)
        if others:
            _LOG.warning(
                "%d scenes of the ledger are not in the report: their results are gone, or were "
                "made with other options; a run that finds these scenes brings them back", others
            )  # fmt: skip

    def _of_before(self, outcome: SceneOutcome) -> SceneOutcome:
        """An outcome as a later run tells of it, wherever the outbox lies by now."""
        if (prediction := outcome.prediction) is None:
            return outcome
        folder = self.ledger.folder / outcome.name
        files = {kind: folder / path.name for kind, path in prediction.files.items()}
        return replace(
            outcome, files=files, prediction=replace(prediction, files=files, computed=0)
        )

    def _look(self, name: str, more: Sequence[str] = ()) -> Look:
        known = [*self.plan.looks[name], *self.others.get(name, ()), *more]
        return look_at({name: self.sources[name].source}, {name: known})[name]

    def _made_from(self, name: str) -> tuple[str | None, list[str]]:
        """Hash of samples of a finished scene's pixels, and the files that they came from."""
        with suppress(ManifestError):
            if (manifest := finished(self.ledger.folder / name)) is not None:
                return manifest.input["samples"][:16], list(manifest.input["files"])
        return None, []


class Noting(Progress):
    """Passes on what a batch tells, and has a job take each scene and note what comes of it.

    Args:
        job: The job.
        progress: Who is told.
    """

    def __init__(self, job: Job, progress: Progress) -> None:
        self._job = job
        self._progress = progress

    def doing(self, what: str) -> None:
        """See `Progress`."""
        self._progress.doing(what)

    def expect(self, tiles: Mapping[str, int | None]) -> None:
        """See `Progress`."""
        self._progress.expect(tiles)

    def scene(self, name: str, tiles: int) -> None:
        """See `Progress`."""
        self._progress.scene(name, tiles)

    def tiles(self, name: str, done: int) -> None:
        """See `Progress`."""
        self._progress.tiles(name, done)

    def finished(self, outcome: SceneOutcome) -> None:
        """See `Progress`."""
        self._progress.finished(outcome)

    def around(self, name: str, work: Callable[[], SceneOutcome]) -> SceneOutcome:
        """See `Progress`."""
        return self._progress.around(name, lambda: self._job.around(name, work))


@contextmanager
def job_over(
    config: InferRoads | InferDrive, items: Sequence[SceneInput], made_with: str, run: str | None
) -> Iterator[Job]:
    """Opens the ledger of an outbox for a run, and looks at each scene, twice where it is new.

    Args:
        config: The options of the run.
        items: The scenes that it finds; their names differ.
        made_with: Stands for all options and weights that a report must have in common.
        run: Name of the run, where it has one.

    Raises:
        PipelineError: The ledger cannot be used.
    """
    output, attempts = config.output, config.attempts
    output.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(output)
    ledger.make()
    run = run or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    ledger.watch(
        [
            Watched(str(Path(one).absolute()), isinstance(config, InferDrive), attempts)
            for one in config.scenes
            if kind_of(one) == "glob" or Path(one).is_dir()
        ]
    )
    sources = _sources(config, items)
    others = {name: _labels_of(one, config.labels) for name, one in sources.items()}
    ledger.see({name: one.shown for name, one in sources.items()})
    first = plan(sources, ledger, attempts, made_with, others)
    if config.overwrite:
        again: dict[str, Todo] = {name: "again" for name in sources if name not in first.at_work}
        first = replace(first, todo={**first.todo, **again})
    job = Job(ledger, run, made_with, attempts, first, others, sources)
    looks = {name: first.looks[name] for name in job.due}
    for name in still_written(looks, lambda names: {one: job._look(one) for one in names}):
        said = _CHANGED.format(sources[name].shown)
        job.waiting[name] = Failure(sources[name].shown, said)
        ledger.wait(name, said)
    _LOG.info("inbox: %s%s", first, f", {len(job.waiting)} wait" if job.waiting else "")
    for failure in job.waiting.values():
        _LOG.warning("%s", failure.error)
    with running(output, run):
        yield job


def quarantined_in(
    config: InferRoads | InferDrive, items: Sequence[SceneInput], made_with: str
) -> dict[str, str]:
    """The scenes that a run would leave alone, and why; nothing is noted.

    Args:
        config: See `job_over`.
        items: See `job_over`.
        made_with: See `job_over`.
    """
    ledger = Ledger(config.output)
    if config.overwrite or not (config.output / LEDGER).is_file():
        return {}
    sources = _sources(config, items)
    others = {name: _labels_of(one, config.labels) for name, one in sources.items()}
    there = plan(sources, ledger, config.attempts, made_with, others)
    return {
        name: f"{sources[name].shown}: quarantined after {there.lines[name].attempts} failures "
        f"({there.lines[name].reason}); name it itself to try again"
        for name in there.of("quarantined")
    }


def _sources(config: InferRoads | InferDrive, items: Sequence[SceneInput]) -> dict[str, Found]:
    return {
        one.name: Found(
            one.name, source := one.image or one.source, one.source, source in config.scenes
        )
        for one in items
    }


def _labels_of(one: Found, labels: Path | None) -> list[str]:
    """The file of a scene's label, whose change is one of the scene."""
    if labels is None:
        return []
    with suppress(LabelError, OSError):
        label = find_label(labels, one.name, other_than=one.source)
        return [] if label is None else [str(label)]
    return []


def _was_killed(line: Line | None) -> bool:
    return line is not None and line.state == "running"
