"""A batch of scenes: predict each, score those with a label, report on all.

Bad input ends its scene, not the batch.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray

from pipelines.config import PredictionSettings
from pipelines.errors import LabelError, PipelineError
from pipelines.job import Job, Label
from pipelines.predict import Prediction, predict_scene
from pipelines.scores import Histogram
from pipelines.weights import Model
from pipelines.workers import Workers, workers_for
from rurnet.errors import RurnetError
from tiling.blend import NODATA, TOP
from tiling.errors import TilingError
from tiling.part import Part
from tiling.raster import without_georeferencing_warning
from tiling.store import PartStore
from tiling.window import Window, split

_SCORED_AT_ONCE = 2048
"""Side of the windows that scoring reads, in pixels."""


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
    """Who is told how a batch gets on, by several threads where several scenes are under way."""

    def scene(self, name: str, tiles: int) -> None:
        """A scene begins, of which so many tiles are to be predicted."""
        ...

    def tiles(self, name: str, done: int) -> None:
        """So many more tiles of a scene are done."""
        ...

    def finished(self, outcome: SceneOutcome) -> None:
        """A scene has come to its end."""
        ...


def run_batch(
    jobs: Sequence[Job],
    models: Sequence[Model],
    settings: PredictionSettings,
    output: Path,
    progress: Progress,
) -> list[SceneOutcome]:
    """Predicts and scores every scene, or what is missing of it.

    Args:
        jobs: The scenes; their names differ.
        models: Networks and metadata; their probabilities are averaged.
        settings: What predictions depend on, and who computes.
        output: `output/<name>/` takes each scene's files.
        progress: Who is told.

    Returns:
        One outcome per job, in order.

    Raises:
        PipelineError: Two scenes of one name, an unusable device, an unreachable scheduler, or
            models or steps that do not fit: nothing was run.
    """
    check_names(jobs)
    check_models(models, settings)
    with workers_for(models, settings) as workers:

        def run(job: Job) -> SceneOutcome:
            outcome = SceneOutcome(job)
            try:
                _run(job, outcome, models, workers, settings, output, progress)
            except (TilingError, PipelineError, RurnetError) as error:
                outcome.error = str(error)
            progress.finished(outcome)
            return outcome

        if workers.scenes == 1:
            return [run(job) for job in jobs]
        pool = ThreadPoolExecutor(workers.scenes, thread_name_prefix="scene")
        try:
            # Each with the context of this thread: Prefect keeps its run there.
            futures = [pool.submit(copy_context().run, run, job) for job in jobs]
            return [future.result() for future in futures]
        finally:
            # Interrupted, it does not wait: scenes under way end when their workers are gone.
            pool.shutdown(wait=False, cancel_futures=True)


def check_models(models: Sequence[Model], settings: PredictionSettings) -> None:
    """Whether the models can be averaged, and take the steps that are asked for.

    Raises:
        PipelineError: They cannot, or do not.
    """
    first = models[0]
    for model in models:
        if settings.steps is not None and settings.steps > 1 and model.network.steps == 1:
            raise PipelineError(
                f"{model.name}: a one-shot network has one step, not {settings.steps}; "
                "leave --steps out"
            )
        for what, value, other in (
            ("classes", first.card.classes, model.card.classes),
            ("bands", len(first.card.mean), len(model.card.mean)),
            ("metres per pixel", first.card.ground_sampling_distance,
             model.card.ground_sampling_distance),
            ("steps", settings.steps or first.network.steps,
             settings.steps or model.network.steps),
        ):  # fmt: skip
            if value != other:
                raise PipelineError(
                    f"{first.name} and {model.name} cannot be averaged: {what} {value} and {other}"
                )


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
        probability: Levels 0 to 254, or floats 0 to 1, a band per foreground class (their sum
            counts); nodata is not.
        label: Of the same size.
    """
    histogram = Histogram()
    with without_georeferencing_warning(), rasterio.open(probability) as raster:
        for window in split(raster.height, raster.width, _SCORED_AT_ONCE):
            histogram.add(_levels(raster, window), label.read(window))
    return histogram


def _run(
    job: Job,
    outcome: SceneOutcome,
    models: Sequence[Model],
    workers: Workers,
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

        def compute(store: PartStore, parts: Sequence[Part]) -> None:
            progress.scene(job.name, sum(part.tile_count for part in parts))
            workers.compute(job, opened, store, parts, partial(progress.tiles, job.name))

        prediction = predict_scene(
            opened, models, settings, output / job.name, workers.device, compute, png=job.png
        )
        outcome.prediction = prediction
        outcome.files = prediction.files
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
            there = _levels(raster, window) != NODATA
            levels = second.read(window).astype(np.uint8) * np.uint8(TOP)
            histogram.add(levels, label.read(window), there)
    return histogram


def _levels(raster: rasterio.DatasetReader, window: Window) -> NDArray[np.uint8]:
    """Levels [h, w] of a window of a probability raster."""
    return as_levels(raster.read(window=window.as_rasterio()))


def as_levels(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Levels [h, w] of the foreground in a probability raster's pixels, classes taken together."""
    if pixels.dtype != np.uint8:
        there = ~np.isnan(pixels)
        pixels = np.where(there, np.rint(np.nan_to_num(pixels) * TOP), NODATA)
    total = np.minimum(pixels.sum(axis=0, dtype=np.int64), TOP)
    levels: NDArray[np.uint8] = np.where(pixels[0] == NODATA, NODATA, total).astype(np.uint8)
    return levels
