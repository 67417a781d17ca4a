"""What a run has to tell: the contents of `report.json`, field by field as in docs/report.md."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pydantic import TypeAdapter

from pipelines.inputs.scene_input import FieldUsed, StacItem
from pipelines.results.lines import JoinedLines, LinesFound, ScoredLines
from pipelines.results.outcome import Updated
from pipelines.results.this_run import Failure, ThisRun
from pipelines.scores.curve import Number
from pipelines.scores.intervals import Interval
from pipelines.scores.scores import Scores

SCHEMA = 2
"""Raised when a field of `report.json` changes its meaning or goes."""


ByPath = Mapping[str, Number]
"""A number for each of `pipelines.scores.scores.PATHS`."""


@dataclass(frozen=True)
class ModelUsed:
    """The weights that predicted; of several, names and digests stand side by side.

    Attributes:
        name: Of the weights.
        task: "roads", "vessels" or "other".
        bands: How many the network takes.
        classes: Their names, background first.
        network: Its name in the registry.
        steps: Recurrent steps that were taken, at most.
        weights_sha256: Of the weights files.
    """

    name: str
    task: str
    bands: int
    classes: Sequence[str]
    network: str
    steps: int
    weights_sha256: str


@dataclass(frozen=True)
class Scoring:
    """How the scores were computed.

    Attributes:
        threshold: The chosen probability; "auto" where each scene has its own.
        rho: Pixels that relaxed scores forgive.
        ignore: Label values that were left out.
        counted: Which pixels were counted, in words.
        scored: Which files were scored, in words.
    """

    threshold: float | Literal["auto"]
    rho: float
    ignore: Sequence[int]
    counted: str
    scored: str


@dataclass(frozen=True)
class Summary:
    """Several scenes in one; each field is None where no scene was scored.

    Attributes:
        pooled: Scores of all pixels of all scenes together.
        mean: Of the scenes' own scores, where they are defined.
        sd: Their standard deviation, with n - 1 in the denominator.
        intervals: 95 % bootstrap intervals of `pooled`; None with fewer than two scenes.
    """

    pooled: Scores[Number] | None
    mean: ByPath | None
    sd: ByPath | None
    intervals: Mapping[str, Interval | None] | None


@dataclass(frozen=True)
class DrawnScene:
    """The second observer's drawing of a scene, scored as if it were a prediction."""

    name: str
    scores: Scores[Number]


@dataclass(frozen=True)
class SecondObserver(Summary):
    """The second observer's drawings, scored as if they were predictions."""

    scenes: Sequence[DrawnScene]


@dataclass(frozen=True)
class StepSummary:
    """All scenes after one recurrent step.

    Attributes:
        step: Its number, from 1.
        seconds_per_megapixel: Up to and with this step; None where that was not measured.
        pooled: As in `Summary`.
        intervals: As in `Summary`.
    """

    step: int
    seconds_per_megapixel: float | None
    pooled: Scores[Number] | None
    intervals: Mapping[str, Interval | None] | None


@dataclass(frozen=True)
class ComparedScore:
    """One score of two runs.

    Attributes:
        column: Path of the score.
        a: Of the first run, pooled.
        b: Of the second run, pooled.
        difference: b - a.
        low: Lower end of the difference's 95 % interval.
        high: Upper end of it.
        mean: Mean of the scenes' own differences.
        mean_low: Lower end of its 95 % interval.
        mean_high: Upper end of it.
    """

    column: str
    a: Number
    b: Number
    difference: Number
    low: Number
    high: Number
    mean: Number
    mean_low: Number
    mean_high: Number


