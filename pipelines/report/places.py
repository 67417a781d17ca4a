"""Pictures of the places in which predictions are least certain."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.report.previews import colours, encoded
from pipelines.results.outcome import SceneOutcome
from pipelines.results.report import Report, UncertainPlace
from pipelines.scores.counts import together
from tiling.blend import NODATA, TOP
from tiling.readers.files import open_scene
from tiling.window import Window

MOST = 12
"""Places that are shown."""


_QUALITY = 80


_RAMP = ((0x0B, 0x0F, 0x14), (0x3D, 0x74, 0x97), (0xF4, 0xFB, 0xFF))
"""Colours of probability 0, one half and 1: those of the page."""


_MISSING = (0x41, 0x47, 0x4E)


@dataclass(frozen=True)
class PlacePicture:
    """A place with what is around it.

    Attributes:
        scene: Its name.
        place: Where it is.
        around: What is shown: a square twice as large, moved inward at the scene's border.
        image: WebP, RGB.
        probability: WebP, RGB.
    """

    scene: str
    place: UncertainPlace
    around: Window
    image: bytes
    probability: bytes


def place_pictures(
    report: Report, outcomes: Sequence[SceneOutcome], bands: Sequence[int] | None = None
) -> list[PlacePicture]:
    """Pictures of the least certain places of all scenes, the worst first.

    Args:
        report: Whose places.
        outcomes: Those it was built from.
        bands: Of the scenes, from 1; by default the first ones.
    """
    by_name = {outcome.name: outcome for outcome in outcomes}
    places = [(scene.name, place) for scene in report.scenes for place in scene.uncertain]
    places.sort(key=lambda one: -one[1].entropy)
    pictures = []
    for name, place in places[:MOST]:
        try:
            pictures.append(_picture(by_name[name], place, bands))
        except Exception:  # Gone or changed since: the table still has it.
            continue
    return pictures


def _picture(
    outcome: SceneOutcome, place: UncertainPlace, bands: Sequence[int] | None
) -> PlacePicture:
    window = Window(place.row, place.column, place.height, place.width)
    around = _around(window, outcome.height, outcome.width)
    with outcome.open_raster(outcome.files["probability"]) as raster:
        levels = together(raster.read(around))
    assert outcome.image is not None, "what was predicted has an image"
    with open_scene(outcome.image, bands=bands) as image:
        pixels = colours(image.read(around)[0], levels != NODATA)
    return PlacePicture(
        outcome.name, place, around, encoded(pixels, _QUALITY), encoded(_ramp()[levels], _QUALITY)
    )


def _around(window: Window, height: int, width: int) -> Window:
    side = 2 * max(window.height, window.width)
    row, column = (
        max(0, min(start + length // 2 - side // 2, whole - side))
        for start, length, whole in (
            (window.row, window.height, height), (window.column, window.width, width),
        )
    )  # fmt: skip
    return Window(row, column, min(side, height), min(side, width))


def _ramp() -> NDArray[np.uint8]:
    """The colour of each level [256, 3]."""
    at = np.arange(TOP + 1)
    bands = [np.interp(at, (0, TOP / 2, TOP), band) for band in zip(*_RAMP, strict=True)]
    table: NDArray[np.uint8] = np.rint([*np.stack(bands, axis=-1), _MISSING]).astype(np.uint8)
    return table
