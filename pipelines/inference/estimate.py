"""What the scenes of a batch will take: tiles, parts, memory, disk and time."""

import time
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from pipelines.config.inference import PredictionSettings
from pipelines.inference.batch import check_models, log_remarks
from pipelines.inference.predictor import NetworkPredictor, predictor_for
from pipelines.inference.scene import grid_of
from pipelines.inputs.discovery import check_names
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.weights import Model
from pipelines.results.estimate import SceneEstimate
from pipelines.results.failure import failure_line
from pipelines.runtime.memory import peak_memory
from tiling.blend import BlendWeights
from tiling.errors import OutsideError
from tiling.grid import Grid
from tiling.part import Block, Part
from tiling.readers.raster import BLOCK_CACHE_BYTES
from tiling.scenes.resample import Resampling
from tiling.scenes.scene import Scene
from tiling.stitch import TilePredictor, stitch
from tiling.window import Window

_MEASURED_BATCHES = 2
"""Batches that each lane predicts to tell the time, after one to warm up."""


_PARTS_HELD = 2


def estimate_batch(
    items: Sequence[SceneInput], models: Sequence[Model], settings: PredictionSettings
) -> list[SceneEstimate]:
    """Estimates what every scene takes; nothing is written.

    Raises:
        PipelineError: As in `pipelines.inference.batch.run_batch`.
    """
    check_names(items)
    check_models(models, settings)
    predictor = predictor_for(models, settings)
    found = []
    for item in items:
        try:
            with item.open() as opened:
                log_remarks(opened)
                found.append(_estimate(item.name, opened, predictor, settings))
        except OutsideError as error:
            found.append(SceneEstimate(item.name, skipped=str(error)))
        except Exception as error:
            line = failure_line(item.source, error, None)
            found.append(SceneEstimate(item.name, error=line))
    if not any(one.done for one in found):
        found = [replace(one, error=one.error or one.skipped, skipped=None) for one in found]
    return found


def _estimate(
    name: str,
    opened: OpenedScene,
    predictor: NetworkPredictor,
    settings: PredictionSettings,
) -> SceneEstimate:
    scene, seen = opened.scene, opened.seen
    grid = grid_of(seen, settings)
    parts = grid.parts(settings.part_size)
    seconds, measured = _measured(seen, grid, predictor.scaled_from(opened.value_range))
    return SceneEstimate(
        name,
        scene.height,
        scene.width,
        grid.tile_count,
        len(parts),
        sum(part.tile_count for part in parts) / grid.tile_count - 1,
        _memory(scene, seen, grid, parts, predictor, settings),
        _disk(scene, grid, parts, predictor, settings),
        seconds * grid.tile_count,
        measured,
    )


def _measured(seen: Scene, grid: Grid, predictor: TilePredictor) -> tuple[float, int]:
    """Seconds per tile, and how many were measured: some from the middle of the scene."""
    count = predictor.lanes * predictor.batch * _MEASURED_BATCHES
    columns = grid.columns[len(grid.columns) // 2 :][:count]
    rows = grid.rows[len(grid.rows) // 2 :][: ceil(count / len(columns))]
    part = Part(_alone(rows, grid.tile_height), _alone(columns, grid.tile_width))
    seconds = 0.0
    for _ in range(2):  # The first time warms up.
        start = time.perf_counter()
        stitch(seen, grid, [part], predictor, lambda blended, digest: None)
        seconds = time.perf_counter() - start
    return seconds / part.tile_count, part.tile_count


def _alone(origins: tuple[int, ...], tile: int) -> Block:
    start, stop = origins[0], origins[-1] + tile
    return Block(origins, start, stop, start, stop)


def _memory(
    scene: Scene,
    seen: Scene,
    grid: Grid,
    parts: Sequence[Part],
    predictor: NetworkPredictor,
    settings: PredictionSettings,
) -> int:
    """What the process took to predict a few tiles, and what parts and rows come to."""
    so_far = peak_memory()
    pixels = max(part.extent.pixels for part in parts)
    per_pixel = predictor.bands * BlendWeights(grid).dtype.itemsize + 1
    width = max(part.extent.width for part in parts)
    row = width * grid.tile_height * (seen.bands * seen.dtype.itemsize + 1)
    output = predictor.bands * (5 if settings.dtype == "float32" else 1)
    held = pixels * (_PARTS_HELD * per_pixel + output) + 4 * row
    if seen is not scene:
        there = _most_at_once(Resampling((scene.height, scene.width), (seen.height, seen.width)))
        back = _most_at_once(Resampling((seen.height, seen.width), (scene.height, scene.width)))
        # Pixels, and those of a band that are filtered, for each thread that reads.
        held += predictor.readers * there * 2 * (seen.bands * seen.dtype.itemsize + 1)
        held += back * (2 * per_pixel + 2 * output)
    return so_far + BLOCK_CACHE_BYTES + held


def _most_at_once(resampling: Resampling) -> int:
    """Source pixels that are held at once, at most, to make the target."""
    height, width = resampling.target
    piece = next(resampling.pieces(Window(0, 0, height, width)))
    return resampling.source_window(piece).pixels


def _disk(
    scene: Scene,
    grid: Grid,
    parts: Sequence[Part],
    predictor: NetworkPredictor,
    settings: PredictionSettings,
) -> int:
    """Parts, and then for each raster the file it is made from and the file itself."""
    value = 5 if settings.dtype == "float32" else 1
    rim = predictor.bands * BlendWeights(grid).dtype.itemsize + 1
    kept = sum(
        part.core.pixels * predictor.bands * value + sum(r.pixels for r in part.rims) * rim
        for part in parts
    )
    output = 4 if settings.dtype == "float32" else 1
    bands = predictor.bands + (predictor.classes if settings.save_steps else 0)
    # With overviews a raster has a third more pixels; those of the mask are written twice.
    rasters = scene.height * scene.width * (bands * output * (1 + 4 / 3) + 4 / 3 + 4 / 3)
    return kept + int(rasters)
