"""A scene as tiles: its image and what was found on it, at full resolution and at halves of it."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.inputs.labels import IGNORE_INDEX, Label, open_label
from pipelines.report.previews import Picture, encoded, ends_of, stretched
from pipelines.results.layout import steps_in
from pipelines.results.levels import RasterLevels
from pipelines.results.outcome import SceneOutcome
from pipelines.scores.counts import together
from tiling.blend import NODATA
from tiling.readers.files import open_scene
from tiling.scenes.scene import FileScene
from tiling.window import Window

SIDE = 512
"""Of a tile, in pixels."""

MOST_PIXELS = 100_000_000
"""Of all scenes that get tiles: more would take longer than a report may, and a GIS shows them."""

_QUALITY = 75

_NOTHING, _MISSING, _RIGHT, _ALARM, _MISS = range(5)
"""What is drawn of a pixel; of four that become one the last of these stays."""

_AGREEMENT = ("#00000000", "#41474ecc", "#6fe3a1ff", "#e8401cff", "#3d8bffff")
_MASK = ("#00000000", "#41474ecc", "#ffd60aff", "#ffd60aff", "#ffd60aff")
_DIFFERENCE = ("#00000000", "#41474ecc", "#c3cad1ff", "#ff9f40ff", "#45c8ffff")
"""Colours of these: those of the page, with their opacity. Of a difference the fourth are right in
A only, the fifth in B only."""


@dataclass(frozen=True)
class Tile:
    """A square of a scene.

    Attributes:
        level: 0 at full resolution, 1 at half of it, ...
        row: Of the tile, from 0.
        column: Of the tile, from 0.
        pictures: By what is shown: "image", a JPEG, and the panes of the page that are drawn over
            it, lossless WebP with opacity.
    """

    level: int
    row: int
    column: int
    pictures: Mapping[str, bytes]

    @property
    def name(self) -> str:
        """How page and files call it."""
        return f"{self.level}-{self.row}-{self.column}"


@dataclass(frozen=True)
class Pyramid:
    """The tiles of a scene, finer than its preview.

    Attributes:
        height: Of the scene.
        width: Of the scene.
        levels: How many there are.
        tiles: Of all levels.
    """

    height: int
    width: int
    levels: int
    tiles: Sequence[Tile]

    @property
    def size(self) -> int:
        """Bytes of all pictures."""
        return sum(len(data) for tile in self.tiles for data in tile.pictures.values())


@dataclass(frozen=True)
class _Pixels:
    """Pixels of a window: colours [h, w, 3], and by pane what is drawn over them [h, w]."""

    image: NDArray[np.uint8]
    drawn: Mapping[str, NDArray[np.uint8]]


def pyramids(
    pictures: Sequence[Picture],
    outcomes: Mapping[str, SceneOutcome],
    bands: Sequence[int] | None,
    others: Mapping[str, SceneOutcome],
) -> list[Pyramid | None]:
    """The tiles of each picture's scene; None where the preview has all of its pixels.

    The first ones get theirs, until together they have `MOST_PIXELS`.

    Args:
        pictures: In the order of the page.
        outcomes: Of the scenes, by name.
        bands: Of the scenes, from 1; by default the first ones.
        others: Of a run that is compared with.
    """
    made: list[Pyramid | None] = []
    left = MOST_PIXELS
    for picture in pictures:
        outcome = outcomes[picture.name]
        pixels = outcome.height * outcome.width
        if picture.scale >= 1 or pixels > left:
            made.append(None)
            continue
        left -= pixels
        try:
            made.append(pyramid(picture, outcome, bands, others.get(picture.name)))
        except Exception:  # Gone or changed since: the preview is there.
            made.append(None)
    return made


def pyramid(
    picture: Picture,
    outcome: SceneOutcome,
    bands: Sequence[int] | None,
    other: SceneOutcome | None,
) -> Pyramid | None:
    """The tiles of a scene; None where its image is gone or of another size.

    Raises:
        Exception: A file is gone or has changed since; whatever its reader says.
    """
    shape = outcome.height, outcome.width
    levels = 1
    while max(shape) >> levels > max(picture.height, picture.width):
        levels += 1
    with ExitStack() as stack:
        if outcome.image is None:
            return None
        image: FileScene = stack.enter_context(open_scene(outcome.image, bands=bands))
        if (image.height, image.width) != shape:
            return None
        files = steps_in(outcome.files) or [outcome.files["probability"]]
        raster = stack.enter_context(outcome.open_raster(files[-1]))
        path = None if outcome.label is None else Path(outcome.label)
        label = stack.enter_context(open_label(path, outcome.labelling, raster))
        compared = None
        if other is not None and other.done:
            compared = stack.enter_context(other.open_raster(other.files["probability"]))
            if (compared.height, compared.width) != shape:
                return None
        ends = ends_of(*image.overview(max(picture.height, picture.width)))

        def read(window: Window) -> _Pixels:
            drawn = _drawn(window, raster, label, compared, picture.threshold_level)
            return _Pixels(stretched(image.read(window)[0], ends), drawn)

        colours = _colours(label is not None, compared is not None)
        tiles: list[Tile] = []
        side = SIDE << (levels - 1)
        for row in range(-(-shape[0] // side)):
            for column in range(-(-shape[1] // side)):
                _add(tiles, levels - 1, row, column, shape, read, colours)
    return Pyramid(*shape, levels, tiles)


def _add(
    tiles: list[Tile],
    level: int,
    row: int,
    column: int,
    shape: tuple[int, int],
    read: Callable[[Window], _Pixels],
    colours: Mapping[str, NDArray[np.uint8]],
) -> _Pixels | None:
    """Adds a tile and all finer ones of its place; returns its pixels, None outside the scene."""
    side = SIDE << level
    scene = Window(0, 0, *shape)
    window = Window(row * side, column * side, side, side).intersection(scene)
    if not window.pixels:
        return None
    if level == 0:
        pixels = read(window)
    else:
        finer = [
            [
                _add(tiles, level - 1, 2 * row + down, 2 * column + right, shape, read, colours)
                for right in (0, 1)
            ]
            for down in (0, 1)
        ]
        pixels = _halved(finer)
    pictures = {"image": _jpeg(pixels.image)}
    pictures |= {
        pane: encoded(_coloured(codes, colours[pane])) for pane, codes in pixels.drawn.items()
    }
    tiles.append(Tile(level, row, column, pictures))
    return pixels


def _halved(finer: Sequence[Sequence[_Pixels | None]]) -> _Pixels:
    """Two by two tiles as one of half the size; those outside the scene are None."""
    rows = [[one for one in row if one is not None] for row in finer]
    rows = [row for row in rows if row]

    def joined(part: Callable[[_Pixels], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        return np.concatenate([np.concatenate([part(one) for one in row], 1) for row in rows])

    a, b, c, d = (one.astype(np.uint16) for one in _fours(joined(lambda one: one.image)))
    image = ((a + b + c + d + 2) // 4).astype(np.uint8)
    drawn = {
        pane: reduce(np.maximum, _fours(joined(partial(_of_pane, pane))))
        for pane in rows[0][0].drawn
    }
    return _Pixels(image, drawn)


def _of_pane(pane: str, pixels: _Pixels) -> NDArray[np.uint8]:
    return pixels.drawn[pane]


def _fours(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """The four pixels [h, w, ...] of each two by two; an odd last row or column is repeated."""
    spare = [(0, length % 2) for length in pixels.shape[:2]] + [(0, 0)] * (pixels.ndim - 2)
    pixels = np.pad(pixels, spare, mode="edge")
    return pixels[::2, ::2], pixels[::2, 1::2], pixels[1::2, ::2], pixels[1::2, 1::2]


def _coloured(codes: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colour [h, w, 4] of each code [h, w]; four bytes taken as one are faster."""
    return colours.view(np.uint32)[:, 0].take(codes).view(np.uint8).reshape(*codes.shape, 4)


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """A photograph; as a WebP it would be a tenth smaller, but take ten to thirty times as long."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="JPEG", quality=_QUALITY)
    return data.getvalue()


def _drawn(
    window: Window,
    raster: RasterLevels,
    label: Label | None,
    other: RasterLevels | None,
    threshold: int,
) -> dict[str, NDArray[np.uint8]]:
    """By pane of the page, what is drawn of each pixel [h, w]."""
    classes = None if label is None else label.read(window)
    levels = together(raster.read(window))
    drawn = {"overlay": _agreement(levels, classes, threshold)}
    if other is not None:
        others = together(other.read(window))
        drawn["other"] = _agreement(others, classes, threshold)
        drawn["difference"] = _difference(levels, others, classes, threshold)
    return drawn


def _agreement(
    levels: NDArray[np.uint8], classes: NDArray[np.uint8] | None, threshold: int
) -> NDArray[np.uint8]:
    found, missing = levels >= threshold, levels == NODATA
    codes = np.where(found, _RIGHT, _NOTHING)
    if classes is not None:
        real = (classes > 0) & (classes != IGNORE_INDEX)
        codes = np.where(real, np.where(found, _RIGHT, _MISS), np.where(found, _ALARM, _NOTHING))
        missing = missing | (classes == IGNORE_INDEX)
    return np.where(missing, _MISSING, codes).astype(np.uint8)


def _difference(
    levels: NDArray[np.uint8],
    others: NDArray[np.uint8],
    classes: NDArray[np.uint8] | None,
    threshold: int,
) -> NDArray[np.uint8]:
    a, b = levels >= threshold, others >= threshold
    real = np.ones(a.shape, bool) if classes is None else classes > 0
    codes = np.where(a == b, np.where(a, _RIGHT, _NOTHING), np.where(a == real, _ALARM, _MISS))
    missing = (levels == NODATA) | (others == NODATA)
    if classes is not None:
        missing |= classes == IGNORE_INDEX
    return np.where(missing, _MISSING, codes).astype(np.uint8)


def _colours(labelled: bool, compared: bool) -> dict[str, NDArray[np.uint8]]:
    """By pane, the colour and opacity of each thing that is drawn [5, 4]."""
    agreement = _AGREEMENT if labelled else _MASK
    of_panes = {"overlay": agreement}
    if compared:
        of_panes |= {"other": agreement, "difference": _DIFFERENCE}
    return {
        pane: np.array([list(bytes.fromhex(colour[1:])) for colour in colours], np.uint8)
        for pane, colours in of_panes.items()
    }
