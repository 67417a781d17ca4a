"""What a run could not do, and what of a report over several runs is its own work."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """Something that could not be done.

    Attributes:
        input: What was asked for: a path or URL.
        error: Why it failed, and what to do.
    """

    input: str
    error: str


@dataclass(frozen=True)
class ThisRun:
    """What the run did that wrote a report; the report tells of earlier runs' scenes too.

    Attributes:
        id: Name of the run: that of the Prefect flow run, where there was one.
        tried: Names of the scenes that it did, or failed at.
        waiting: Scenes that wait for the next run, and why.
        quarantined: Scenes that failed too often, in this run or before, and why.
    """

    id: str
    tried: Sequence[str]
    waiting: Sequence[Failure]
    quarantined: Sequence[Failure]
