"""Small pictures of large scenes, for the viewers of the report."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.config.base import AUTO
from pipelines.inputs.labels import IGNORE_INDEX, open_label
from pipelines.results.layout import steps_in
from pipelines.results.levels import at_size
from pipelines.results.outcome import SceneOutcome
from pipelines.scores.counts import together
from pipelines.scores.curve import Number
from tiling.blend import NODATA, TOP
from tiling.masks.mask import threshold_level as level_of
from tiling.readers.files import open_scene

MOST = 50
"""Scenes that get a viewer."""


BYTES = 6_600_000
"""Size of all pictures together: base64 adds a third, and the page stays below 10 MB."""


_LONGEST = 1280


_SHORTEST = 160


_GREYS = 16
"""Distance in levels of two greys that a picture tells apart."""


_BACKGROUND = 60


@dataclass(frozen=True)
class Picture:
    """A scene in the report: image, label and prediction, all of one size.

    Attributes:
        name: Of the scene.
        width: Of the preview, in pixels.
        height: Of the preview, in pixels.
        scale: Preview pixels per scene pixel; 1.0 is full resolution.
        image: WebP or PNG, RGB.
        label: Lossless WebP or PNG, grey: 0 background, 254 foreground, 255 not counted.
        steps: Lossless, grey, one per recurrent step: probability level 0 to 254, 255 missing.
        threshold_level: From this level on a pixel is foreground.
        other: Lossless, grey: the last step of the run that is compared with, where there is one.
    """

    name: str
    width: int
    height: int
    scale: float
    image: bytes
    label: bytes | None
    steps: tuple[bytes, ...]
    threshold_level: int
    other: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        parts = (self.image, self.label or b"", self.other or b"", *self.steps)
        return sum(map(len, parts))


@dataclass(frozen=True)
class Layers:
    """The pixels of a picture, all of one size."""

    image: NDArray[np.uint8]
    label: NDArray[np.uint8] | None
    steps: Sequence[NDArray[np.uint8]]
    other: NDArray[np.uint8] | None


def level_shown(threshold: float | Literal["auto"]) -> int | None:
    """The lowest level that is foreground in pictures; None where each scene has its own."""
    return None if threshold == AUTO else level_of(threshold)


def previews(
    outcomes: Sequence[SceneOutcome],
    f1: Mapping[str, Number],
    threshold_level: int | None,
    bands: Sequence[int] | None = None,
    others: Mapping[str, SceneOutcome] | None = None,
) -> list[Picture]:
    """Pictures of the scenes with the lowest F1, the lowest first.

    Where there are no scores the least certain ones come first, or else they keep their order. All
    together they stay below a fixed size: the more there are the smaller they get.

    Args:
        outcomes: Of each scene.
        f1: Of each scene that was done, by its name; None where it is undefined.
        threshold_level: From this level on a pixel is foreground; None for the scenes' own.
        bands: Of the scenes, from 1; by default the first ones.
        others: Outcomes of a run that is compared with, by name.
    """

    def rank(outcome: SceneOutcome) -> tuple[float, float]:
        found = f1[outcome.name]
        places = outcome.measures.uncertain if outcome.measures else ()
        entropy = places[0].entropy if places else 0.0
        return 2 if found is None else found, -entropy  # Without a score: after all others.

    done = [outcome for outcome in outcomes if outcome.done]
    worst = sorted(done, key=rank)
    shown = worst[:MOST]
    budget = BYTES // max(1, len(shown))

    def level(outcome: SceneOutcome) -> int:
        if threshold_level is None:
            assert outcome.prediction is not None
            return level_of(outcome.prediction.threshold)
        return threshold_level

    made = [_picture(one, level(one), bands, budget, (others or {}).get(one.name)) for one in shown]
    return [picture for picture in made if picture is not None]


def _picture(
    outcome: SceneOutcome,
    level: int,
    bands: Sequence[int] | None,
    budget: int,
    other: SceneOutcome | None,
) -> Picture | None:
    """The largest picture that the budget allows."""
    longest = _LONGEST
    while True:
        try:
            layers = layers_of(outcome, bands, longest, other)
        except Exception:
            return None  # Gone or changed since, or worse; the table still has its scores.
        height, width = layers.steps[0].shape
        picture = Picture(
            name=outcome.name,
            width=width,
            height=height,
            scale=width / outcome.width,
            image=encoded(layers.image, quality=75),
            label=None if layers.label is None else encoded(layers.label),
            steps=tuple(encoded(_coarse(step, level)) for step in layers.steps),
            threshold_level=level,
            other=None if layers.other is None else encoded(_coarse(layers.other, level)),
        )
        if picture.size <= budget or longest <= _SHORTEST:
            return picture
        shrink = sqrt(budget / picture.size) * 0.95
        longest = max(_SHORTEST, int(min(longest, max(height, width)) * shrink))


def layers_of(
    outcome: SceneOutcome,
    bands: Sequence[int] | None,
    longest: int,
    other: SceneOutcome | None = None,
) -> Layers:
    """The pixels of a scene, its label and its predictions, no side over `longest`.

    Raises:
        Exception: A file is gone or has changed since; whatever its reader says.
    """
    files = steps_in(outcome.files) or [outcome.files["probability"]]
    steps = []
    for path in files:
        with outcome.open_raster(path) as levels:
            steps.append(together(levels.overview(longest)))
            grid = levels  # Closed, it still knows its size and place.
    shape = steps[0].shape
    label = None
    if outcome.label is not None:
        with open_label(Path(outcome.label), outcome.labelling, grid) as drawn:
            assert drawn is not None
            classes = at_size(drawn.overview(longest), shape)
            label = np.where(classes == IGNORE_INDEX, NODATA, (classes > 0) * np.uint8(TOP))
            label = label.astype(np.uint8)
    compared = None
    if other is not None and other.done:
        with other.open_raster(other.files["probability"]) as levels:
            compared = at_size(together(levels.overview(longest)), shape)
    image = _image(outcome, bands, longest, steps[-1] != NODATA)
    return Layers(image, label, steps, compared)


def _image(
    outcome: SceneOutcome, bands: Sequence[int] | None, longest: int, there: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """A scene's colours [h, w, 3], of the size of `there`; grey where there is no picture."""
    if outcome.image is None:
        return np.full((*there.shape, 3), _BACKGROUND, np.uint8)
    with open_scene(outcome.image, bands=bands) as scene:
        return colours(at_size(scene.overview(longest)[0], there.shape), there)


