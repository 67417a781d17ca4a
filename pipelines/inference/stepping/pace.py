"""Keeps a run to its time: which rule the next tiles follow."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pipelines.errors import OutOfTimeError
from pipelines.inference.stepping.passes import Stepped
from pipelines.models.stopping import StopRule

_MILLION = 1_000_000

_ONE_STEP = StopRule(_MILLION + 1, _MILLION + 1)

_KEPT = 400
"""Tiles whose doubt is kept to tell what a rule would cost."""

_RECENT_S = 60.0
"""So long the speed is looked back at, at least over two groups: the machine's load changes."""

_PUT_TOGETHER = 0.2
"""What putting a tile's pixels together takes, in steps of a tile, until it is known."""

_MEASURED_S = 0.005
"""What measuring a tile's pixels takes at the end of a run, in seconds of a processor."""

_PICTURES_S = 0.5
"""What a scene takes in the report, at most, in seconds of a processor."""

_PICTURES_OF_A_TILE_S = 0.025
"""The same for each tile of a small scene."""

_REPORT_S = 1.0
"""What the report itself takes, in seconds of a processor."""

_TOO_LONG = 1.1
"""From so many times the time that is left on, a run is refused."""


@dataclass
class Ruled:
    """Tiles under a rule, and what came of them; several threads may note theirs.

    Attributes:
        rule: The rule.
        steps: Steps that were taken, in all networks and views.
        unsure: Of each tile, its unsure pixels in millionths.
        more: Of each tile that took a second step, how many it took after that.
    """

    rule: StopRule
    steps: int = 0
    unsure: list[float] = field(default_factory=list)
    more: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, stepped: Stepped) -> None:
        """Adds tiles."""
        taken = stepped.taken.tolist()
        pixels = stepped.every[0].shape[-2] * stepped.every[0].shape[-1]
        with self._lock:
            self.steps += sum(taken)
            self.unsure += [count / pixels * _MILLION for count in stepped.unsure.tolist()]
            self.more += [steps - 2 for steps in taken if steps > 1]


@dataclass(frozen=True)
class _Group:
    """Tiles that were done under one rule: steps taken, and seconds as in `Pace.note`."""

    seconds: float
    busy: float
    steps: int


class Pace:
    """Chooses the rule for the next group of tiles, so that a run ends in time.

    The rules to choose from are, the dearest first: all steps, the weights' own rule, the same for
    ever fewer tiles (those that are least sure after their first step keep theirs longest), and one
    step everywhere. What each would cost is told by the tiles that were seen, and the speed by the
    last groups.

    Args:
        rule: The weights' own.
        most: Steps that a tile takes at most.
        seconds: Until when the run has to be over, from now on.
        tiles: How many there are to be done.
        scenes: Of how many scenes.
        passes: Networks times views, each of which takes its steps of a tile.
        told: What was asked for, for errors.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        rule: StopRule,
        most: int,
        seconds: float,
        tiles: int,
        scenes: int,
        passes: int,
        told: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self._most = most
        self._passes = passes
        self._left = self._whole = tiles
        pictures = min(_PICTURES_OF_A_TILE_S * tiles, _PICTURES_S * scenes)
        self._at_end = _MEASURED_S * tiles + pictures + _REPORT_S
        self._told = told
        self._rules = [StopRule(0, 0), rule]
        gate = max(rule.unsure, 4000)
        while (gate := gate * 5 // 4) < _MILLION:
            self._rules.append(StopRule(gate, rule.changing))
        self._rules.append(_ONE_STEP)
        self._unsure: deque[float] = deque(maxlen=_KEPT)
        self._more: deque[int] = deque(maxlen=_KEPT)
        self._groups: deque[_Group] = deque()
        self._first = True
        self._chosen = rule
        self._refused: str | None = None
        self._rest = 0.0
        self._rested_tiles = 0

    def __str__(self) -> str:
        minutes = (self._end - self._clock()) / 60
        if not self._unsure:
            return f"{minutes:.1f} min for {self._left} tiles; the first of them tell the speed"
        return (
            f"{minutes:.1f} min left for {self._left} tiles: {self.cost(self._chosen):.2f} steps "
            "for each on average"
        )

    def group(self) -> int:
        """How many tiles follow one rule: few, so that the last of them end in time."""
        return max(1, min(self._left // 6, self._whole // 25))

    def rule(self) -> StopRule:
        """The rule for the next group.

        Raises:
            OutOfTimeError: After the first group, not even one step on each tile fits.
        """
        if not self._groups:
            return self._rules[1]
        seconds = sum(one.seconds for one in self._groups) / sum(one.steps for one in self._groups)
        left = self._end - self._clock() - self._rest_left(seconds)
        fitting = left / (seconds * self._passes * max(1, self._left))
        first, self._first = self._first, False
        if first and fitting * _TOO_LONG < 1:
            steps = self._left * self._passes
            minutes = (steps * seconds + self._rest_left(seconds)) / 60
            self._refused = (
                f"{self._told}: one step on each of the {self._left} tiles that are left takes "
                f"about {minutes:.1f} min; give more time, or fewer scenes"
            )
        if self._refused is not None:
            raise OutOfTimeError(self._refused)
        fits = (rule for rule in self._rules if self.cost(rule) <= fitting)
        self._chosen = next(fits, _ONE_STEP)
        return self._chosen

    def cost(self, rule: StopRule) -> float:
        """Steps that a network would take of a tile by a rule, on average."""
        if rule == self._rules[0]:
            return float(self._most)
        going_on = float(np.mean(np.array(self._unsure) >= rule.unsure))
        more = float(np.mean(self._more)) if self._more else 0.0
        return 1 + going_on * (1 + more)

    def note(self, ruled: Ruled, tiles: int, seconds: float, busy: float) -> None:
        """Notes a group that was done.

        Args:
            ruled: What came of its tiles.
            tiles: How many, those without pixels too.
            seconds: How long it took.
            busy: How long each of its threads had a processor.
        """
        self._left -= tiles
        self._unsure.extend(ruled.unsure)
        if ruled.rule.changing == self._rules[1].changing:
            self._more.extend(ruled.more)
        if ruled.steps:
            self._groups.append(_Group(seconds, busy, ruled.steps))
        while len(self._groups) > 2 and sum(one.seconds for one in self._groups) > _RECENT_S:
            self._groups.popleft()

    def note_rest(self, tiles: int, seconds: float) -> None:
        """Notes what else a scene took: putting it together, scoring and measuring it."""
        self._rest += seconds
        self._rested_tiles += tiles

    def _rest_left(self, per_step: float) -> float:
        """Seconds of what else there is to do."""
        tiles = self._whole - self._rested_tiles
        each = _PUT_TOGETHER * per_step
        if self._rested_tiles:
            each = self._rest / self._rested_tiles
        return each * tiles + self._at_end * self._slower()

    def _slower(self) -> float:
        """How many times as long work takes as it would with a processor to itself."""
        busy = sum(one.busy for one in self._groups)
        return max(1.0, sum(one.seconds for one in self._groups) / busy) if busy else 1.0
