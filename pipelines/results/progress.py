"""How a run reports its progress."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.results.outcome import SceneOutcome
    from pipelines.results.training import TrainingEnd, TrainingStanding


class Progress:
    """Receives the progress of a training or a batch.

    It is told from several threads where scenes run side by side.

    This one shows nothing; others show what they override.
    """

    @property
    def run(self) -> str | None:
        """Name of the run; None where nobody has given it one."""
        return None

    def doing(self, what: str) -> None:
        """This is being done before the first scene begins."""

    def training(self, standing: "TrainingStanding") -> None:
        """A training has come so far; told often."""

    def trained(self, end: "TrainingEnd") -> None:
        """A training has ended."""

    def expect(self, tiles: Mapping[str, int | None]) -> None:
        """These scenes come, with so many tiles to be done; None where that is not known yet."""

    def around(self, name: str, work: "Callable[[], SceneOutcome]") -> "SceneOutcome":
        """Does a scene's work, by calling `work`, and returns what it returns.

        It comes before everything else that is told of the scene, and goes around it.
        """
        return work()

    def scene(self, name: str, tiles: int) -> None:
        """A scene begins; so many of its tiles have to be done."""

    def tiles(self, name: str, done: int) -> None:
        """So many more tiles of a scene are done."""

    def finished(self, outcome: "SceneOutcome") -> None:
        """A scene is done, or has failed."""


class Silence(Progress):
    """A `Progress` that shows nothing: for calls from Python."""
