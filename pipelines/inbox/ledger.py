"""The ledger of an outbox: every scene that its jobs have seen, and what came of it.

A file of SQLite, so that several jobs may write at once and a killed one leaves no half line.
Whether results may be kept is not decided here: `manifest.json` beside each result does that.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pipelines.errors import PipelineError

LEDGER = "ledger.sqlite"
"""Name of the file, in the outbox."""

_RUN = ".run-"
"""How the name of a run's file begins, in the outbox, which the run holds locked to its end."""

State = Literal["seen", "waiting", "running", "done", "left out", "failed", "quarantined"]

Look = Mapping[str, Sequence[int]]
"""Size in bytes and time of change in ns of files, by path: see `pipelines.inbox.looks`."""

_PATIENCE_S = 60.0
"""How long another process may hold the ledger; it takes milliseconds."""

_TABLES = """
CREATE TABLE IF NOT EXISTS scenes (
    name TEXT PRIMARY KEY, source TEXT NOT NULL, state TEXT NOT NULL, look TEXT NOT NULL,
    made_with TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT, run TEXT, samples TEXT, seen TEXT NOT NULL, began TEXT, ended TEXT
);
CREATE TABLE IF NOT EXISTS outcomes (
    name TEXT PRIMARY KEY, made_with TEXT NOT NULL, contents TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS inboxes (
    source TEXT PRIMARY KEY, fundi INTEGER NOT NULL, attempts INTEGER NOT NULL
);
"""


@dataclass(frozen=True)
class Line:
    """What the ledger says of a scene.

    Attributes:
        name: Of the scene; its results lie in the outbox under this name.
        source: What was asked for, without secrets: a path or URL.
        state: Where it stands: seen but not begun, waiting until it is whole, running, done, left
            out because it lies outside the area of interest, failed, or quarantined.
        look: Of its files, when it was last begun, or last seen.
        made_with: Stands for the options and weights that it was last begun with.
        attempts: How often it was tried since it, or these, last changed; a try that was killed,
            or that the disk ended, does not count.
        reason: Why it is not done, or waits.
        run: The run that had it last.
        samples: Hash of samples of its pixels, from its manifest.
        seen: When it was first seen, UTC, ISO 8601.
        began: When it was last begun.
        ended: When that came to its end.
    """

    name: str
    source: str
    state: State
    look: Look
    made_with: str = ""
    attempts: int = 0
    reason: str | None = None
    run: str | None = None
    samples: str | None = None
    seen: str = ""
    began: str | None = None
    ended: str | None = None


@dataclass(frozen=True)
class Watched:
    """A folder or glob that a job was run over.

    Attributes:
        source: Its absolute path.
        fundi: Whether its images are fundi.
        attempts: Failures after which that job quarantines a scene.
    """

    source: str
    fundi: bool
    attempts: int


