"""How a process shares out its tiles. Imports no torch."""

from dataclasses import dataclass

from pipelines.config.base import AUTO
from pipelines.models.weights import Steps
from pipelines.runtime.device import cpu_threads

LEAST = 2
"""Tiles that go through a network together, at least: one alone takes another path through the
convolutions, and its last bits differ."""

_READERS_OF_A_GPU = 4

_PACKED = 4
"""Batches of tiles that come together where tiles stop early, so that those left make batches."""


@dataclass(frozen=True)
class Lanes:
    """How a process shares out its tiles.

    Attributes:
        count: Batches that are under way at once.
        readers: Threads that read.
        size: Tiles of a batch, at first; fewer where they do not fit into memory.
        packed: Batches that come together.
    """

    count: int
    readers: int
    size: int
    packed: int

    @property
    def under_way(self) -> int:
        """Tiles that are under way at once, at most."""
        return self.count * self.size * self.packed


def lanes_of(batch: int, steps: Steps, *, on_cpu: bool, alone: bool = False) -> Lanes:
    """Returns how tiles are shared out.

    Args:
        batch: Tiles at once on a GPU. On a CPU each thread takes as few as it can: more take more
            memory, and no less time.
        steps: With "auto" some tiles stop early.
        on_cpu: Whether a CPU computes.
        alone: Whether each tile is computed by itself: then none has to wait for others.
    """
    if alone:
        return Lanes(cpu_threads(), 1, 1, 1)
    packed = _PACKED if steps == AUTO else 1
    if on_cpu:
        return Lanes(cpu_threads(), 1, LEAST, packed)
    # Two lanes keep a GPU busy: one copies while the other computes.
    return Lanes(2, _READERS_OF_A_GPU, batch, packed)
