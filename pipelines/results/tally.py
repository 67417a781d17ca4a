"""How far a whole job has come: tiles and scenes done, and the time that is left."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

_SMOOTH_S = 5.0
"""Seconds of work before which no time that is left is told."""

_NOT_YET = 0.99
"""The largest share that is told while there is a scene left."""


@dataclass(frozen=True)
class Standing:
    """How far a job has come.

    Attributes:
        scenes: Of the job.
        finished: How many of them are done, or have failed.
        share: Of all tiles that are done, 0 to 1; 1 only when no scene is left.
        seconds_left: Expected; None while nothing tells it.
    """

    scenes: int
    finished: int
    share: float
    seconds_left: float | None

    def __str__(self) -> str:
        if self.finished == self.scenes:
            return f"{self.finished} of {self.scenes} scenes, 100 % of all tiles"
        number = self.finished + 1
        said = f"scene {number} of {self.scenes}, {int(100 * self.share)} % of all tiles"
        if self.seconds_left is not None:
            said += f", {duration(self.seconds_left)} left"
        return said


class Tally:
    """Counts the tiles of all scenes of a job; it may be told from several threads.

    Scenes that are counted only when they begin stand for as many tiles as the others have on
    average. The share that is told never falls, whatever is found out later.

    Args:
        clock: Seconds; goes forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ahead: dict[str, int | None] = {}
        self._under_way: dict[str, list[int]] = {}  # Tiles in all, and tiles done.
        self._finished_scenes, self._finished_tiles = 0, 0
        self._told = 0.0
        self._start: float | None = None
        self._computed = 0

    def expect(self, tiles: Mapping[str, int | None]) -> None:
        """Takes scenes into the count, before the first of them begins.

        Args:
            tiles: How many tiles each has to have done; None where that is not known yet.
        """
        with self._lock:
            self._ahead |= tiles

    def begin(self, name: str, tiles: int) -> None:
        """A scene begins; so many of its tiles have to be done."""
        with self._lock:
            self._ahead.pop(name, None)
            self._under_way[name] = [tiles, 0]
            if self._start is None:
                self._start = self._clock()

    def add(self, name: str, done: int) -> None:
        """So many more tiles of a scene are done."""
        with self._lock:
            self._under_way[name][1] += done
            self._computed += done

    def finish(self, name: str) -> None:
        """A scene is done, or has failed: no more of its tiles come."""
        with self._lock:
            self._ahead.pop(name, None)
            self._finished_scenes += 1
            self._finished_tiles += self._under_way.pop(name, [0, 0])[1]

    def done_of(self, name: str) -> tuple[int, int]:
        """Tiles done of a scene that is under way, and how many it has."""
        with self._lock:
            total, done = self._under_way[name]
        return done, total

    def standing(self) -> Standing:
        """Returns how far the job has come."""
        with self._lock:
            under_way = [total for total, _ in self._under_way.values()]
            known = [tiles for tiles in self._ahead.values() if tiles is not None]
            counted = under_way + known
            mean = sum(counted) / len(counted) if counted else 1
            left_out = len(self._ahead) - len(known)
            done = self._finished_tiles + sum(done for _, done in self._under_way.values())
            total = self._finished_tiles + sum(counted) + left_out * mean
            open_scenes = len(self._ahead) + len(self._under_way)
            if open_scenes:
                share = min(done / total if total else 0.0, _NOT_YET)
            else:
                share = 1.0 if self._finished_scenes else 0.0
            self._told = max(self._told, share)
            return Standing(
                self._finished_scenes + open_scenes,
                self._finished_scenes,
                self._told,
                self._seconds_left(total - done),
            )

    def _seconds_left(self, tiles: float) -> float | None:
        if self._start is None or not self._computed:
            return None
        taken = self._clock() - self._start
        return None if taken < _SMOOTH_S else taken / self._computed * tiles


def duration(seconds: float) -> str:
    """Says a time in the one unit that fits: "40 s", "6 min", "3.5 h"."""
    if seconds < 90:
        return f"{ceil(seconds)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
