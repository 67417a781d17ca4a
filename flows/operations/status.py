"""`rurnet status OUTBOX`: what jobs with --inbox have seen and done there, and what is left."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from flows.errors import FlowsError
from pipelines.inbox.ledger import LEDGER, Ledger, Line
from pipelines.inbox.looks import is_gone

_ORDER = (
    "done", "left out", "gone", "seen", "running", "interrupted", "waiting", "failed",
    "quarantined",
)  # fmt: skip
"""What needs a person stands last: nearest to what is typed next."""

_HEAD = ("scene", "state", "tries", "seen", "ended", "hash", "run", "reason")


def status(outbox: Path, /) -> None:
    """Prints the ledger of the output folder of jobs that were run with --inbox.

    It says too what a rerun would do.
    """
    if not (outbox / LEDGER).is_file():
        raise FlowsError(
            f"{outbox}: no ledger there; give the output folder of a job that was run with --inbox"
        )
    ledger = Ledger(outbox)
    lines = ledger.lines()
    states = {name: _state(ledger, line) for name, line in lines.items()}
    print("\n".join(_table(lines, states)))
    counted = Counter(states.values())
    print()
    print(f"{len(lines)} scenes: " + ", ".join(f"{counted[s]} {s}" for s in _ORDER if counted[s]))
    print(_rerun(ledger))


def _state(ledger: Ledger, line: Line) -> str:
    if line.state == "running" and not ledger.is_at_work(line.run):
        return "interrupted"
    if line.state in ("failed", "quarantined") and is_gone(line.source, line.look):
        return "gone"
    return line.state


def _table(lines: Mapping[str, Line], states: Mapping[str, str]) -> list[str]:
    """A row for each scene; the reason is last and as long as it is."""
    ordered = sorted(lines.values(), key=lambda line: (_ORDER.index(states[line.name]), line.name))
    rows = [_HEAD] + [
        (
            line.name,
            states[line.name],
            str(line.attempts),
            _time(line.seen),
            _time(line.ended),
            (line.samples or "")[:8],
            line.run or "",
            line.reason or "",
        )
        for line in ordered
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    widths[-1] = 0
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _time(told: str | None) -> str:
    """A time as the ledger has it, UTC, to the minute."""
    return (told or "")[:16].replace("T", " ")


def _rerun(ledger: Ledger) -> str:
    """What the same job would do now."""
    # Imported here: readers of rasters take a second, and the table is there before.
    from pipelines.inbox.plan import found_again, plan

    watched = ledger.watched()
    if not watched:
        return "A rerun: no folder was given to a job with --inbox, so nobody knows."
    attempts = min(one.attempts for one in watched)
    there = plan(found_again(ledger), ledger, attempts)
    where = ", ".join(one.source for one in watched)
    return f"A rerun over {where}: {there}"
