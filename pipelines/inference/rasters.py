"""From the finished parts of a scene to its files."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from math import ceil
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from pipelines.config.base import AUTO
from pipelines.config.inference import PredictionSettings
from pipelines.errors import DataError
from pipelines.inference.products import OfMask, OfProbabilities, Request, products_of
from pipelines.inference.stepping.bands import bands_of_settings
from pipelines.inference.updating.known import KnownLevels
from pipelines.inputs.scene_input import Views
from pipelines.models.weights import ModelFacts, foreground_weight_of, steps_taken
from pipelines.report.files.styles import style_of_mask, style_of_probability
from pipelines.results.layout import named
from pipelines.scores.expected import best_expected
from tiling.blend import NODATA, TOP
from tiling.disk import appearing, refusals_named
from tiling.masks.mask import Cleaning, class_mask, likeliest_class, threshold_level
from tiling.readers.raster import without_georeferencing_warning
from tiling.scenes.resample import Resampling
from tiling.sink import BLOCK, publish
from tiling.spool import Spool
from tiling.store import Blended, PartStore
from tiling.window import Window, split

_AT_ONCE = 2 * BLOCK
"""Side of the windows that are written at once, in pixels."""


@dataclass(frozen=True)
class Assembled:
    """What was made of a scene.

    Attributes:
        files: See `named`.
        threshold: The probability from which on a pixel of the mask is foreground.
    """

    files: dict[str, Path]
    threshold: float


def assemble(
    views: Views,
    store: PartStore,
    folder: Path,
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    *,
    png: bool = False,
    known: KnownLevels | None = None,
) -> Assembled:
    """Makes the files of a scene: either all of them appear, or none.

    Every window is blended once. Where the mask is cleaned, it is put aside until all of it is
    there.

    Args:
        views: The scene.
        store: All its parts.
        folder: Where the files go.
        models: What the tags say was used.
        settings: What the prediction depends on.
        png: Whether there is to be a `mask.png` too: 0 and 255, nodata 0.
        known: An earlier result, of which what is as before is taken over.

    Raises:
        SceneError: The scene cannot be read.
        SinkError: The disk refuses.
        DataError: A smallest size in square metres, but no metres in the scene.
    """
    scene, classes = views.scene, models[0].card.classes[1:]
    least = _least_pixels(settings.min_size, views)
    bands = bands_of_settings(models, settings)
    threshold = _threshold(views, store, models, settings, known)
    level = threshold_level(threshold)
    products = products_of(
        Request(
            scene, views.control, classes, bands, steps_taken(models, settings.steps), folder,
            store.folder, settings, _tags(models, settings, threshold), png,
        )
    )  # fmt: skip
    of_mask = [product for product in products if isinstance(product, OfMask)]
    of_probabilities = [product for product in products if isinstance(product, OfProbabilities)]

    def write_mask(window: Window, mask: NDArray[np.uint8]) -> None:
        for product in of_mask:
            product.sink.write(window, product.values(mask))

    with Spool(store.folder) as spool:
        cleaning = Cleaning(scene.height, scene.width, least, spool)
        for window, blended in _windows_of(views, store, known):
            for product in of_probabilities:
                product.sink.write(window, product.values(blended))
            levels = blended.levels[bands.last]
            mask = class_mask(levels, level)
            if least > 1:
                cleaning.add(window, mask, likeliest_class(levels))
            else:
                write_mask(window, mask)
        if least > 1:
            for window, mask in cleaning.cleaned():
                write_mask(window, mask)
    files = named(publish(product.sink for product in products))
    if scene.transform != Affine.identity():
        _write_styles(files, classes)
    return Assembled(files, threshold)


def _write_styles(files: Mapping[str, Path], classes: Sequence[str]) -> None:
    """Writes styles for QGIS beside the rasters of a scene that has coordinates."""
    for kind, path in files.items():
        if path.suffix == ".tif":
            style = style_of_mask(classes) if kind == "mask" else style_of_probability()
            with refusals_named(path), appearing(path.with_suffix(".qml")) as partial:
                partial.write_text(style, encoding="utf-8")


def _threshold(
    views: Views,
    store: PartStore,
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    known: KnownLevels | None,
) -> float:
    """The probability from which on a pixel of the scene's mask is foreground."""
    if settings.threshold != AUTO:
        return settings.threshold
    pixels = np.zeros(NODATA + 1, np.int64)
    last = bands_of_settings(models, settings).last
    for _, blended in _windows_of(views, store, known):
        (levels,) = blended.levels[last]
        pixels += np.bincount(levels.ravel(), minlength=NODATA + 1)
    return best_expected(pixels[:NODATA], foreground_weight_of(models)) / TOP


