"""What a job has to do with each scene that it finds, from the ledger and a look at its files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipelines.errors import DataError
from pipelines.inbox.ledger import Ledger, Line, Look
from pipelines.inbox.looks import look_at
from tiling.errors import ManifestError
from tiling.manifest import finished

Todo = Literal["new", "changed", "again", "nothing", "quarantined"]
"""What there is to do: a scene that was never begun, one whose files or options have changed since,
one that was not finished, or not reported; nothing, of one that is done; nothing, of one that
failed too often."""


@dataclass(frozen=True)
class Found:
    """A scene that a job finds.

    Attributes:
        name: Of the scene.
        source: What it is opened by.
        shown: The same without secrets.
        asked: Whether it was named itself, and not found in a folder.
    """

    name: str
    source: str
    shown: str
    asked: bool = False


@dataclass(frozen=True)
class Plan:
    """What a job would do.

    Attributes:
        todo: By the scene's name.
        looks: At each scene.
        lines: What the ledger says of it.
        at_work: Scenes that another run is doing.
    """

    todo: Mapping[str, Todo]
    looks: Mapping[str, Look]
    lines: Mapping[str, Line]
    at_work: Mapping[str, str] = field(default_factory=dict)

    def of(self, *kinds: Todo) -> list[str]:
        """The names of scenes with which that is to be done."""
        return [name for name, todo in self.todo.items() if todo in kinds]

    def __str__(self) -> str:
        said = [
            f"{len(self.of('new'))} new",
            f"{len(self.of('changed'))} changed",
            f"{len(self.of('again'))} to try again",
            f"{len(self.of('quarantined'))} quarantined",
            f"{len(self.of('nothing')) - len(self.at_work)} done already",
        ]
        if self.at_work:
            said.append(f"{len(self.at_work)} being done by another run")
        return ", ".join(said)


def plan(
    found: Mapping[str, Found],
    ledger: Ledger,
    attempts: int,
    made_with: str | None = None,
    others: Mapping[str, list[str]] | None = None,
) -> Plan:
    """Says what there is to do with each scene.

    Args:
        found: The scenes by their names.
        ledger: Of the outbox.
        attempts: Failures from which on a scene is left alone, until it changes or is asked for.
        made_with: Stands for the options and weights of the job; None takes them as they were.
        others: More files that scenes depend on, by name, such as their labels.
    """
    lines = ledger.lines()
    looks = look_at(
        {name: one.source for name, one in found.items()},
        {
            name: [*(lines[name].look if name in lines else ()), *(others or {}).get(name, ())]
            for name in found
        },
    )
    at_work = {
        name: run
        for name in found
        if name in lines and lines[name].state == "running"
        if (run := lines[name].run) is not None and ledger.is_at_work(run)
    }
    told = _told(found, lines, ledger)
    todo: dict[str, Todo] = {}
    for name, one in found.items():
        line = lines.get(name)
        if name in at_work:
            todo[name] = "nothing"
        elif line is None or not line.made_with:
            todo[name] = "new"
        elif line.look != looks[name] or made_with not in (None, line.made_with):
            todo[name] = "changed"
        elif line.state == "quarantined" and line.attempts >= attempts and not one.asked:
            todo[name] = "quarantined"
        elif name in told and (
            line.state == "left out"
            or (line.state == "done" and looks[name] and is_finished(ledger.folder / name))
        ):
            todo[name] = "nothing"
        else:
            todo[name] = "again"
    return Plan(todo, looks, {name: lines[name] for name in found if name in lines}, at_work)


def _told(names: Iterable[str], lines: Mapping[str, Line], ledger: Ledger) -> set[str]:
    """The scenes of which a report has told, or of which a run that goes on will tell."""
    runs = {lines[name].run for name in names if name in lines}
    going_on = {run for run in runs if ledger.is_at_work(run)}
    kept = ledger.kept_names()  # Read last: a run keeps what it has told before it ends.
    return kept | {name for name, line in lines.items() if line.run in going_on}


def is_finished(folder: Path) -> bool:
    """Whether a scene's result is there, whole."""
    try:
        return finished(folder) is not None
    except ManifestError:
        return False


def found_again(ledger: Ledger) -> dict[str, Found]:
    """The scenes that lie now where earlier jobs found theirs, by name.

    Of two of one name the first one counts: the job itself refuses them.
    """
    # Imported here: loading readers of rasters takes a second.
    from pipelines.inputs.discovery import expanded, rasters_in
    from pipelines.inputs.fundus import images_in
    from tiling.scenes.names import shown, stem_of

    found: dict[str, Found] = {}
    for inbox in ledger.watched():
        try:
            sources = expanded(
                [inbox.source],
                (lambda folder: [str(path) for path in images_in(folder)])
                if inbox.fundi
                else rasters_in,
            )
        except DataError:
            continue  # Empty, or gone.
        for source in sources:
            name = stem_of(source)
            found.setdefault(name, Found(name, source, shown(source)))
    return found
