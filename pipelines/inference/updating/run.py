"""Brings the result of a scene up to date: what has changed is computed, the rest taken over."""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.backends.choice import Backend
from pipelines.config.inference import PredictionSettings
from pipelines.inference.rasters import assemble, threshold_of
from pipelines.inference.stepping.bands import bands_of_settings
from pipelines.inference.updating.change import CHANGE, write_change
from pipelines.inference.updating.earlier import Earlier
from pipelines.inference.updating.plan import Update, counts, planned, without_others
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.stopping import start_gate
from pipelines.models.weights import ModelFacts, steps_taken
from pipelines.results.layout import named
from pipelines.results.outcome import Updated
from tiling.disk import appearing, refusals_named
from tiling.manifest import Work
from tiling.part import Part

if TYPE_CHECKING:
    from pipelines.inference.cluster.protocol import Workers

_LOG = logging.getLogger("rurnet")


@dataclass(frozen=True)
class Done:
    """A scene that was brought up to date.

    Attributes:
        files: See `pipelines.results.layout.named`.
        threshold: See `pipelines.inference.rasters.Assembled`.
        computed: The parts that this run computed.
        updated: What became of the tiles.
    """

    files: dict[str, Path]
    threshold: float
    computed: list[Part]
    updated: Updated


def brought_up_to_date(
    item: SceneInput,
    opened: OpenedScene,
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    work: Work,
    earlier: Earlier,
    workers: "Workers",
    begun: Callable[[int], None],
    progress: Callable[[int], None],
    backend: Backend | None,
) -> Done:
    """Makes the rasters of a scene from an earlier result, and `change.tif`.

    Args:
        item: See `pipelines.inference.scene.predict_scene`.
        opened: See there.
        models: See there.
        settings: See there.
        work: What there is of the new result.
        earlier: The result from before.
        workers: See there.
        begun: See there.
        progress: See there.
        backend: See `pipelines.inference.workers.Workers.compute`.
    """
    update = planned(
        opened, work, earlier, bands_of_settings(models, settings),
        gated=_gated(models, settings),
    )  # fmt: skip
    without_others(update, work.store)
    update.write(work.store)
    store = replace(work.store, parts=[part for part in work.store.parts if update.wants(part)])
    missing = store.missing()
    begun(sum(part.tile_count for part in missing))
    workers.compute(item, opened, store, missing, progress, backend)
    updated = Updated(*counts(update, store))
    _LOG.info("%s: %s", item.name, updated)
    if _all_the_same(update, earlier, work, png=item.png):
        files = _copied(earlier, work.folder)
        threshold = threshold_of(files["mask"])
    else:
        with update.open() as known:
            made = assemble(opened, store, work.folder, models, settings, png=item.png, known=known)
        files, threshold = made.files, made.threshold
    files[CHANGE] = write_change(opened, earlier, files["mask"], models, updated, store)
    work.finish(files, update.digests)
    return Done(files, threshold, missing, updated)


def _gated(models: Sequence[ModelFacts], settings: PredictionSettings) -> bool:
    """Whether tiles may start from an earlier mask: where that saves steps, and is safe."""
    gates = [start_gate(model.digest) for model in models]
    return None not in gates and steps_taken(models, settings.steps) > 1


def _all_the_same(update: Update, earlier: Earlier, work: Work, *, png: bool) -> bool:
    """Whether the earlier files are what would be made."""
    return (
        not update.changed.any()
        and earlier.same(work.manifest.settings)
        and png == ("mask.png" in earlier.manifest.outputs)
    )


def _copied(earlier: Earlier, folder: Path) -> dict[str, Path]:
    """Copies the rasters of an earlier result, with their styles."""
    outputs = [name for name in earlier.manifest.outputs if name != f"{CHANGE}.tif"]
    styles = [str(Path(name).with_suffix(".qml")) for name in outputs if name.endswith(".tif")]
    there = [name for name in styles if (earlier.folder / name).is_file()]
    for name in [*there, *outputs]:
        with refusals_named(folder / name), appearing(folder / name) as partial:
            shutil.copyfile(earlier.folder / name, partial)
    return named(folder / name for name in outputs)