class Ledger:
    """The ledger of one outbox. Threads and processes may use it at once.

    Args:
        folder: The outbox; it exists.

    Every method raises a `PipelineError` where the file cannot be used, or is no ledger.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / LEDGER

    def make(self) -> None:
        """Makes the file, unless it is there."""
        with self._changing() as database:
            for statement in _TABLES.split(";"):
                database.execute(statement)

    def lines(self) -> dict[str, Line]:
        """Every scene by its name, in the order of names."""
        with self._transaction("BEGIN") as database:
            found = database.execute("SELECT * FROM scenes ORDER BY name").fetchall()
        return {row["name"]: _line(row) for row in found}

    def see(self, sources: Mapping[str, str]) -> None:
        """Notes scenes that were found, by name. What is known of them already stays."""
        with self._changing() as database:
            database.executemany(
                "INSERT INTO scenes (name, source, state, look, seen) "
                "VALUES (?, ?, 'seen', '{}', ?) "
                "ON CONFLICT (name) DO UPDATE SET source = excluded.source",
                [(name, source, now()) for name, source in sources.items()],
            )

    def wait(self, name: str, reason: str) -> None:
        """Notes that a scene waits for the next run, unless another run has it."""
        with self._changing() as database:
            line = _read(database, name)
            if line is not None and not self._is_at_work(line):
                _update(database, name, state="waiting", reason=reason)

    def claim(
        self, name: str, look: Look, made_with: str, run: str, planned: Line | None = None
    ) -> str | None:
        """Takes a scene for a run, so that no other run does it at the same time.

        Args:
            name: Of a scene that was seen.
            look: Of its files, as they are now.
            made_with: Stands for the options and weights of the run.
            run: Who takes it.
            planned: What the ledger said of it when that was decided; None takes it all the same.

        Returns:
            None where it was taken; else who has it, in words.
        """
        with self._changing() as database:
            line = _read(database, name)
            if line is None:
                return "is not in the ledger"
            if line.run != run and self._is_at_work(line):
                return f"is being done by run {line.run}"
            if planned is not None and (line.run, line.began) != (planned.run, planned.began):
                return f"was begun by run {line.run} in the meantime"
            same = line.made_with == made_with and line.look == _plain(look)
            _update(
                database, name, state="running", look=json.dumps(look), made_with=made_with,
                attempts=line.attempts if same else 0, run=run, began=now(), ended=None,
                reason=line.reason if same else None,
            )  # fmt: skip
        return None

    def settle(
        self,
        name: str,
        run: str,
        state: State,
        *,
        reason: str | None = None,
        counted: bool = True,
        samples: str | None = None,
        look: Look | None = None,
        limit: int | None = None,
    ) -> State:
        """Notes what came of a scene that a run has taken.

        Args:
            name: Of the scene.
            run: The run.
            state: What it is now.
            reason: Why it is not done.
            counted: Whether this was an attempt at the scene itself.
            samples: See `Line`.
            look: Of all files that it was made from, where that is known now.
            limit: Failures from which on it is quarantined; None for never.

        Returns:
            `state`, or "quarantined".
        """
        with self._changing() as database:
            line = _read(database, name)
            if line is None or line.run != run:
                return state  # Taken over: a run on a file system without locks.
            attempts = line.attempts + counted
            if state == "failed" and counted and limit is not None and attempts >= limit:
                state = "quarantined"
            _update(
                database, name, state=state, reason=reason, attempts=attempts, ended=now(),
                samples=samples, look=json.dumps(line.look if look is None else look),
            )  # fmt: skip
        return state

    def keep(self, contents: Mapping[str, str], made_with: str) -> None:
        """Keeps what reports tell of scenes, as texts by name."""
        with self._changing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?)",
                [(name, made_with, text) for name, text in contents.items()],
            )

    def kept(self, made_with: str) -> dict[str, str]:
        """What was kept of scenes that were made with these options and weights, by name."""
        with self._transaction("BEGIN") as database:
            found = database.execute(
                "SELECT name, contents FROM outcomes WHERE made_with = ? ORDER BY name",
                (made_with,),
            ).fetchall()
        return {row["name"]: row["contents"] for row in found}

    def kept_names(self) -> set[str]:
        """The scenes of which something was kept that was made with their last options."""
        with self._transaction("BEGIN") as database:
            found = database.execute(
                "SELECT name FROM outcomes JOIN scenes USING (name, made_with)"
            ).fetchall()
        return {row["name"] for row in found}

    def watch(self, inboxes: Sequence[Watched]) -> None:
        """Notes what a job was run over."""
        with self._changing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO inboxes VALUES (?, ?, ?)",
                [(one.source, one.fundi, one.attempts) for one in inboxes],
            )

    def watched(self) -> list[Watched]:
        """What jobs were run over."""
        with self._transaction("BEGIN") as database:
            found = database.execute("SELECT * FROM inboxes ORDER BY source").fetchall()
        return [Watched(row["source"], bool(row["fundi"]), row["attempts"]) for row in found]

    def is_at_work(self, run: str | None) -> bool:
        """Whether a run is going on: its lock goes with its process, however that ends."""
        if run is None:
            return False
        return _is_locked(self.folder / f"{_RUN}{run}")

    def _is_at_work(self, line: Line) -> bool:
        return line.state == "running" and self.is_at_work(line.run)

    def _changing(self) -> AbstractContextManager[sqlite3.Connection]:
        """A transaction that others wait for: all of it is done, or nothing."""
        return self._transaction("BEGIN IMMEDIATE")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            with closing(
                sqlite3.connect(self._path, timeout=_PATIENCE_S, isolation_level=None)
            ) as database:
                database.row_factory = sqlite3.Row
                database.execute(begin)
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise PipelineError(
                f"{self._path}: the ledger cannot be used ({error}); free some space, or move the "
                "file away: the next run makes a new one, and results that are there are kept"
            ) from error


@contextmanager
def running(folder: Path, run: str) -> Iterator[None]:
    """Tells other processes for as long as it lasts that a run is going on in an outbox.

    Args:
        folder: The outbox.
        run: Name of the run.
    """
    for left in folder.glob(f"{_RUN}*"):
        if not left.name.endswith(_NOT_YET) and not _is_locked(left):
            left.unlink(missing_ok=True)  # Of a run that was killed.
    path = folder / f"{_RUN}{run}"
    unlocked = path.with_name(path.name + _NOT_YET)
    with unlocked.open("wb") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        unlocked.replace(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


_NOT_YET = ".new"


def _is_locked(path: Path) -> bool:
    """Whether a process holds a lock on a file."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # A file system without locks.
    return False


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits until no other process writes the report of an outbox, and keeps them out."""
    # Not the ledger itself: where locks are those of a network, SQLite would wait for this one.
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def now() -> str:
    """The time, UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(database: sqlite3.Connection, name: str) -> Line | None:
    row = database.execute("SELECT * FROM scenes WHERE name = ?", (name,)).fetchone()
    return None if row is None else _line(row)


def _line(row: sqlite3.Row) -> Line:
    return Line(**{**dict(row), "look": json.loads(row["look"])})


def _update(database: sqlite3.Connection, name: str, **values: Any) -> None:
    fields = ", ".join(f"{field} = ?" for field in values)
    database.execute(f"UPDATE scenes SET {fields} WHERE name = ?", (*values.values(), name))


def _plain(look: Look) -> Any:
    """A look as it comes back from the ledger."""
    return json.loads(json.dumps(look))
