"""`change.tif`: where a mask differs from that of an earlier result."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from pipelines.inference.updating.earlier import Earlier
from pipelines.inference.updating.grids import on_grid_of
from pipelines.inputs.scene_input import Views
from pipelines.models.weights import ModelFacts
from pipelines.report.files.styles import style_of_change
from pipelines.results.outcome import Updated
from tiling.blend import NODATA
from tiling.disk import appearing, refusals_named
from tiling.readers.raster import without_georeferencing_warning
from tiling.sink import BLOCK, ClassCogSink, Description, publish
from tiling.store import PartStore
from tiling.window import split

CHANGE = "change"
"""Of the files of a result."""

LABELS: Mapping[int, str] = {0: "as before", 1: "appeared", 2: "vanished", 3: "another class"}
"""What each value says."""

_AT_ONCE = 4 * BLOCK

_TAG = "RURNET_TILES"


def changed_classes(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Compares classes with those of before, pixel by pixel, any shape: see `LABELS`."""
    change = np.zeros_like(now)
    change[before != now] = 3
    change[(before == 0) & (now != 0)] = 1
    change[(before != 0) & (now == 0)] = 2
    change[(before == NODATA) | (now == NODATA)] = NODATA
    return change


def write_change(
    views: Views,
    earlier: Earlier,
    mask: Path,
    models: Sequence[ModelFacts],
    updated: Updated,
    store: PartStore,
) -> Path:
    """Writes the changes from an earlier mask to a new one, with a style where there is a place.

    Args:
        views: The scene.
        earlier: Its result from before.
        mask: The new mask.
        models: What predicted.
        updated: What became of the tiles; `noted_in` tells it again.
        store: In whose folder the file lies until it is finished.

    Raises:
        SceneError: A mask cannot be read.
        SinkError: The disk refuses.
    """
    scene = views.scene
    counts = f"{updated.taken},{updated.refined},{updated.cold}"
    tags = {"RURNET_VERSION": version("rurnet"), _TAG: counts}
    what = Description(
        scene.height, scene.width, "uint8", NODATA, ["change"], scene.crs, scene.transform,
        views.control, None, tags,
    )  # fmt: skip
    path = mask.with_name(f"{CHANGE}.tif")
    sink = ClassCogSink(path, store.folder, what)
    with (
        without_georeferencing_warning(),
        rasterio.open(mask) as now,
        on_grid_of(earlier.files["mask"], scene, store.folder) as before,
    ):
        for window in split(scene.height, scene.width, _AT_ONCE):
            where = window.as_rasterio()
            sink.write(
                window,
                changed_classes(before.read(1, window=where), now.read(1, window=where))[None],
            )
    publish([sink])
    if scene.transform != Affine.identity():
        labels = LABELS if len(models[0].card.classes) > 2 else dict(list(LABELS.items())[:3])
        with refusals_named(path), appearing(path.with_suffix(".qml")) as partial:
            partial.write_text(style_of_change(labels), encoding="utf-8")
    return path


def noted_in(change: Path) -> Updated | None:
    """What became of the tiles, as a file of changes says; None where it does not."""
    with without_georeferencing_warning(), rasterio.open(change) as file:
        counts = file.tags().get(_TAG)
    return None if counts is None else Updated(*map(int, counts.split(",")))
