"""What the result of a scene depends on besides its pixels. Imports no torch."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.backends.choice import Backend, chosen
from pipelines.config.base import AUTO
from pipelines.config.inference import PredictionSettings
from pipelines.inputs.scene_input import OpenedScene
from pipelines.models.weights import ModelFacts, steps_taken, stop_rule
from tiling.grid import Grid
from tiling.manifest import settings_of
from tiling.scenes.scene import Scene

_ENGINE = 1
"""Raised when the same settings give other bytes than before."""

NOTED = "outside range"
"""What a fingerprint says besides, of a scene with values outside its range."""


def with_its_range(settings: PredictionSettings, opened: OpenedScene) -> PredictionSettings:
    """The settings with the range that was found for a scene, or that the weights note."""
    if opened.value_range is None or settings.value_ends is not None:
        return settings
    ends = ",".join(f"{end:g}" for end in opened.value_range)
    return settings.model_copy(update={"value_range": ends})


def backend_of(
    folder: Path,
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    offer: Backend | None,
    grid: Grid,
) -> Backend | None:
    """What computes a scene; see `pipelines.backends.choice.chosen`.

    Raises:
        ManifestError: What is there was computed by something else.
    """
    kept = None if settings.overwrite else settings_of(folder)
    pixels = grid.tile_count * grid.tile_height * grid.tile_width
    work = pixels * steps_taken(models, settings.steps)
    return chosen(settings, offer, folder, kept, networks_of(models), work)


def networks_of(models: Sequence[ModelFacts]) -> list[str]:
    """Names of the networks, as `rurnet.registry` has them."""
    return [model.card.network for model in models]


def fingerprint(
    models: Sequence[ModelFacts], settings: PredictionSettings, device: str
) -> dict[str, Any]:
    """All that changes the result of a scene besides its pixels, as plain JSON values.

    Args:
        models: What predicts.
        settings: Those of the result count, whichever there are.
        device: `pipelines.runtime.device.device_kind` of where it is computed.
    """
    values = settings.of_the_result()
    area = values.get("aoi")
    return {
        **values,
        "weights": [f"{model.name} {model.digest}" for model in models],
        "steps": _steps(models, settings),
        "gsd": values.get("gsd") or models[0].card.ground_sampling_distance,
        "aoi": area and hashlib.sha256(Path(area).read_bytes()).hexdigest()[:16],
        "device": device,
        "engine": _ENGINE,
    }


def _steps(models: Sequence[ModelFacts], settings: PredictionSettings) -> int | str | list[Any]:
    """The number of steps, or what tells it for each tile."""
    if settings.limited:
        return "in time"
    most = steps_taken(models, settings.steps)
    if settings.steps != AUTO:
        return most
    return [f"at most {most}", *(asdict(stop_rule(model)) for model in models)]


def grid_of(seen: Scene, settings: PredictionSettings) -> Grid:
    """The tiles of a scene as the network sees it."""
    return Grid(seen.height, seen.width, settings.tile, settings.overlap)
