"""How a run reports its progress."""

from typing import Protocol

from pipelines.results.outcome import SceneOutcome


class Progress(Protocol):
    """Receives the progress of a batch, from several threads where scenes run side by side."""

    def scene(self, name: str, tiles: int) -> None:
        """A scene begins; so many of its tiles have to be done."""
        ...

    def tiles(self, name: str, done: int) -> None:
        """So many more tiles of a scene are done."""
        ...

    def finished(self, outcome: SceneOutcome) -> None:
        """A scene is done, or has failed."""
        ...


class Silence:
    """A `Progress` that shows nothing: for calls from Python."""

    def scene(self, name: str, tiles: int) -> None:
        """See `Progress`."""

    def tiles(self, name: str, done: int) -> None:
        """See `Progress`."""

    def finished(self, outcome: SceneOutcome) -> None:
        """See `Progress`."""