@dataclass(frozen=True)
class ComparedScene:
    """F1 of one scene in two runs, and by how much the second is higher."""

    scene: str
    a: Number
    b: Number
    difference: Number


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same scenes.

    Attributes:
        a: What the first is called.
        b: What the second is called.
        scenes: How many were scored in both.
        unpaired: Scenes that only one of the two has, or that could be scored in one only.
        unlike: Scenes in which the two do not count the same pixels.
        rows: Score by score.
        paired: Scene by scene.
    """

    a: str
    b: str
    scenes: int
    unpaired: Sequence[str]
    unlike: Sequence[str]
    rows: Sequence[ComparedScore]
    paired: Sequence[ComparedScene]


@dataclass(frozen=True)
class CurvePoints:
    """Precision and recall at each threshold, strict and relaxed: five lists of one length."""

    threshold: Sequence[Number]
    precision: Sequence[Number]
    recall: Sequence[Number]
    relaxed_precision: Sequence[Number]
    relaxed_recall: Sequence[Number]


@dataclass(frozen=True)
class UncertainPlace:
    """A square of a scene in which the prediction is uncertain.

    Attributes:
        row: Its first row.
        column: Its first column.
        height: Rows.
        width: Columns.
        entropy: Mean over its pixels, in bits: 0 is certain, 1 is a coin's.
        x: Of its centre, in the scene's coordinates; columns where it has none.
        y: Of its centre; rows where it has none.
    """

    row: int
    column: int
    height: int
    width: int
    entropy: float
    x: float
    y: float


@dataclass(frozen=True)
class Measured:
    """What was measured of several scenes; names are those of docs/measurements.md.

    Attributes:
        kind: "roads" or "vessels".
        pooled: Of all roads together; None of vessels.
        mean: Over scenes.
        sd: Standard deviation over scenes, with n - 1 in the denominator.
    """

    kind: Literal["roads", "vessels"]
    pooled: ByPath | None
    mean: ByPath
    sd: ByPath


@dataclass(frozen=True)
class SceneEntry:
    """One scene.

    Attributes:
        name: Of the scene.
        input: What was asked for: a path or URL.
        label: File of the label.
        label_left_out: Share of its pixels that are left out, 0 to 1; None where there is none.
        height: Rows.
        width: Columns.
        tiles: Of its grid; this and the next three are None where a raster was only scored.
        parts: It was cut into.
        parts_computed: By this run; the others were there already.
        seconds: Wall time.
        files: Rasters by what they are: "probability", "mask", ...
        pixel_size: Height and width of a pixel on the ground in metres; None where nothing tells
            it.
        seen: Rows and columns at which the network saw the scene; None where a raster was only
            scored.
        field: The field of view of a fundus; None of other scenes, and where a raster was only
            scored.
        scores: None where there is no label; in `report.json` they stand among the other fields.
        remarks: What a person should know of how it was read, line by line.
        lines: What there is on its lines; None where none were made.
        measurements: By name; None where nothing was measured.
        uncertain: Where the prediction is least certain, the worst place first.
        threshold: The probability from which on a pixel of its mask is foreground; None where a
            raster was only scored.
        mean_steps: Recurrent steps that its tiles took, on average over its pixels; None where a
            raster was only scored.
        stac_item: The STAC item that named the scene; None where none did.
        laterality: Which eye a fundus shows: "R", "L" or "B" (both); None where nothing tells it.
        micrometres: Side of a fundus's pixel on the retina; None where nothing tells it.
        updated: What became of its tiles; None where it was not brought up to date.
    """

    name: str
    input: str
    label: str | None
    label_left_out: Number
    height: int
    width: int
    tiles: int | None
    parts: int | None
    parts_computed: int | None
    seconds: float | None
    files: Mapping[str, str]
    pixel_size: Sequence[float] | None
    seen: Sequence[int] | None
    field: FieldUsed | None
    scores: Scores[Number] | None
    remarks: Sequence[str] = ()
    lines: LinesFound | None = None
    measurements: ByPath | None = None
    uncertain: Sequence[UncertainPlace] = ()
    threshold: Number = None
    mean_steps: Number = None
    stac_item: StacItem | None = None
    laterality: str | None = None
    micrometres: Number = None
    updated: Updated | None = None


@dataclass(frozen=True)
class MadeWith:
    """What a run was made with, so that it can be made again.

    Attributes:
        command: To paste into a shell.
        python: Its version.
        platform: The operating system.
        processor: Its name.
        cores: How many this process may use.
        device: Name of the machine's first GPU, used or not.
        packages: Versions by name.
        seconds: Wall time of the run.
        backends: What computed on the CPU, of all scenes; "eager" is torch. Empty where it was
            torch alone.
    """

    command: str
    python: str
    platform: str
    processor: str
    cores: int
    device: str | None
    packages: Mapping[str, str]
    seconds: float | None
    backends: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """What a run has to tell.

    Attributes:
        schema: `SCHEMA`.
        created: When, UTC, ISO 8601.
        version: Of RurNet.
        data: The folder that all inputs lie in.
        model: None where rasters of unknown origin were scored.
        settings: Every option of the run.
        scoring: How the scores were computed.
        pooled: As in `Summary`.
        mean: As in `Summary`.
        sd: As in `Summary`.
        intervals: As in `Summary`.
        second_observer: None where there is none.
        steps: Empty where steps were not kept of every scene with a label.
        comparison: None where there is one run only.
        curve: None without labels, or where masks were scored.
        scenes: Those that were done.
        measurements: None where nothing was measured.
        failed: What was not done.
        skipped: What was left out because it lies outside the area of interest.
        made_with: Command, versions, machine.
        this_run: What of all this the run did that wrote it; None where that is everything.
        joined: The lines of all scenes as one network; None where they were not joined.
        scored_lines: Scores of files of lines; None where rasters were scored.
    """

    schema: int
    created: str
    version: str
    data: str | None
    model: ModelUsed | None
    settings: Mapping[str, Any]
    scoring: Scoring
    pooled: Scores[Number] | None
    mean: ByPath | None
    sd: ByPath | None
    intervals: Mapping[str, Interval | None] | None
    second_observer: SecondObserver | None
    steps: Sequence[StepSummary]
    comparison: Comparison | None
    curve: CurvePoints | None
    scenes: Sequence[SceneEntry]
    failed: Sequence[Failure]
    skipped: Sequence[Failure]
    made_with: MadeWith
    measurements: Measured | None = None
    this_run: ThisRun | None = None
    joined: JoinedLines | None = None
    scored_lines: ScoredLines | None = None


def from_json(contents: Mapping[str, Any]) -> Report:
    """The report that `as_json` gave the contents of.

    Raises:
        ValidationError: They are no such report, or one of another schema.
    """
    groups = [field.name for field in fields(Scores)]
    contents = copy.deepcopy(dict(contents))
    second = contents.get("second_observer") or {}
    for scene in (*contents.get("scenes", ()), *second.get("scenes", ())):
        scores = {group: scene.pop(group, None) for group in groups}
        scene["scores"] = None if scores["foreground"] is None else scores
    return TypeAdapter(Report).validate_python(contents)


def as_json(report: Report) -> dict[str, Any]:
    """The contents of `report.json`: the report's fields, each scene's scores among its others."""
    contents = asdict(report)
    no_scores = dict.fromkeys(field.name for field in fields(Scores))
    for of in (contents, contents["second_observer"]):
        for scene in of["scenes"] if of else ():
            scene.update(scene.pop("scores") or no_scores)
    return contents
