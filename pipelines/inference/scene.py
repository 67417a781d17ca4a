"""From a scene and weights to `probability.tif` and `mask.tif`.

Imports neither lightning, monai, dask, matplotlib nor prefect.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.config.inference import PredictionSettings
from pipelines.inference.predictor import NetworkPredictor
from pipelines.inference.rasters import assemble
from pipelines.inputs.scene_input import Views
from pipelines.models.weights import Model, steps_taken
from pipelines.results.layout import named
from pipelines.results.outcome import Prediction
from pipelines.runtime.device import choose_device
from tiling.grid import Grid
from tiling.manifest import working
from tiling.part import Part
from tiling.scenes.scene import Scene
from tiling.stitch import TilePredictor, stitch
from tiling.store import PartStore

_ENGINE = 1
"""Raised when the same settings give other bytes than before."""


_RESULT_SETTINGS = {
    "tile", "overlap", "threshold", "min_size", "dtype", "save_steps", "tta", "value_range",
    "bands", "white_is_nodata",
}  # fmt: skip
"""What changes a result, of the settings; others are resolved or hashed first."""


def band_count(models: Sequence[Model], settings: PredictionSettings) -> int:
    """Bands that are blended: foreground classes, times the steps that are kept."""
    steps = steps_taken(models, settings.steps) if settings.save_steps else 1
    return (models[0].network.classes - 1) * steps


def predictor_for(models: Sequence[Model], settings: PredictionSettings) -> NetworkPredictor:
    """The networks on their device.

    Raises:
        PipelineError: No such device.
    """
    return NetworkPredictor(
        models,
        settings.steps,
        choose_device(settings.device),
        batch=settings.batch,
        save_steps=settings.save_steps,
        tta=settings.tta,
        value_range=settings.value_ends,
    )


def grid_of(seen: Scene, settings: PredictionSettings) -> Grid:
    """The tiles of what the network sees."""
    return Grid(seen.height, seen.width, settings.tile, settings.overlap)


def predict_parts(
    seen: Scene,
    store: PartStore,
    parts: Sequence[Part],
    predictor: TilePredictor,
    progress: Callable[[int], None] = lambda tiles: None,
) -> None:
    """Computes parts of a scene and writes them to their store.

    Raises:
        SceneError: The scene cannot be read.
        SinkError: The disk refuses.
        DeviceMemoryError: The device has no memory for two tiles.
    """
    stitch(seen, store.grid, parts, predictor, store.write, progress=progress)


def predict_scene(
    views: Views,
    models: Sequence[Model],
    settings: PredictionSettings,
    folder: Path,
    device: str,
    compute: Callable[[PartStore, Sequence[Part]], None],
    *,
    png: bool = False,
) -> Prediction:
    """Computes what is missing of a scene's parts, and makes its rasters, unless they are there.

    Args:
        views: The scene.
        models: What the tags of the rasters say was used.
        settings: What the prediction depends on.
        folder: Where the rasters go.
        device: `device_kind` of where `compute` computes.
        compute: Computes parts into the store, here (`predict_parts`) or elsewhere.
        png: See `pipelines.inference.rasters.assemble`.

    Raises:
        SceneError: The scene cannot be read.
        SinkError: The disk refuses.
        ManifestError: What is there was made with other settings.
    """
    start = time.perf_counter()
    with working(
        folder,
        views.seen,
        grid_of(views.seen, settings),
        _result_settings(models, settings, device),
        settings.part_size,
        band_count(models, settings),
        raw=settings.dtype == "float32",
        overwrite=settings.overwrite,
    ) as work:
        store = work.store
        missing: list[Part] = []
        if work.finished:
            files = named(folder / name for name in work.manifest.outputs)
        else:
            missing = store.missing()
            compute(store, missing)
            files = assemble(views, store, folder, models, settings, png=png)
            work.finish(files)
    seconds = time.perf_counter() - start
    return Prediction(files, store.grid.tile_count, len(store.parts), len(missing), seconds)


def _result_settings(
    models: Sequence[Model], settings: PredictionSettings, device: str
) -> dict[str, Any]:
    """All that changes the result of a scene, as plain JSON values."""
    values = settings.model_dump(mode="json")
    area = values.get("aoi")
    return {
        "weights": [f"{model.name} {model.digest}" for model in models],
        "steps": steps_taken(models, settings.steps),
        "gsd": values.get("gsd") or models[0].card.ground_sampling_distance,
        "aoi": area and hashlib.sha256(Path(area).read_bytes()).hexdigest()[:16],
        **{name: value for name, value in sorted(values.items()) if name in _RESULT_SETTINGS},
        "device": device,
        "engine": _ENGINE,
    }
