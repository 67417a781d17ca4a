"""From the finished parts of a scene to its rasters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.inference import PredictionSettings
from pipelines.errors import DataError
from pipelines.inputs.scene_input import Views
from pipelines.models.weights import Model, steps_taken
from pipelines.results.layout import STEP, named
from tiling.blend import NODATA, TOP
from tiling.mask import class_mask, threshold_level, without_small_regions
from tiling.scenes.resample import Resampling, pixel_size
from tiling.scenes.scene import Scene
from tiling.sink import BLOCK, CogSink, Description, PngSink, Sink, publish
from tiling.store import PartStore
from tiling.window import Window, split

_AT_ONCE = 4 * BLOCK
"""Side of the windows that are written at once, in pixels."""


@dataclass(frozen=True)
class _Product:
    """A raster, and what is written to it of a window's levels [bands, h, w]."""

    sink: Sink
    pixels: Callable[[Window, NDArray[np.uint8]], NDArray[Any]]


def assemble(
    views: Views,
    store: PartStore,
    folder: Path,
    models: Sequence[Model],
    settings: PredictionSettings,
    *,
    png: bool = False,
) -> dict[str, Path]:
    """Makes the rasters of a scene: either all of them appear, or none.

    Args:
        views: The scene.
        store: All its parts.
        folder: Where the rasters go.
        models: What the tags say was used.
        settings: What the prediction depends on.
        png: Whether there is to be a `mask.png` too: 0 and 255, nodata 0.

    Returns:
        The files, see `named`.

    Raises:
        SceneError: The scene cannot be read.
        SinkError: The disk refuses.
        DataError: A smallest size in square metres, but no metres in the scene.
    """
    scene = views.scene
    blended = _Blended(views, store)
    windows = list(split(scene.height, scene.width, _AT_ONCE))
    products = _products(blended, folder, windows, models, settings, png=png)
    for window in windows:
        levels = blended.levels(window)
        for product in products:
            product.sink.write(window, product.pixels(window, levels))
    return named(publish(product.sink for product in products))


@dataclass(frozen=True)
class _Blended:
    """What the parts say, on the scene's own pixels."""

    views: Views
    store: PartStore

    def levels(self, window: Window) -> NDArray[np.uint8]:
        """Levels [bands, h, w]."""
        if self.views.seen is self.views.scene:
            return self.store.levels(window)
        return self._resampled(window, self.store.levels, NODATA)

    def probability(self, window: Window) -> NDArray[np.float32]:
        """Probabilities [bands, h, w]."""
        if self.views.seen is self.views.scene:
            return self.store.probability(window)
        return self._resampled(window, self.store.probability, np.nan)

    def _resampled(
        self, window: Window, read: Callable[[Window], NDArray[Any]], nodata: float
    ) -> NDArray[Any]:
        """A window that the network saw at another pixel size; what is there says the scene."""
        seen, scene = self.views.seen, self.views.scene
        back = Resampling((seen.height, seen.width), (scene.height, scene.width))
        source = back.source_window(window)
        values = read(source)
        there = self.store.levels(source)[0] != NODATA
        result, _ = back(values, there, window)
        if np.issubdtype(values.dtype, np.integer):
            result = np.rint(result)
        _, valid = scene.read(window)
        on_scene: NDArray[Any] = np.where(valid, result, nodata).astype(values.dtype)
        return on_scene


def _products(
    blended: _Blended,
    folder: Path,
    windows: Sequence[Window],
    models: Sequence[Model],
    settings: PredictionSettings,
    *,
    png: bool,
) -> list[_Product]:
    """The rasters that were asked for, still empty."""
    scene, classes = blended.views.scene, models[0].card.classes[1:]
    parts = blended.store.folder
    level = threshold_level(settings.threshold)
    tags = _tags(models, settings)
    raw = settings.dtype == "float32"

    def description(
        dtype: str, nodata: float | None, bands: Sequence[str], scale: float | None = None
    ) -> Description:
        return Description(
            scene.height, scene.width, dtype, nodata, bands, scene.crs, scene.transform, scale, tags
        )

    def probability(name: str, first: int) -> _Product:
        bands = slice(first, first + len(classes))
        texts = [f"probability of {text}" for text in classes]
        what = (
            description("float32", float("nan"), texts)
            if raw
            else description("uint8", NODATA, texts, 1 / TOP)
        )
        return _Product(
            CogSink(folder / f"{name}.tif", parts, what, "average"),
            (lambda window, _: blended.probability(window)[bands])
            if raw
            else (lambda _, levels: levels[bands]),
        )

    def last(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return levels[-len(classes) :]

    mask = without_small_regions(
        lambda window: class_mask(last(blended.levels(window)), level),
        lambda window: last(blended.levels(window)).argmax(axis=0).astype(np.uint8) + np.uint8(1),
        windows,
        _least_pixels(settings.min_size, scene),
    )
    steps = blended.store.bands // len(classes)
    products = [
        probability("probability", (steps - 1) * len(classes)),
        _Product(
            CogSink(folder / "mask.tif", parts, description("uint8", NODATA, ["class"]), "mode"),
            lambda window, _: mask(window)[None],
        ),
    ]
    if settings.save_steps:
        products += [probability(f"{STEP}{step + 1}", step * len(classes)) for step in range(steps)]
    if png:
        products.append(
            _Product(
                PngSink(folder / "mask.png", parts, description("uint8", None, ["class"])),
                lambda window, _: _black_and_white(mask(window))[None],
            )
        )
    return products


def _tags(models: Sequence[Model], settings: PredictionSettings) -> dict[str, str]:
    """Where a raster comes from: RURNET_MODEL, RURNET_WEIGHTS_SHA256, RURNET_TILE, ..."""
    values = {
        "version": version("rurnet"),
        "model": ",".join(model.name for model in models),
        "weights_sha256": ",".join(model.digest for model in models),
        "steps": steps_taken(models, settings.steps),
        "tile": settings.tile,
        "overlap": settings.overlap,
        "threshold": settings.threshold,
        "min_size": settings.min_size,
        "tta": settings.tta,
        "bands": settings.bands,
        "value_range": settings.value_range,
    }
    return {f"RURNET_{name.upper()}": str(value) for name, value in values.items() if value}


def _least_pixels(min_size: str, scene: Scene) -> int:
    """A smallest size, as in 50 or 25m2, in pixels of a scene.

    Raises:
        DataError: Square metres, but the scene has none.
    """
    if not min_size.endswith("m2"):
        return int(min_size)
    side = pixel_size(scene)
    if side is None:
        raise DataError(
            f"{scene.name}: its pixels have no size in metres; give --min-size in pixels"
        )
    return ceil(float(min_size.removesuffix("m2")) / side**2)


def _black_and_white(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where((mask != 0) & (mask != NODATA), 255, 0).astype(np.uint8)
