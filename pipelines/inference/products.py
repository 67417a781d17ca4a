"""The files that come of a scene. Another kind of file is another entry of `PRODUCTS`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.inference import PredictionSettings
from pipelines.inference.stepping.bands import CHANGE, DISAGREEMENT, STEPS, Bands
from pipelines.measurements.certainty import entropy
from pipelines.results.layout import STEP
from pipelines.scores.counts import together
from tiling.blend import NODATA, TOP
from tiling.scenes.control import GroundControl
from tiling.scenes.scene import Raster
from tiling.sink import ClassCogSink, CogSink, Description, PngSink, Sink
from tiling.store import Blended


@dataclass(frozen=True)
class Request:
    """What files are made for.

    Attributes:
        scene: Whose size, CRS and transform they take.
        control: What else tells where its pixels lie.
        classes: Names of the foreground classes.
        bands: What was blended.
        most_steps: Recurrent steps that a tile takes at most.
        folder: Where the files go.
        unfinished: Where they lie until all are finished; on the same disk.
        settings: What was asked for.
        tags: What they say of how they were made.
        png: Whether there is to be a `mask.png` too.
    """

    scene: Raster
    control: GroundControl | None
    classes: Sequence[str]
    bands: Bands
    most_steps: int
    folder: Path
    unfinished: Path
    settings: PredictionSettings
    tags: Mapping[str, str]
    png: bool


@dataclass(frozen=True)
class OfProbabilities:
    """A file made of probabilities.

    Attributes:
        sink: Where it goes.
        values: What the sink is given of a window: any type [bands, h, w].
    """

    sink: Sink
    values: Callable[[Blended], NDArray[Any]]


@dataclass(frozen=True)
class OfMask:
    """A file made of the mask, without what is too small.

    Attributes:
        sink: Where it goes.
        values: What the sink is given of a window: any type [bands, h, w], from classes [h, w].
    """

    sink: Sink
    values: Callable[[NDArray[np.uint8]], NDArray[Any]]


Product = OfProbabilities | OfMask


def products_of(request: Request) -> list[Product]:
    """The files that were asked for, still empty."""
    return [product for kind in PRODUCTS.values() for product in kind(request)]


def _probability(request: Request) -> list[Product]:
    """Of the last step."""
    return [_of_step(request, "probability", request.bands.steps - 1)]


def _probability_of_steps(request: Request) -> list[Product]:
    if not request.settings.save_steps:
        return []
    return [_of_step(request, f"{STEP}{step + 1}", step) for step in range(request.bands.steps)]


def _of_step(request: Request, name: str, step: int) -> Product:
    bands = request.bands.of_step(step)
    texts = [f"probability of {text}" for text in request.classes]
    path = request.folder / f"{name}.tif"
    if request.settings.dtype == "float32":

        def unrounded(blended: Blended) -> NDArray[np.float32]:
            assert blended.probability is not None
            return blended.probability[bands]

        what = _description(request, "float32", float("nan"), texts)
        return OfProbabilities(CogSink(path, request.unfinished, what), unrounded)
    what = _description(request, "uint8", NODATA, texts, 1 / TOP)
    return OfProbabilities(
        CogSink(path, request.unfinished, what), lambda blended: blended.levels[bands]
    )


def _steps(request: Request) -> list[Product]:
    """How many steps each pixel's tiles took, on average; in levels that a scale turns to steps."""
    if STEPS not in request.bands.others:
        return []
    band = request.bands.other(STEPS)
    what = _description(request, "uint8", NODATA, ["recurrent steps"], request.most_steps / TOP)
    sink = CogSink(request.folder / "steps.tif", request.unfinished, what)
    return [OfProbabilities(sink, lambda blended: blended.levels[band])]


def _uncertainty(request: Request) -> list[Product]:
    """The entropy of the probabilities, and beside it what was blended of the other measures."""
    if not request.settings.save_uncertainty:
        return []
    names = [name for name in (CHANGE, DISAGREEMENT) if name in request.bands.others]
    bits = np.rint(entropy(np.arange(TOP + 1) / TOP) * TOP).astype(np.uint8)
    by_level = np.append(bits, np.uint8(NODATA))

    def values(blended: Blended) -> NDArray[np.uint8]:
        of_pixels = by_level[together(blended.levels[request.bands.last])]
        others = [blended.levels[request.bands.other(name)] for name in names]
        return np.concatenate([of_pixels[None], *others])

    what = _description(request, "uint8", NODATA, ["entropy in bits", *names], 1 / TOP)
    sink = CogSink(request.folder / "uncertainty.tif", request.unfinished, what)
    return [OfProbabilities(sink, values)]


def _mask(request: Request) -> list[Product]:
    what = _description(request, "uint8", NODATA, ["class"])
    sink = ClassCogSink(request.folder / "mask.tif", request.unfinished, what)
    return [OfMask(sink, lambda mask: mask[None])]


def _mask_as_png(request: Request) -> list[Product]:
    """White on foreground, black elsewhere."""
    if not request.png:
        return []
    what = _description(request, "uint8", None, ["class"])
    sink = PngSink(request.folder / "mask.png", request.unfinished, what)

    def black_and_white(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.where((mask != 0) & (mask != NODATA), 255, 0).astype(np.uint8)[None]

    return [OfMask(sink, black_and_white)]


def _description(
    request: Request,
    dtype: str,
    nodata: float | None,
    bands: Sequence[str],
    scale: float | None = None,
) -> Description:
    scene = request.scene
    return Description(
        scene.height, scene.width, dtype, nodata, bands, scene.crs, scene.transform,
        request.control, scale, request.tags,
    )  # fmt: skip


PRODUCTS: Mapping[str, Callable[[Request], list[Product]]] = {
    "probability": _probability,
    "mask": _mask,
    "probability of steps": _probability_of_steps,
    "mask as PNG": _mask_as_png,
    "steps": _steps,
    "uncertainty": _uncertainty,
}
"""Every kind of file; each makes those of its kind that were asked for, maybe none."""