def colours(pixels: NDArray[Any], there: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Three bands [h, w, 3] to look at, from those of a scene [bands, h, w].

    What is not of 8 bits is stretched from its 2nd to its 98th percentile.
    """
    return stretched(pixels, ends_of(pixels, there))


def ends_of(pixels: NDArray[Any], there: NDArray[np.bool_]) -> tuple[float, float] | None:
    """The values of black and white, from those of a scene [bands, h, w]; None of 8 bits."""
    if pixels.dtype == np.uint8:
        return None
    seen = _three(pixels)
    low, high = np.percentile(seen[there] if there.any() else seen, (2, 98))
    return float(low), float(high)


def stretched(pixels: NDArray[Any], ends: tuple[float, float] | None) -> NDArray[np.uint8]:
    """Three bands [h, w, 3] between black and white, from those of a scene [bands, h, w]."""
    pixels = _three(pixels)
    if ends is not None:
        low, high = ends
        pixels = (pixels.astype(np.float64) - low) / max(high - low, 1e-9) * 255
    return pixels.clip(0, 255).astype(np.uint8)


def _three(pixels: NDArray[Any]) -> NDArray[Any]:
    """The first three bands [h, w, 3] of [bands, h, w], or the first one three times."""
    return np.moveaxis(pixels[:3] if len(pixels) >= 3 else pixels[[0, 0, 0]], 0, -1)


def _coarse(levels: NDArray[np.uint8], threshold: int) -> NDArray[np.uint8]:
    """The levels in few greys, for small files; none of them crosses the threshold."""
    greys = np.arange(NODATA + 1)
    coarse = np.minimum(greys // _GREYS * _GREYS + _GREYS // 2, TOP)
    coarse = np.where(greys >= threshold, np.maximum(coarse, threshold), coarse)
    coarse = np.where(greys < threshold, np.minimum(coarse, threshold - 1), coarse)
    # What is certain stays so: most of a picture is plain background.
    coarse[: min(_GREYS // 2, threshold)] = 0
    coarse[NODATA] = NODATA
    result: NDArray[np.uint8] = coarse.astype(np.uint8)[levels]
    return result


def encoded(pixels: NDArray[np.uint8], quality: int | None = None) -> bytes:
    """A WebP, lossless where no quality is given."""
    data = io.BytesIO()
    # Lossless and at its fastest it is smaller than the best PNG, in a quarter of the time.
    how = {"lossless": True, "method": 0} if quality is None else {"quality": quality}
    Image.fromarray(pixels).save(data, format="WEBP", **how)
    return data.getvalue()
