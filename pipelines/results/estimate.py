"""What a scene is expected to take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneEstimate:
    """What a scene takes; or `error`, where it cannot be read.

    Attributes:
        name: Of the scene.
        height: Rows.
        width: Columns.
        tiles: Of its grid.
        parts: It is cut into.
        redundant: Network work done twice, as a share of the whole.
        memory: Bytes of a process that computes, at most.
        disk: Bytes of parts and results, at most (nothing compressed).
        seconds: With one process, as measured on a few of its tiles.
        measured: How many tiles that was.
        error: Why nothing is known.
    """

    name: str
    height: int = 0
    width: int = 0
    tiles: int = 0
    parts: int = 0
    redundant: float = 0.0
    memory: int = 0
    disk: int = 0
    seconds: float = 0.0
    measured: int = 0
    error: str | None = None
