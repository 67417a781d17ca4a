"""What comes of each scene of a run."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.inputs.labels import Labelling
from pipelines.results.levels import RasterLevels, open_levels
from pipelines.scores.counts import SceneCounts

OpenLevels = Callable[[Path], AbstractContextManager[RasterLevels]]
"""Opens a raster as levels."""


@dataclass(frozen=True)
class Prediction:
    """What came of a scene.

    Attributes:
        files: The rasters by what they are: "probability", "mask", and more where asked for.
        tiles: Tiles of the scene's grid.
        parts: Parts it was cut into.
        computed: Parts computed by this run; the others were there already.
        seconds: Wall time.
    """

    files: dict[str, Path]
    tiles: int
    parts: int
    computed: int
    seconds: float

    @property
    def probability(self) -> Path:
        """Levels 0 to 254, nodata 255; or probabilities, nodata nan."""
        return self.files["probability"]

    @property
    def mask(self) -> Path:
        """0 background, then the classes; nodata 255."""
        return self.files["mask"]


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
    open_raster: OpenLevels = open_levels
    counts: SceneCounts | None = None
    second: SceneCounts | None = None
    steps: tuple[SceneCounts, ...] = ()
    error: str | None = None
