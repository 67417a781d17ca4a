"""A batch of scenes: predict each, score those with a label, report on all.

Bad input ends its scene, not the batch.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipelines.config.base import AUTO
from pipelines.config.inference import PredictionSettings
from pipelines.errors import ClusterLostError, OutOfTimeError
from pipelines.evaluation.scoring import score
from pipelines.inference.ahead import parts_left, tiles_ahead
from pipelines.inference.cluster.protocol import Workers
from pipelines.inference.fingerprint import grid_of
from pipelines.inference.items import log_remarks
from pipelines.inference.planning.asked import check_output
from pipelines.inference.planning.averaged import check_models
from pipelines.inference.scene import predict_scene
from pipelines.inference.updating.earlier import earlier_result
from pipelines.inference.workers import workers_for
from pipelines.inputs.discovery import check_names
from pipelines.inputs.label_checks import check_fits, check_whole
from pipelines.inputs.labels import Labelling
from pipelines.inputs.scene_input import SceneInput
from pipelines.models.weights import ModelFacts
from pipelines.results.failure import failure_line
from pipelines.results.levels import open_levels
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Progress
from tiling.errors import ManifestError, OutsideError, SinkError

_LOG = logging.getLogger("rurnet")


def run_batch(
    items: Sequence[SceneInput],
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    output: Path,
    progress: Progress,
) -> list[SceneOutcome]:
    """Predicts and scores every scene, or what is missing of it.

    Args:
        items: The scenes; their names differ.
        models: Networks and metadata; their probabilities are averaged.
        settings: What predictions depend on, and who computes.
        output: `output/<name>/` takes each scene's files.
        progress: Who is told.

    Returns:
        One outcome for each item, in order. A scene outside the area of interest is skipped,
        unless all are: then the area is wrong.

    Raises:
        PipelineError: Two scenes of one name, an unusable device or output folder, an unreachable
            scheduler, or models or steps that do not fit: nothing was run.
    """
    return some_inside(run_scenes(items, models, settings, output, progress))


def run_scenes(
    items: Sequence[SceneInput],
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    output: Path,
    progress: Progress,
    frames: Sequence[str] = (),
) -> list[SceneOutcome]:
    """Does what `run_batch` does, for scenes that are not all: there may be others inside the area.

    Args:
        items: See `run_batch`.
        models: See there.
        settings: See there.
        output: See there.
        progress: See there.
        frames: With `sequence`, the names of `items` and of scenes that are done already, in the
            order of the sequence; by default `items` are all.

    Raises:
        PipelineError: See `run_batch`.
    """
    check_names(items)
    check_models(models, settings)
    check_output(output)
    ahead = tiles_ahead(items, settings, output)
    progress.expect(ahead)
    with workers_for(models, settings, output, _each(ahead)) as workers:

        def run(item: SceneInput, before: Path | None = None) -> SceneOutcome:
            if workers.ended is not None and ahead[item.name] != 0:
                error = f"{item.source}: {workers.ended}"
                return SceneOutcome(item.name, item.source, error=error, of_scene=False)

            def work() -> SceneOutcome:
                folder = output / item.name
                earlier = before if settings.from_run is None else settings.from_run / item.name
                outcome = run_scene(item, models, settings, folder, workers, progress, earlier)
                progress.finished(outcome)
                return outcome

            return progress.around(item.name, work)

        if settings.sequence:
            by_name = {item.name: item for item in items}
            outcomes: list[SceneOutcome] = []
            last: Path | None = None
            for name in frames or by_name:
                if name in by_name:
                    outcomes.append(run(by_name[name], last))
                if name not in by_name or outcomes[-1].done:
                    last = output / name
            return outcomes
        if workers.scenes == 1:
            return [run(item) for item in items]
        pool = ThreadPoolExecutor(workers.scenes, thread_name_prefix="scene")
        try:
            # Each with the context of this thread: Prefect keeps its run there.
            futures = [pool.submit(copy_context().run, run, item) for item in items]
            return [future.result() for future in futures]
        finally:
            # Interrupted, it does not wait: scenes under way end when their workers are gone.
            pool.shutdown(wait=False, cancel_futures=True)


def _each(ahead: Mapping[str, int | None]) -> list[int]:
    """Tiles of each scene; those that were not counted are taken to be like the others."""
    counted = [tiles for tiles in ahead.values() if tiles is not None]
    mean = round(sum(counted) / len(counted)) if counted else 0
    return [mean if tiles is None else tiles for tiles in ahead.values()]


def some_inside(outcomes: list[SceneOutcome]) -> list[SceneOutcome]:
    """The outcomes; where the area meets none of the scenes, those outside of it are failures."""
    if any(outcome.done for outcome in outcomes):
        return outcomes
    return [replace(one, error=one.error or one.skipped, skipped=None) for one in outcomes]


def run_scene(
    item: SceneInput,
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    folder: Path,
    workers: Workers,
    progress: Progress,
    before: Path | None = None,
) -> SceneOutcome:
    """One scene, from its file to its scores; what goes wrong with it ends this scene alone.

    Args:
        item: The scene, and what it is scored by.
        models: Networks whose probabilities are averaged.
        settings: What is asked for.
        folder: Takes the scene's files; the folder it lies in takes the log of failures.
        workers: Who computes.
        progress: Who is told.
        before: Where the result may be that it is brought up to date from.
    """
    try:
        earlier = None if before is None else earlier_result(before)
        told: tuple[str, ...] = ()
        if before is not None and earlier is None:
            told = (f"{item.source}: no finished result in {before}, so all of it is computed",)
            _LOG.warning("%s", told[0])
        with item.open() as opened:
            log_remarks(opened)
            labels = [one for one in (opened.label, opened.second) if one is not None]
            for label in labels:
                check_fits(label, opened.scene, alignable=opened.field is None)
            if parts_left(folder, grid_of(opened.seen, settings), settings):
                for label in labels:
                    check_whole(label, models[0].card.classes)
            prediction = predict_scene(
                item,
                opened,
                models,
                settings,
                folder,
                workers,
                begun=partial(progress.scene, item.name),
                progress=partial(progress.tiles, item.name),
                earlier=earlier,
            )
            scores = None
            if opened.label is not None:
                scores = score(
                    prediction.files,
                    open_levels,
                    opened.label,
                    opened.second,
                    settings,
                    pixel_told=opened.pixel_told,
                    own_threshold=prediction.threshold if settings.threshold == AUTO else None,
                )
            return SceneOutcome(
                item.name,
                item.source,
                opened.scene.height,
                opened.scene.width,
                prediction=prediction,
                files=prediction.files,
                image=item.image or item.source,
                label=None if opened.label is None else opened.label.name,
                pixel=opened.pixel,
                seen=(opened.seen.height, opened.seen.width),
                remarks=(
                    *told,
                    *opened.remarks,
                    *prediction.remarks,
                    *([f"{item.source}: {prediction.updated}"] if prediction.updated else []),
                    *(scores.remarks if scores else ()),
                ),
                field=opened.field,
                laterality=opened.laterality,
                micrometres=opened.micrometres,
                labelling=Labelling() if opened.label is None else opened.label.labelling,
                scores=scores,
                lines=prediction.lines,
                stac_item=item.stac_item,
            )
    except OutsideError as error:
        return SceneOutcome(item.name, item.source, skipped=str(error))
    except Exception as error:  # Whatever it is, the other scenes go on.
        line = failure_line(item.source, error, folder.parent)
        others = SinkError | ManifestError | OutOfTimeError | ClusterLostError
        of_scene = not isinstance(error, others)
        return SceneOutcome(item.name, item.source, error=line, of_scene=of_scene)