def threshold_of(mask: Path) -> float:
    """The threshold that a mask was made with, from its tags."""
    with without_georeferencing_warning(), rasterio.open(mask) as file:
        return float(file.tags()["RURNET_THRESHOLD"])


def mean_steps(steps: Path) -> float:
    """The mean of `steps.tif` over all pixels that are there; nan where none is."""
    total = pixels = 0
    with without_georeferencing_warning(), rasterio.open(steps) as file:
        for window in split(file.height, file.width, _AT_ONCE):
            rows, columns = window.slices(Window(0, 0, file.height, file.width))
            levels = file.read(1, window=rasterio.windows.Window.from_slices(rows, columns))
            there = levels != NODATA
            total += int(levels[there].sum(dtype=np.int64))
            pixels += int(there.sum())
        return float(file.scales[0] * total / pixels) if pixels else float("nan")


def is_empty(mask: Path) -> bool:
    """Whether no pixel of a mask is there."""
    with without_georeferencing_warning(), rasterio.open(mask) as file:
        return all(
            (file.read(1, window=window.as_rasterio()) == NODATA).all()
            for window in split(file.height, file.width, _AT_ONCE)
        )


def _windows_of(
    views: Views, store: PartStore, known: KnownLevels | None
) -> Iterator[tuple[Window, Blended]]:
    """All windows of the scene, row by row; while one is used, the next is blended."""
    with ThreadPoolExecutor(1, thread_name_prefix="blend") as pool:
        before: tuple[Window, Future[Blended]] | None = None
        for window in split(views.scene.height, views.scene.width, _AT_ONCE):
            coming = window, pool.submit(_on_scene, views, store, window, known)
            if before is not None:
                yield before[0], before[1].result()
            before = coming
        if before is not None:
            yield before[0], before[1].result()


def _on_scene(views: Views, store: PartStore, window: Window, known: KnownLevels | None) -> Blended:
    """What the parts and an earlier result say of a window of the scene."""
    blended = _of_parts(views, store, window)
    return blended if known is None else known.over(blended, window)


def _of_parts(views: Views, store: PartStore, window: Window) -> Blended:
    """What the parts say of a window of the scene, whatever pixels the network saw."""
    seen, scene = views.seen, views.scene
    if seen is scene:
        return store.read(window)
    back = Resampling((seen.height, seen.width), (scene.height, scene.width))
    # A pixel is there where the scene has one: what the network saw is too coarse to tell.
    _, valid = scene.read(window)
    shape = store.bands, window.height, window.width
    levels = np.full(shape, NODATA, np.uint8)
    probability = np.full(shape, np.nan, np.float32) if store.raw else None
    # Where the network saw a finer scene, a window of it all would not fit into memory.
    for piece in back.pieces(window):
        inside = piece.slices(window)
        blended = store.read(back.source_window(piece))
        there = blended.levels[0] != NODATA
        made, _ = back(blended.levels, there, piece)
        levels[:, *inside] = np.where(valid[inside], np.rint(made), NODATA)
        if probability is not None and blended.probability is not None:
            made, _ = back(blended.probability, there, piece)
            probability[:, *inside] = np.where(valid[inside], made, np.float32(np.nan))
    return Blended(levels, probability)


def _tags(
    models: Sequence[ModelFacts], settings: PredictionSettings, threshold: float
) -> dict[str, str]:
    """Where a raster comes from: RURNET_MODEL, RURNET_WEIGHTS_SHA256, RURNET_TILE, ..."""
    values = {
        "version": version("rurnet"),
        "model": ",".join(model.name for model in models),
        "weights_sha256": ",".join(model.digest for model in models),
        "steps": settings.steps or steps_taken(models, settings.steps),
        "tile": settings.tile,
        "overlap": settings.overlap,
        "threshold": threshold,
        "min_size": settings.min_size,
        "tta": settings.tta,
        "bands": settings.bands,
        "value_range": settings.value_range,
    }
    return {f"RURNET_{name.upper()}": str(value) for name, value in values.items() if value}


def _least_pixels(min_size: str, views: Views) -> int:
    """A smallest size, as in 50 or 25m2, in pixels of a scene.

    Raises:
        DataError: Square metres, but the scene has none.
    """
    if not min_size.endswith("m2"):
        return int(min_size)
    if views.pixel is None:
        raise DataError(
            f"{views.scene.name}: its pixels have no size in metres; give --min-size in pixels, or "
            "tell infer_roads the size with --pixel-size"
        )
    return ceil(float(min_size.removesuffix("m2")) / views.pixel.side**2)
