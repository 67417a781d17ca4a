"""Runs a command as a child process: reads its progress, and ends it if it is cancelled."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

_LOOKS_EVERY_S = 0.1
"""How often it is looked whether the work was cancelled."""

_ENDS_WITHIN_S = 20
"""How long a child may take to stop in order; then it is killed."""


@dataclass(frozen=True)
class SceneDone:
    """What came of a scene.

    Attributes:
        name: Of the scene.
        files: By what they are: "mask", "probability", "lines".
    """

    name: str
    files: Mapping[str, str]


@dataclass
class Ended:
    """How a child ended.

    Attributes:
        status: Its exit status; None if it was cancelled.
        scenes: Those that it finished.
        errors: Its lines that tell of errors.
        last: Its last lines, whatever they tell.
    """

    status: int | None = None
    scenes: list[SceneDone] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)


class Listener:
    """Is told how a child comes along. This one does nothing; another overrides its methods."""

    def share(self, share: float, said: str) -> None:
        """So much of the work is done, 0 to 1."""

    def line(self, text: str) -> None:
        """The child printed a line."""

    def cancelled(self) -> bool:
        """Whether the work is to end now."""
        return False


def run(
    program: str, words: Sequence[str], environment: Mapping[str, str], listener: Listener
) -> Ended:
    """Runs a command to its end, or until it is cancelled.

    A cancelled child is asked to stop. What it finished stays, and the same command goes on from
    there.

    Args:
        program: Path or name of the program.
        words: What follows it.
        environment: Of the child.
        listener: Is told of progress and lines, in the thread that calls this function.

    Raises:
        FileNotFoundError: There is no such program.
        PermissionError: It is no program.
    """
    child = subprocess.Popen(
        [program, *words],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    assert child.stdout is not None
    assert child.stderr is not None
    lines: queue.Queue[str] = queue.Queue()
    readers = [
        threading.Thread(target=_read, args=(pipe, lines), daemon=True)
        for pipe in (child.stdout, child.stderr)
    ]
    for reader in readers:
        reader.start()
    ended = Ended()
    try:
        while any(reader.is_alive() for reader in readers) or not lines.empty():
            if listener.cancelled():
                return ended
            try:
                _take(lines.get(timeout=_LOOKS_EVERY_S), ended, listener)
            except queue.Empty:
                continue
        ended.status = child.wait()
        return ended
    finally:
        _stop(child)


def progress_in(line: str) -> dict[str, Any] | None:
    """What a line tells of the progress; None if it is a line for people."""
    if not line.startswith("{"):
        return None
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) and ("share" in told or "scene" in told) else None


def _take(line: str, ended: Ended, listener: Listener) -> None:
    told = progress_in(line)
    if told is None:
        ended.last = [*ended.last[-9:], line]
        if line.startswith("error: "):
            ended.errors.append(line[len("error: ") :])
        listener.line(line)
    elif "share" in told:
        listener.share(float(told["share"]), str(told.get("said", "")))
    elif "error" not in told and "skipped" not in told:
        ended.scenes.append(SceneDone(told["scene"], told.get("files", {})))


def _read(pipe: IO[str], lines: queue.Queue[str]) -> None:
    with pipe:
        for line in pipe:
            if line.strip():
                lines.put(line.rstrip())


def _stop(child: subprocess.Popen[str]) -> None:
    """Ends a child that still runs."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
