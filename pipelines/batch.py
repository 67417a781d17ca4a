"""A batch of scenes: predict each, score those with a label, report on all.

Bad input ends its scene, not the batch.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray

from pipelines.config import PredictionSettings
from pipelines.errors import LabelError, PipelineError
from pipelines.predict import (
    NetworkPredictor,
    Prediction,
    choose_device,
    predict_scene,
    tiles_to_predict,
)
from pipelines.scores import Histogram
from pipelines.weights import Model
from rurnet.errors import RurnetError
from tiling.blend import TOP
from tiling.errors import TilingError
from tiling.scene import Scene, without_georeferencing_warning
from tiling.window import Window, split

_SCORED_AT_ONCE = 2048
"""Side of the windows that scoring reads, in pixels."""


class Label(Protocol):
    """Where the foreground is, by window."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...

    def read(self, window: Window) -> NDArray[np.bool_]:
        """True where the label is foreground [h, w]."""
        ...


@dataclass(frozen=True)
class Job:
    """One scene of a batch.

    Attributes:
        source: What was asked for: a path or URL.
        name: Folder of its results; its stem.
        open: Opens scene, label and second observer's label; the last two may be None.
        after: Done with the prediction once it is written, like a mask in another format.
    """

    source: str
    name: str
    open: Callable[[], AbstractContextManager["Opened"]]
    after: Callable[[Prediction], dict[str, Path]] = lambda prediction: {}


@dataclass(frozen=True)
class Opened:
    """A scene, ready to read, with what it is scored by."""

    scene: Scene
    label: Label | None = None
    second: Label | None = None


@dataclass
class SceneOutcome:
    """What came of one scene; `error` says why nothing did."""

    job: Job
    height: int = 0
    width: int = 0
    prediction: Prediction | None = None
    files: dict[str, Path] = field(default_factory=dict)
    label: str | None = None
    histogram: Histogram | None = None
    second: Histogram | None = None
    error: str | None = None


class Progress(Protocol):
    """Who is told how a batch gets on."""

    def scene(self, name: str, tiles: int) -> None:
        """A scene of so many tiles begins."""
        ...

    def tiles(self, done: int) -> None:
        """So many more tiles are done."""
        ...

    def finished(self, outcome: SceneOutcome) -> None:
        """A scene has come to its end."""
        ...


def run_batch(
    jobs: Sequence[Job],
    model: Model,
    settings: PredictionSettings,
    output: Path,
    progress: Progress,
) -> list[SceneOutcome]:
    """Predicts and scores every scene.

    Args:
        jobs: The scenes; their names differ.
        model: Network and metadata.
        settings: What predictions depend on.
        output: `output/<name>/` takes each scene's files.
        progress: Who is told.

    Returns:
        One outcome per job, in order.

    Raises:
        PipelineError: Two scenes of one name, an unusable device, or steps that the network
            cannot take: nothing was run.
    """
    check_names(jobs)
    steps = settings.steps or model.network.steps
    if steps > 1 and model.network.steps == 1:
        raise PipelineError(
            f"{model.name}: a one-shot network has one step, not {steps}; leave --steps out"
        )
    predictor = NetworkPredictor(model, settings.steps, choose_device(settings.device))
    outcomes = []
    for job in jobs:
        outcome = SceneOutcome(job)
        try:
            _run(job, outcome, model, predictor, settings, output, progress)
        except (TilingError, PipelineError, RurnetError) as error:
            outcome.error = str(error)
        progress.finished(outcome)
        outcomes.append(outcome)
    return outcomes


def check_names(jobs: Sequence[Job]) -> None:
    """Two scenes of one name would write to one folder.

    Raises:
        PipelineError: There are two.
    """
    seen: dict[str, str] = {}
    for job in jobs:
        if job.name in seen:
            raise PipelineError(
                f"{seen[job.name]} and {job.source} would both be written to {job.name}/; "
                "rename one, or run them with another --output"
            )
        seen[job.name] = job.source


def score(probability: Path, label: Label) -> Histogram:
    """Counts of a written probability raster against a label.

    Args:
        probability: Levels 0 to 254 in its first band; 255 is not counted.
        label: Of the same size.
    """
    histogram = Histogram()
    with without_georeferencing_warning(), rasterio.open(probability) as raster:
        for window in split(raster.height, raster.width, _SCORED_AT_ONCE):
            levels = raster.read(1, window=window.as_rasterio())
            histogram.add(levels, label.read(window))
    return histogram


def _run(
    job: Job,
    outcome: SceneOutcome,
    model: Model,
    predictor: NetworkPredictor,
    settings: PredictionSettings,
    output: Path,
    progress: Progress,
) -> None:
    with job.open() as opened:
        scene = opened.scene
        outcome.height, outcome.width = scene.height, scene.width
        for label in (opened.label, opened.second):
            if label is not None and (label.height, label.width) != (scene.height, scene.width):
                raise LabelError(
                    f"{label.name}: {label.width} x {label.height} pixels, but its image "
                    f"{scene.name} has {scene.width} x {scene.height}; give the label made for it"
                )
        progress.scene(job.name, tiles_to_predict(scene, settings))
        folder = output / job.name
        prediction = predict_scene(scene, model, predictor, folder, settings, progress.tiles)
        outcome.prediction = prediction
        outcome.files = {
            "probability": prediction.probability,
            "mask": prediction.mask,
            **job.after(prediction),
        }
        if opened.label is not None:
            outcome.label = opened.label.name
            outcome.histogram = score(prediction.probability, opened.label)
            if opened.second is not None:
                outcome.second = _agreement(prediction.probability, opened.label, opened.second)


def _agreement(probability: Path, label: Label, second: Label) -> Histogram:
    """The second observer against the first, where the prediction counts."""
    histogram = Histogram()
    with without_georeferencing_warning(), rasterio.open(probability) as raster:
        for window in split(raster.height, raster.width, _SCORED_AT_ONCE):
            there = raster.read(1, window=window.as_rasterio()) <= TOP
            levels = second.read(window).astype(np.uint8) * np.uint8(TOP)
            histogram.add(levels, label.read(window), there)
    return histogram
