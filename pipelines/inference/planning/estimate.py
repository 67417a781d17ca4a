"""What the scenes of a batch will take: tiles, parts, memory, disk and time.

torch is imported only where time is measured, and where a network, or a build of torch, is not
known well enough without it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.backends.choice import Backend, offered, told
from pipelines.config.base import AUTO
from pipelines.config.inference import InferRoads, PredictionSettings
from pipelines.inference.ahead import parts_left
from pipelines.inference.fingerprint import (
    NOTED,
    backend_of,
    fingerprint,
    grid_of,
    with_its_range,
)
from pipelines.inference.items import log_remarks
from pipelines.inference.lanes import Lanes, lanes_of
from pipelines.inference.planning.averaged import check_models
from pipelines.inference.stepping.bands import Bands, bands_of_settings
from pipelines.inference.updating.earlier import FROM
from pipelines.inputs.discovery import check_names
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.names import find
from pipelines.models.outline import OutlinedModel
from pipelines.models.weights import Model, ModelFacts, steps_taken, stop_rule
from pipelines.results.estimate import SceneEstimate
from pipelines.results.failure import failure_line
from pipelines.results.layout import RASTERS
from pipelines.runtime.device import device_kind, device_type, is_a_cpu
from pipelines.runtime.memory import peak_memory
from tiling.blend import BlendWeights
from tiling.errors import ManifestError, OutsideError
from tiling.grid import Grid
from tiling.manifest import MANIFEST, PARTS, Manifest, refused
from tiling.part import Block, Part
from tiling.readers.gdal import BLOCK_CACHE_BYTES
from tiling.scenes.area import AreaScene
from tiling.scenes.resample import Resampling
from tiling.scenes.scene import Scene, WrappedScene
from tiling.stitch import TilePredictor, stitch
from tiling.window import Window

if TYPE_CHECKING:
    from pipelines.inference.predictor import NetworkPredictor

_MEASURED_BATCHES = 2
"""Batches that each lane predicts to tell the time, after one to warm up."""


_PARTS_HELD = 2


_SAMPLE = 64
"""Side of the tile by which the memory of a network is told: it grows with the pixels."""


_LIBRARIES = 2
"""How much more than the tensors is held: libraries keep copies in layouts of their own."""


_TORCH = 320_000_000
"""Bytes of a process that has loaded a build of torch for CPUs, and what else predicts."""


_WITHOUT_TORCH = 130_000_000
"""The same of a process in which OpenVINO computes."""


_OPENVINO = 120_000_000
"""Bytes that OpenVINO takes besides, with a network for tiles of any size."""


@dataclass(frozen=True)
class _Process:
    """What a process holds, whichever scene it computes.

    Attributes:
        lanes: How it shares out its tiles.
        layout: The bands that it predicts.
        held_per_pixel: Bytes that a network holds for each pixel of a tile; 0 on a GPU.
    """

    lanes: Lanes
    layout: Bands
    held_per_pixel: int


def estimate_batch(
    items: Sequence[SceneInput],
    models: Sequence[Model | OutlinedModel],
    settings: PredictionSettings,
    output: Path,
) -> list[SceneEstimate]:
    """Estimates what every scene takes; nothing is written.

    Args:
        items: The scenes; their names differ.
        models: What is to predict.
        settings: What is asked for; `measure` tells the time too.
        output: Where an earlier run may have left results.

    Raises:
        PipelineError: As in `pipelines.inference.batch.run_batch`.
    """
    check_names(items)
    check_models(models, settings)
    # Workers of a cluster may have another processor: theirs is known when they are asked.
    elsewhere = settings.scheduler is not None
    device = device_type(settings.device)
    offer = None if elsewhere else offered(settings, device)
    if settings.steps == AUTO:
        for model in models:
            stop_rule(model)  # Refused where there is none.
    process = _Process(
        lanes_of(settings.batch, settings.steps, on_cpu=device == "cpu"),
        bands_of_settings(models, settings),
        _held_per_pixel(models, settings) if device == "cpu" else 0,
    )
    # Once for each backend: on a GPU it loads the networks.
    loaded = lru_cache(maxsize=None)(partial(_loaded, models, settings))
    found = []
    for item in items:
        try:
            with item.open() as opened:
                log_remarks(opened)
                folder, grid = output / item.name, grid_of(opened.seen, settings)
                backend = backend_of(folder, models, settings, offer, grid)
                if (error := _refused(folder, opened, models, settings, backend)) is not None:
                    raise error
                estimate = _estimate(folder, opened, process, settings, backend, loaded(backend))
                if settings.measure:
                    estimate = _timed(estimate, opened, models, settings, backend, grid)
                computed_by = None if backend is None else str(backend)
                found.append(replace(estimate, backend=computed_by))
        except OutsideError as error:
            found.append(SceneEstimate(item.name, skipped=str(error)))
        except Exception as error:  # Whatever it is, the other scenes are estimated.
            line = failure_line(item.source, error, None)
            found.append(SceneEstimate(item.name, error=line))
    if not any(one.done for one in found):
        found = [replace(one, error=one.error or one.skipped, skipped=None) for one in found]
    return found


def _loaded(
    models: Sequence[Model | OutlinedModel], settings: PredictionSettings, backend: Backend | None
) -> int:
    """Bytes of a process before it predicts: its libraries, and networks with their files."""
    if backend is None and not is_a_cpu(settings.device):
        _predictor(models, settings, None)  # What it takes to load differs from build to build.
        return peak_memory()
    libraries = _TORCH if backend is None else _WITHOUT_TORCH
    return libraries + 2 * sum(find(model.source).stat().st_size for model in models)


def _refused(
    folder: Path,
    opened: OpenedScene,
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    backend: Backend | None,
) -> ManifestError | None:
    """The error by which a run would end at once, as what is there was made with other settings."""
    if settings.overwrite:
        return None
    ranged = with_its_range(settings, opened)
    now = fingerprint(models, ranged, device_kind(settings.device)) | told(backend)
    # They say how pixels were read, and an earlier result, which are not looked at here.
    kept = Manifest.read(folder / MANIFEST) or Manifest.read(folder / PARTS / MANIFEST)
    if kept is not None:
        now |= {name: kept.settings[name] for name in (NOTED, FROM) if name in kept.settings}
    return refused(folder, now, RASTERS)


def _estimate(
    folder: Path,
    opened: OpenedScene,
    process: _Process,
    settings: PredictionSettings,
    backend: Backend | None,
    loaded: int,
) -> SceneEstimate:
    scene, seen = opened.scene, opened.seen
    grid = grid_of(seen, settings)
    parts = grid.parts(settings.part_size)
    left = tiles_in_area(opened, grid, parts_left(folder, grid, settings))
    seen.read(_middle(grid))  # Whether it can be read at all.
    return SceneEstimate(
        folder.name,
        scene.height,
        scene.width,
        tiles_in_area(opened, grid, parts),
        left,
        len(parts),
        sum(part.tile_count for part in parts) / grid.tile_count - 1,
        _memory(scene, seen, grid, parts, process, settings, backend, loaded),
        _disk(scene, grid, parts, process.layout, settings),
        lines_left=_lines_left(folder, left, settings),
    )


def _timed(
    estimate: SceneEstimate,
    opened: OpenedScene,
    models: Sequence[Model | OutlinedModel],
    settings: PredictionSettings,
    backend: Backend | None,
    grid: Grid,
) -> SceneEstimate:
    """The estimate with the time that some tiles tell."""
    predictor = _predictor(models, settings, backend).scaled_from(opened.value_range)
    pace, measured = _measured(opened.seen, grid, predictor)
    return replace(estimate, seconds=pace * estimate.left, measured=measured)


def _predictor(
    models: Sequence[Model | OutlinedModel],
    settings: PredictionSettings,
    backend: Backend | None,
) -> "NetworkPredictor":
    """The networks on their device."""
    from pipelines.inference.predictor import predictor_for

    return predictor_for(models, settings, backend)


def _lines_left(folder: Path, left: int, settings: PredictionSettings) -> bool | None:
    """Whether lines are still to be made; None where none are asked for."""
    if not isinstance(settings, InferRoads) or not settings.lines:
        return None
    from pipelines.lines.files import file_names

    there = all((folder / name).is_file() for name in file_names(settings.format))
    return left > 0 or not there


def tiles_in_area(opened: OpenedScene, grid: Grid, parts: Sequence[Part]) -> int:
    """Counts the tiles that meet the area of interest; all of them where there is none."""
    scene = opened.scene
    while not isinstance(scene, AreaScene):
        if not isinstance(scene, WrappedScene):
            return sum(part.tile_count for part in parts)
        scene = scene.scene
    down, across = scene.height / opened.seen.height, scene.width / opened.seen.width
    edges = scene.area.edges
    left, right = edges[:, [0, 2]].min(axis=1), edges[:, [0, 2]].max(axis=1)
    top, bottom = edges[:, [1, 3]].min(axis=1), edges[:, [1, 3]].max(axis=1)
    count = 0
    for part in parts:
        for row, column in product(part.rows.origins, part.columns.origins):
            first, start = int(row * down), int(column * across)
            height = min(scene.height - first, ceil(grid.tile_height * down))
            width = min(scene.width - start, ceil(grid.tile_width * across))
            near = (left < start + width) & (right > start)
            if (near & (top < first + height) & (bottom > first)).any():
                # A side of the area may cross the tile.
                count += bool(scene.area.inside(Window(first, start, height, width)).any())
            else:
                # All of the tile is inside, or none of it.
                count += bool(scene.area.inside(Window(first, start, 1, 1)).any())
    return count


def _middle(grid: Grid) -> Window:
    """The tile in the middle of a scene."""
    row, column = grid.rows[len(grid.rows) // 2], grid.columns[len(grid.columns) // 2]
    return Window(row, column, min(grid.tile_height, grid.height), min(grid.tile_width, grid.width))


def _held_per_pixel(models: Sequence[Model | OutlinedModel], settings: PredictionSettings) -> int:
    """Bytes that the largest network holds for each pixel of a tile."""

    def held(model: Model | OutlinedModel) -> int:
        steps = steps_taken([model], settings.steps)
        if isinstance(model, OutlinedModel):
            return model.network.held_per_pixel(steps)
        import torch

        from pipelines.runtime.tensor_memory import most_held

        shape = 1, len(model.card.mean), _SAMPLE, _SAMPLE
        network = model.network.to("cpu")
        return ceil(most_held(lambda: network(torch.zeros(shape), steps=steps)) / _SAMPLE**2)

    return max(held(model) for model in models)


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
    process: _Process,
    settings: PredictionSettings,
    backend: Backend | None,
    loaded: int,
) -> int:
    """What the process takes to load the network, and what tiles, parts and rows come to."""
    so_far = max(peak_memory(), loaded)
    tile = process.held_per_pixel * grid.tile_height * grid.tile_width
    if backend is None:
        so_far += _LIBRARIES * tile * process.lanes.under_way
    else:  # Each lane computes one tile at a time.
        so_far += _OPENVINO + tile * process.lanes.count
    pixels = max(part.extent.pixels for part in parts)
    per_pixel = process.layout.count * BlendWeights(grid).dtype.itemsize + 1
    width = max(part.extent.width for part in parts)
    row = width * grid.tile_height * (seen.bands * seen.dtype.itemsize + 1)
    output = process.layout.count * (5 if settings.dtype == "float32" else 1)
    held = pixels * (_PARTS_HELD * per_pixel + output) + 4 * row
    if seen is not scene:
        there = _most_at_once(Resampling((scene.height, scene.width), (seen.height, seen.width)))
        back = _most_at_once(Resampling((seen.height, seen.width), (scene.height, scene.width)))
        # Pixels, and those of a band that are filtered, for each thread that reads.
        held += process.lanes.readers * there * 2 * (seen.bands * seen.dtype.itemsize + 1)
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
    layout: Bands,
    settings: PredictionSettings,
) -> int:
    """Parts, and then for each raster the file it is made from and the file itself."""
    value = 5 if settings.dtype == "float32" else 1
    rim = layout.count * BlendWeights(grid).dtype.itemsize + 1
    kept = sum(
        part.core.pixels * layout.count * value + sum(r.pixels for r in part.rims) * rim
        for part in parts
    )
    output = 4 if settings.dtype == "float32" else 1
    bands = layout.count + (layout.classes if settings.save_steps else 0)
    # With overviews a raster has a third more pixels. Besides the bands there is the mask.
    rasters = scene.height * scene.width * (bands * output + 1) * 2 * 4 / 3
    return kept + int(rasters)
