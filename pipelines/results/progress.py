"""Who is told how a run gets on."""

from typing import Protocol

from pipelines.results.outcome import SceneOutcome


class Progress(Protocol):
    """Who is told how a batch gets on, by several threads where several scenes are under way."""

    def scene(self, name: str, tiles: int) -> None:
        """A scene begins, of which so many tiles are to be done."""
        ...

    def tiles(self, name: str, done: int) -> None:
        """So many more tiles of a scene are done."""
        ...

    def finished(self, outcome: SceneOutcome) -> None:
        """A scene has come to its end."""
        ...


class Silence:
    """A `Progress` that nobody follows: for calls from Python."""

    def scene(self, name: str, tiles: int) -> None:
        """See `Progress`."""

    def tiles(self, name: str, done: int) -> None:
        """See `Progress`."""

    def finished(self, outcome: SceneOutcome) -> None:
        """See `Progress`."""
