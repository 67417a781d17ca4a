"""From a scene and weights to `probability.tif` and `mask.tif`.

Imports neither lightning, monai, dask, matplotlib nor prefect.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.backends.choice import told
from pipelines.config.base import AUTO
from pipelines.config.inference import InferDrive, InferRoads, PredictionSettings
from pipelines.dicom.results import FILES
from pipelines.inference.fingerprint import (
    NOTED,
    backend_of,
    fingerprint,
    grid_of,
    with_its_range,
)
from pipelines.inference.rasters import assemble, is_empty, mean_steps, threshold_of
from pipelines.inference.stepping.bands import STEPS, bands_of_settings
from pipelines.inference.updating.change import CHANGE, noted_in
from pipelines.inference.updating.earlier import FROM, Earlier
from pipelines.inference.updating.run import brought_up_to_date
from pipelines.inputs.class_nodata import without_nodata
from pipelines.inputs.pixel_values import GIVE_RANGE_OR_AUTO, Look, check_shows, looked_at
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.lines.changes import CHANGES, changed_lines, lines_in
from pipelines.lines.files import file_names
from pipelines.lines.vectorise import Lines, vectorise
from pipelines.models.weights import ModelFacts, steps_taken
from pipelines.results.layout import RASTERS, named
from pipelines.results.levels import open_levels
from pipelines.results.outcome import Prediction
from tiling.manifest import Work, working
from tiling.part import Part
from tiling.readers.bands import keeping

if TYPE_CHECKING:
    from pipelines.inference.cluster.protocol import Workers

_LOG = logging.getLogger("rurnet")


def predict_scene(
    item: SceneInput,
    opened: OpenedScene,
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    folder: Path,
    workers: "Workers",
    begun: Callable[[int], None] = lambda tiles: None,
    progress: Callable[[int], None] = lambda tiles: None,
    earlier: Earlier | None = None,
) -> Prediction:
    """Computes what is missing of a scene's parts, and makes its rasters, unless they are there.

    Args:
        item: The scene, for workers that open it anew.
        opened: The same scene, open.
        models: Networks whose probabilities are averaged.
        settings: What the result depends on, and how the work is cut.
        folder: Where the rasters go.
        workers: Who computes.
        begun: Is told how many tiles are to be computed, before they are.
        progress: Is told how many more tiles are done.
        earlier: The result that it is brought up to date from.

    Raises:
        SceneError: The scene cannot be read.
        SinkError: The disk refuses.
        ManifestError: What is there was made with other settings.
        DataError: The earlier result was made with other settings.
        DataError: Most values of the scene lie outside the range, or it shows no eye.
    """
    start = time.perf_counter()
    look = looked_at(opened, GIVE_RANGE_OR_AUTO, own_range=settings.value_range == AUTO)
    check_shows(opened)
    settings = with_its_range(settings, opened)
    for remark in look.remarks:
        _LOG.warning("%s", remark)
    missing: list[Part] = []
    updated = None
    grid = grid_of(opened.seen, settings)
    backend = backend_of(folder, models, settings, workers.offer, grid)
    asked = fingerprint(models, settings, workers.device)
    made_with = asked | told(backend) | _noted(look)
    if earlier is not None:
        earlier.check(item.source, asked)
        made_with |= {FROM: earlier.identity}
    with working(
        folder,
        opened.seen,
        grid,
        made_with,
        settings.part_size,
        bands_of_settings(models, settings).count,
        raw=settings.dtype == "float32",
        overwrite=settings.overwrite,
        whole=[] if opened.field_mask is None else [opened.field_mask],
        names=RASTERS,
    ) as work:
        store = work.store
        if work.finished:
            files = named(folder / name for name in work.manifest.outputs)
            threshold = threshold_of(files["mask"])
            if CHANGE in files:
                updated = noted_in(files[CHANGE])
        elif earlier is not None:
            done = brought_up_to_date(
                item, opened, models, settings, work, earlier, workers, begun, progress, backend
            )
            files, threshold, missing = done.files, done.threshold, done.computed
            updated = done.updated
        else:
            missing = store.missing()
            begun(sum(part.tile_count for part in missing))
            if missing and workers.offer is not None:
                _LOG.info("%s: computed by %s", item.name, backend or "torch")
            workers.compute(item, opened, store, missing, progress, backend)
            made = assemble(opened, store, folder, models, settings, png=item.png)
            files, threshold = made.files, made.threshold
            work.finish(files)
        if isinstance(settings, InferDrive) and settings.dicom_results and _is_of_eye(opened):
            work.derive(FILES)
        lines = None
        if isinstance(settings, InferRoads) and settings.lines:
            work.derive(file_names(settings.format))
            lines = _lines(item, opened, models, settings, threshold, folder, files)
            if earlier is not None:
                files = files | _changed_lines(
                    opened, settings, earlier, files[CHANGE], folder, work
                )
    if settings.threshold == AUTO:
        _LOG.info("%s: foreground from probability %.3f on", item.name, threshold)
    steps = float(steps_taken(models, settings.steps))
    if settings.steps == AUTO:
        steps = mean_steps(files[STEPS])
        _LOG.info("%s: %.2f recurrent steps on average", item.name, steps)
    remarks = look.remarks
    if is_empty(files["mask"]):
        nothing = (
            f"{item.source}: none of its pixels is there (nodata, mask or alpha), so its result is "
            f"empty; if they are pixels: {_uncovered(opened, item.source)}"
        )
        _LOG.warning("%s", nothing)
        remarks = (*remarks, nothing)
    elif earlier is not None and is_empty(files[CHANGE]):
        apart = (
            f"{item.source}: no pixel of it lies on its earlier result in {earlier.folder}, so "
            "nothing is compared; check whether both are of the same place"
        )
        _LOG.warning("%s", apart)
        remarks = (*remarks, apart)
    seconds = time.perf_counter() - start
    return Prediction(
        files | lines.files if lines else files,
        store.grid.tile_count,
        len(store.parts),
        len(missing),
        seconds,
        remarks,
        lines.found if lines else None,
        threshold,
        steps,
        None if backend is None else str(backend),
        updated,
    )


def _uncovered(opened: OpenedScene, name: str) -> str:
    """The command after which no pixel of a scene is missing, as far as one is known."""
    file = opened.file
    if file is None or file.nodata is not None:
        return without_nodata(name)
    return keeping(name, ",".join(str(band + 1) for band in range(file.bands)))


def _lines(
    item: SceneInput,
    opened: OpenedScene,
    models: Sequence[ModelFacts],
    settings: InferRoads,
    threshold: float,
    folder: Path,
    files: Mapping[str, Path],
) -> Lines:
    """The lines of a scene's finished rasters."""
    lines = vectorise(
        item.name,
        files,
        partial(open_levels, classes=tuple(models[0].card.classes[1:])),
        settings,
        threshold,
        folder,
        opened.pixel,
    )
    _LOG.info("%s: %s", item.name, lines.found)
    return lines


def _changed_lines(
    opened: OpenedScene,
    settings: InferRoads,
    earlier: Earlier,
    change: Path,
    folder: Path,
    work: Work,
) -> dict[str, Path]:
    """The file of lines that were added or removed; none where an earlier result has no lines."""
    before, now = lines_in(earlier.folder), lines_in(folder)
    if before is None or now is None:
        _LOG.info("%s: no lines that new ones can be compared with", earlier.folder)
        return {}
    work.derive([CHANGES])
    transform, pixel = opened.scene.transform, opened.pixel
    return {"changes": changed_lines(before, now, change, transform, pixel, settings, folder)}


def _is_of_eye(opened: OpenedScene) -> bool:
    """Whether the scene's file says what eye it shows, as those of DICOM do."""
    return opened.file is not None and opened.file.eye is not None


def _noted(look: Look) -> dict[str, Any]:
    """What the fingerprint of a scene says besides, because its values were once not bounded."""
    return {NOTED: "bounded"} if look.outside else {}
