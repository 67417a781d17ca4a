"""Parts of scenes, as a process computes them: one, or one after the other."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from pipelines.errors import UnforeseenError
from pipelines.inference.predictor import NetworkPredictor
from pipelines.inference.updating.plan import update_of
from pipelines.inputs.kept_open import KeptOpen
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.results.failure import OWN_ERRORS, trace_of, unforeseen
from tiling.part import Part
from tiling.stitch import TilePredictor, stitch
from tiling.store import PartStore

_SCENES = KeptOpen(4)
"""The scenes that are open in a process of workers, from one part to the next: as many as a small
cluster has under way."""


def stitched(
    opened: OpenedScene,
    store: PartStore,
    parts: Sequence[Part],
    predictor: TilePredictor,
    progress: Callable[[int], None] = lambda tiles: None,
) -> None:
    """Computes parts, with what is known of them from an earlier result."""
    update = update_of(store)
    with nullcontext() if update is None else update.open() as known:
        stitch(
            opened.seen, store.grid, parts, predictor, store.write, known=known, progress=progress
        )


def error_of_part(
    predictor: Callable[[], NetworkPredictor],
    item: SceneInput,
    use: str,
    store: PartStore,
    part: Part,
) -> Exception | None:
    """Computes one part, for another process.

    Args:
        predictor: Gives the networks.
        item: The scene.
        use: See `KeptOpen.opened`.
        store: Takes the part.
        part: What is computed, unless it is there.

    Returns:
        What went wrong, if something did. It is not raised: Dask would print it, and could not
        send it with what it came of, as GDAL's errors cannot be unpickled.
    """
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # What it says is raised as well.
    try:
        networks = predictor()
        if store.path(part).exists():
            return None  # By a worker that was believed to be lost.
        with _SCENES.opened(item, use) as opened:
            stitched(opened, store, [part], networks.scaled_from(opened.value_range))
    except OWN_ERRORS as error:
        return type(error)(str(error))
    except Exception as error:
        return UnforeseenError(unforeseen(error), trace_of(error))
    return None
