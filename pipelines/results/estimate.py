"""The time, memory and disk that a scene is expected to take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneEstimate:
    """What a scene is expected to take; or only its name and why it cannot be read.

    Attributes:
        name: Of the scene.
        height: Rows.
        width: Columns.
        tiles: Tiles of its grid; where there is an area of interest, those that meet it.
        left: How many of them an earlier run has not done.
        parts: Parts it is cut into.
        redundant: Network work done twice, as a share of the whole.
        memory: Bytes that a process takes to compute it, at most.
        disk: Bytes of parts and results, at most: as if nothing were compressed.
        seconds: Time of one process for the tiles that are left; None where none was measured.
        measured: How many tiles were measured.
        lines_left: Whether its lines are still to be made; None where none are asked for.
        backend: What will compute on the CPU, where it is not torch.
        error: Why it cannot be read; None where it can.
        skipped: Why it will be left out; None where it will not.
    """

    name: str
    height: int = 0
    width: int = 0
    tiles: int = 0
    left: int = 0
    parts: int = 0
    redundant: float = 0.0
    memory: int = 0
    disk: int = 0
    seconds: float | None = None
    measured: int = 0
    lines_left: bool | None = None
    backend: str | None = None
    error: str | None = None
    skipped: str | None = None

    @property
    def done(self) -> bool:
        """Whether it was estimated."""
        return self.error is None and self.skipped is None
