"""The outcome of each scene of a run."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from affine import Affine

from pipelines.inputs.labels import Labelling
from pipelines.inputs.scene_input import FieldUsed, StacItem
from pipelines.results.levels import RasterLevels, open_levels
from pipelines.results.lines import LinesFound
from pipelines.scores.counts import SceneCounts
from tiling.scenes.ground import PixelSize

if TYPE_CHECKING:
    from shapely.geometry import MultiPolygon

    from pipelines.measurements.errors import ErrorRegion
    from pipelines.measurements.measured import SceneMeasures

OpenRaster = Callable[[Path | str], AbstractContextManager[RasterLevels]]
"""Opens a predicted raster as levels."""


@dataclass(frozen=True)
class Updated:
    """What became of the tiles of a scene that was brought up to date.

    Attributes:
        taken: Tiles whose pixels had not changed: taken over from the earlier result.
        refined: Tiles that took one step from the earlier mask on.
        cold: Tiles that took all their steps.
    """

    taken: int
    refined: int
    cold: int

    def __str__(self) -> str:
        return (
            f"{self.taken} tiles taken over, {self.refined} refined from the earlier mask, "
            f"{self.cold} computed anew"
        )


@dataclass(frozen=True)
class Prediction:
    """The rasters that were predicted of a scene, and what that took.

    Attributes:
        files: By what they are: "probability", "mask", and more where asked for.
        tiles: Tiles of the scene's grid.
        parts: Parts it was cut into.
        computed: Parts computed by this run; the others were there already.
        seconds: Wall time.
        remarks: What should be known of the scene's pixels, a line each.
        lines: What there is on the lines; None where none were asked for.
        threshold: The probability from which on a pixel of the mask is foreground.
        steps: Recurrent steps that its tiles took, on average over the pixels.
        backend: What computed on the CPU, where it was not torch.
        updated: What became of its tiles; None where no earlier result was there.
    """

    files: dict[str, Path]
    tiles: int
    parts: int
    computed: int
    seconds: float
    remarks: tuple[str, ...] = ()
    lines: LinesFound | None = None
    threshold: float = 0.5
    steps: float = 1.0
    backend: str | None = None
    updated: Updated | None = None

    @property
    def probability(self) -> Path:
        """Levels 0 to 254, nodata 255; or probabilities, nodata nan."""
        return self.files["probability"]

    @property
    def mask(self) -> Path:
        """0 background, then the classes; nodata 255."""
        return self.files["mask"]


@dataclass(frozen=True)
class SceneErrors:
    """Where a scene's prediction and its label disagree.

    Attributes:
        regions: The largest first.
        crs: Of the scene, as WKT.
        transform: From its pixels to coordinates.
        pixel: Size of a pixel on the ground; None where nothing tells it.
    """

    regions: "Sequence[ErrorRegion]"
    crs: str
    transform: Affine
    pixel: PixelSize | None

    def placed(self, region: "ErrorRegion") -> "MultiPolygon":
        """The outline of a region in the scene's coordinates."""
        from shapely.affinity import affine_transform

        placed: MultiPolygon = affine_transform(region.outline, self.transform.to_shapely())
        return placed

    def square_metres(self, region: "ErrorRegion") -> float | None:
        """The area of a region on the ground."""
        return None if self.pixel is None else region.pixels * self.pixel.side**2


@dataclass(frozen=True)
class SceneScores:
    """What was counted of a scene with a label; its scores are taken from that.

    Attributes:
        counts: Of the prediction against the label.
        second: Of the second observer's label against the first one's, where there is one.
        steps: Of the prediction after each recurrent step; empty where steps were not kept.
        label_left_out: Share of the label's pixels that are left out, 0 to 1.
        errors: Where the two disagree; None where the scene has no coordinates.
        remarks: What a person should know of the labels, line by line.
    """

    counts: SceneCounts
    second: SceneCounts | None = None
    steps: tuple[SceneCounts, ...] = ()
    label_left_out: float = 0.0
    errors: SceneErrors | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class SceneOutcome:
    """What a scene leaves; or only its name, its source and the error.

    Attributes:
        name: Of the scene.
        source: What was asked for, without secrets: a path or URL.
        height: Rows.
        width: Columns.
        prediction: What was predicted; None where a raster was only scored.
        files: Rasters by what they are: "probability", "mask", "probability-step1", ...
        image: Path or URL of the picture that the report shows, whole: it is to be opened, not
            shown. None where there is none.
        label: File of the label; None where there is none.
        labelling: Meaning of the label's values.
        open_raster: Opens one of `files`.
        pixel: Size of a pixel on the ground; None where nothing tells it.
        seen: Rows and columns at which the network saw the scene; None where a raster was only
            scored.
        remarks: What a person should know of how it was read, line by line.
        field: The field of view of a fundus; None of other scenes, and where a raster was only
            scored.
        laterality: Which eye a fundus shows, "R", "L" or "B", where its file tells it.
        micrometres: Side of a fundus's pixel on the retina, where it is known.
        scores: None where there is no label.
        lines: What there is on its lines; None where none were made.
        measures: None where nothing was measured.
        stac_item: The STAC item that named the scene; None where none did.
        error: Why the scene failed; None where it did not.
        of_scene: Whether that has to do with the scene, and not with the folder of its results.
        skipped: Why it was left out, though nothing is wrong with it; None where it was not.
    """

    name: str
    source: str
    height: int = 0
    width: int = 0
    prediction: Prediction | None = None
    files: Mapping[str, Path | str] = field(default_factory=dict)
    image: str | None = None
    label: str | None = None
    labelling: Labelling = field(default_factory=Labelling)
    open_raster: OpenRaster = open_levels
    pixel: PixelSize | None = None
    seen: tuple[int, int] | None = None
    remarks: tuple[str, ...] = ()
    field: FieldUsed | None = None
    laterality: str | None = None
    micrometres: float | None = None
    scores: SceneScores | None = None
    lines: LinesFound | None = None
    measures: "SceneMeasures | None" = None
    stac_item: StacItem | None = None
    error: str | None = None
    of_scene: bool = True
    skipped: str | None = None

    @property
    def done(self) -> bool:
        """Whether there are rasters of it."""
        return self.error is None and self.skipped is None
