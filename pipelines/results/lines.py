"""What there is on the lines of a scene, in numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.results.this_run import Failure
from pipelines.scores.curve import Number
from pipelines.scores.intervals import Interval
from pipelines.scores.networks import NetworkScores


@dataclass(frozen=True)
class LinesFound:
    """The lines of a scene.

    Attributes:
        kilometres: Their length; None where nothing tells the size of pixels.
        pixels: The same in pixels.
        lines: How many, from node to node.
        junctions: Nodes where three or more meet.
        ends: Nodes where one ends.
        bridged: Lines with a gap in the mask that was bridged.
    """

    kilometres: float | None
    pixels: float
    lines: int
    junctions: int
    ends: int
    bridged: int

    def __str__(self) -> str:
        length = f"{self.pixels:.0f} pixels"
        if self.kilometres is not None:
            length = f"{self.kilometres:.1f} km"
        return f"{length} of lines (junctions: {self.junctions}, bridged gaps: {self.bridged})"

    def __add__(self, other: "LinesFound") -> "LinesFound":
        both = None
        if self.kilometres is not None and other.kilometres is not None:
            both = round(self.kilometres + other.kilometres, 3)
        return LinesFound(
            both,
            self.pixels + other.pixels,
            self.lines + other.lines,
            self.junctions + other.junctions,
            self.ends + other.ends,
            self.bridged + other.bridged,
        )


@dataclass(frozen=True)
class JoinedLines:
    """The lines of several scenes as one network.

    Attributes:
        found: What there is on them.
        files: By what they hold: "lines", ...
        scenes: Names of the scenes that were joined.
        left_out: Those that could not be, by name, and why.
    """

    found: LinesFound
    files: Mapping[str, str]
    scenes: Sequence[str]
    left_out: Sequence[Failure]


@dataclass(frozen=True)
class ScoredLines:
    """Scores of files of lines.

    Attributes:
        scenes: Of each scene, by name.
        pooled: Of all of them together.
        mean: Of the scenes' own scores, by name, where they are defined.
        sd: Their standard deviation, with n - 1 in the denominator.
        intervals: 95 % bootstrap intervals of `pooled`, by name; None with fewer than two scenes.
    """

    scenes: Mapping[str, NetworkScores[Number]]
    pooled: NetworkScores[Number]
    mean: Mapping[str, Number]
    sd: Mapping[str, Number]
    intervals: Mapping[str, Interval | None] | None
