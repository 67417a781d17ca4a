"""How many tiles the scenes of a batch have to have done, before the first of them begins."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipelines.config.inference import PredictionSettings
from pipelines.inference.fingerprint import grid_of
from pipelines.inputs.scene_input import SceneInput
from tiling.errors import ManifestError
from tiling.grid import Grid
from tiling.manifest import MANIFEST, PARTS, Manifest
from tiling.part import Part
from tiling.store import PartStore

_COUNTED_WITHIN_S = 1.0
"""How long scenes are counted before the first is begun; what is left then is not counted."""


def tiles_ahead(
    items: Sequence[SceneInput], settings: PredictionSettings, output: Path
) -> dict[str, int | None]:
    """Counts the tiles of each scene that are not done yet, for the progress of the whole batch.

    Returns:
        Tiles by the scene's name; 0 of a scene that cannot be opened, which ends at once when it
        is its turn, and None of those for which there was no time.
    """
    end = time.monotonic() + _COUNTED_WITHIN_S
    counted: dict[str, int | None] = {}
    for item in items:
        counted[item.name] = None if time.monotonic() > end else 0
        if counted[item.name] is None:
            continue
        with suppress(Exception), item.open() as opened:
            grid = grid_of(opened.seen, settings)
            left = parts_left(output / item.name, grid, settings)
            counted[item.name] = sum(part.tile_count for part in left)
    return counted


def parts_left(folder: Path, grid: Grid, settings: PredictionSettings) -> list[Part]:
    """Finds the parts of a scene that an earlier run has not done.

    Whether what it did may be kept is not looked at: that takes some of the scene's pixels. Nor is
    anything wrong with the folder told: it is when the scene is begun.

    Args:
        folder: Of the scene's results.
        grid: Its tiles.
        settings: What is asked for.
    """
    begun = ended = None
    if not settings.overwrite:
        with suppress(ManifestError):
            ended = Manifest.read(folder / MANIFEST)
            begun = Manifest.read(folder / PARTS / MANIFEST)
    if ended is not None and ended.outputs:
        return []
    parts = grid.parts(begun.part_size if begun else settings.part_size)
    return PartStore(folder / PARTS, grid, parts, 1).missing() if begun else list(parts)
