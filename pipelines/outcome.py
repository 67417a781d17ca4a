"""What comes of each scene of a run, and who is told while it is under way."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipelines.labels import Labelling
from pipelines.levels import RasterLevels, open_levels
from pipelines.predict import Prediction
from pipelines.scores.counts import SceneCounts


@dataclass
class SceneOutcome:
    """What came of one scene; `error` says why nothing did.

    Attributes:
        name: Of the scene.
        source: What was asked for: a path or URL.
        height: Rows.
        width: Columns.
        prediction: What predicting it took; None where it was only scored.
        files: Rasters by what they are: "probability", "mask", "probability-step1", ...
        image: What is shown with it: a path or URL; None where there is no picture.
        label: File of the label.
        labelling: What its values mean.
        open_raster: Opens one of `files` as levels.
        counts: Of the prediction against the label.
        second: Of the second observer's label against the first one's.
        steps: Of the prediction after each recurrent step, where they were kept.
        error: Why it failed.
    """

    name: str
    source: str
    height: int = 0
    width: int = 0
    prediction: Prediction | None = None
    files: dict[str, Path] = field(default_factory=dict)
    image: str | None = None
    label: str | None = None
    labelling: Labelling = field(default_factory=Labelling)
    open_raster: Callable[[Path], AbstractContextManager[RasterLevels]] = open_levels
    counts: SceneCounts | None = None
    second: SceneCounts | None = None
    steps: tuple[SceneCounts, ...] = ()
    error: str | None = None


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
