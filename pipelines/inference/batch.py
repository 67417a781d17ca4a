"""A batch of scenes: predict each, score those with a label, report on all.

Bad input ends its scene, not the batch.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path

from pipelines.config.inference import PredictionSettings
from pipelines.errors import PipelineError
from pipelines.evaluation.scoring import score
from pipelines.inference.scene import predict_scene
from pipelines.inference.workers import Workers, workers_for
from pipelines.inputs.discovery import check_names
from pipelines.inputs.label_checks import check_fits
from pipelines.inputs.labels import labelling_of
from pipelines.inputs.scene_input import SceneInput
from pipelines.models.weights import Model
from pipelines.results.levels import open_levels
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Progress
from rurnet.errors import RurnetError
from tiling.errors import TilingError


def run_batch(
    items: Sequence[SceneInput],
    models: Sequence[Model],
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
        One outcome for each item, in order.

    Raises:
        PipelineError: Two scenes of one name, an unusable device, an unreachable scheduler, or
            models or steps that do not fit: nothing was run.
    """
    check_names(items)
    check_models(models, settings)
    with workers_for(models, settings) as workers:

        def run(item: SceneInput) -> SceneOutcome:
            folder = output / item.name
            outcome = run_scene(item, models, settings, folder, workers, progress)
            progress.finished(outcome)
            return outcome

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


def run_scene(
    item: SceneInput,
    models: Sequence[Model],
    settings: PredictionSettings,
    folder: Path,
    workers: Workers,
    progress: Progress,
) -> SceneOutcome:
    """One scene, from its file to its scores; what goes wrong with it ends this scene alone.

    Args:
        item: The scene, and what it is scored by.
        models: Networks whose probabilities are averaged.
        settings: What is asked for.
        folder: Takes the scene's files.
        workers: Who computes.
        progress: Who is told.
    """
    try:
        with item.open() as opened:
            labels = [one for one in (opened.label, opened.second) if one is not None]
            for label in labels:
                check_fits(label, opened.scene)
            prediction = predict_scene(
                item,
                opened,
                models,
                settings,
                folder,
                workers,
                begun=partial(progress.scene, item.name),
                progress=partial(progress.tiles, item.name),
            )
            scores = None
            if opened.label is not None:
                scores = score(prediction.files, open_levels, opened.label, opened.second, settings)
            return SceneOutcome(
                item.name,
                item.source,
                opened.scene.height,
                opened.scene.width,
                prediction=prediction,
                files=prediction.files,
                image=item.source,
                label=None if opened.label is None else opened.label.name,
                labelling=labelling_of(
                    len(models[0].card.classes), settings.ignored_values, settings
                ),
                scores=scores,
            )
    except (TilingError, PipelineError, RurnetError) as error:
        return SceneOutcome(item.name, item.source, error=str(error))


def check_models(models: Sequence[Model], settings: PredictionSettings) -> None:
    """Whether the models can be averaged, and take the steps that are asked for.

    Raises:
        PipelineError: They cannot, or do not.
    """
    first = models[0]
    for model in models:
        if settings.steps is not None and settings.steps > 1 and model.network.one_shot:
            raise PipelineError(
                f"{model.name}: a one-shot network has one step, not {settings.steps}; "
                "leave --steps out"
            )
        for what, value, other in (
            ("classes", first.card.classes, model.card.classes),
            ("bands", len(first.card.mean), len(model.card.mean)),
            ("metres per pixel", first.card.ground_sampling_distance,
             model.card.ground_sampling_distance),
            ("diameters of the field of view", first.card.field_diameters,
             model.card.field_diameters),
            ("steps", settings.steps or first.network.steps,
             settings.steps or model.network.steps),
        ):  # fmt: skip
            if value != other:
                raise PipelineError(
                    f"{first.name} and {model.name} cannot be averaged: {what} {value} and {other}"
                )
