"""The outcome of each scene of a run."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.inputs.labels import Labelling
from pipelines.results.levels import RasterLevels, open_levels
from pipelines.scores.counts import SceneCounts

OpenRaster = Callable[[Path], AbstractContextManager[RasterLevels]]
"""Opens a predicted raster as levels."""


@dataclass(frozen=True)
class Prediction:
    """The rasters that were predicted of a scene, and what that took.

    Attributes:
        files: By what they are: "probability", "mask", and more where asked for.
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


@dataclass(frozen=True)
class SceneScores:
    """What was counted of a scene with a label; its scores are taken from that.

    Attributes:
        counts: Of the prediction against the label.
        second: Of the second observer's label against the first one's, where there is one.
        steps: Of the prediction after each recurrent step; empty where steps were not kept.
        label_left_out: Share of the label's pixels that are left out, 0 to 1.
    """

    counts: SceneCounts
    second: SceneCounts | None = None
    steps: tuple[SceneCounts, ...] = ()
    label_left_out: float = 0.0


@dataclass(frozen=True)
class SceneOutcome:
    """What a scene leaves; or only its name, its source and the error.

    Attributes:
        name: Of the scene.
        source: What was asked for: a path or URL.
        height: Rows.
        width: Columns.
        prediction: What was predicted; None where a raster was only scored.
        files: Rasters by what they are: "probability", "mask", "probability-step1", ...
        image: Path or URL of the picture that the report shows; None where there is none.
        label: File of the label; None where there is none.
        labelling: Meaning of the label's values.
        open_raster: Opens one of `files`.
        scores: None where there is no label.
        error: Why the scene failed; None where it did not.
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
    open_raster: OpenRaster = open_levels
    scores: SceneScores | None = None
    error: str | None = None
