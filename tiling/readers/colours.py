"""Pixels that are no colours themselves, but stand for some: numbers of a palette, and inks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from tiling.errors import SceneError
from tiling.scenes.scene import Pixels, Valid

INKS = ("cyan", "magenta", "yellow", "black")

_IN_ORDER = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)

ALPHA_SIDE = 256
"""Side in pixels of the windows in which a band that is called alpha is looked at."""

ALPHA_WINDOWS = 3
"""How many of them there are, each way."""

LEAST_OF_A_BAND = 16
"""A band that is called alpha, but has more values than this above 0, may be something else."""


class ColourModel(Protocol):
    """What makes colours of a file's pixels."""

    @property
    def stored(self) -> tuple[int, ...]:
        """Numbers, from 1 on, of the file's bands that it is made of."""
        ...

    @property
    def count(self) -> int:
        """Colours that it makes."""
        ...

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """The type of the colours."""
        ...

    def __call__(self, pixels: Pixels) -> tuple[Pixels, Valid | None]:
        """Colours [count, h, w] of stored pixels, and which are there [h, w], or None for all."""
        ...


@dataclass(frozen=True, eq=False)
class Palette:
    """Red, green, blue and opacity (0 to 255) of each number of a colour.

    Attributes:
        table: uint8 [numbers, 4].
        count: 3 colours, or 1 where all of them are grey and grey is enough.
    """

    table: NDArray[np.uint8]
    count: int = 3
    stored: tuple[int, ...] = (1,)

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """See `ColourModel`."""
        return np.dtype(np.uint8)

    def __call__(self, pixels: Pixels) -> tuple[Pixels, Valid | None]:
        """See `ColourModel`; numbers that the palette lacks, and clear colours, are missing."""
        numbers = pixels[0]
        known = numbers < len(self.table)
        found = np.moveaxis(self.table[np.where(known, numbers, 0)], -1, 0)
        return np.ascontiguousarray(found[: self.count]), known & (found[3] > 0)


@dataclass(frozen=True)
class Inks:
    """Cyan, magenta, yellow and black, from 0 for none to the type's largest value."""

    count: int = 3
    stored: tuple[int, ...] = tuple(range(1, len(INKS) + 1))

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """See `ColourModel`."""
        return stored

    def __call__(self, pixels: Pixels) -> tuple[Pixels, Valid | None]:
        """See `ColourModel`: what the inks leave of white, one after the other."""
        full = int(np.iinfo(pixels.dtype).max)
        paper = (full - pixels).astype(np.float32)
        colours = paper[:3] * (paper[3] / np.float32(full))
        return np.rint(colours).astype(pixels.dtype), None


def palette_of(colours: Mapping[int, Sequence[int]], *, grey_is_one: bool) -> Palette:
    """The palette of a file.

    Args:
        colours: Red, green, blue and opacity of each number.
        grey_is_one: Whether a palette of greys makes one band, not three.
    """
    table = np.zeros((max(colours, default=0) + 1, 4), np.uint8)
    for number, colour in colours.items():
        table[number] = colour
    grey = (table[:, :3] == table[:, :1]).all()
    return Palette(table, 1 if grey and grey_is_one else 3)


def inks_of(name: str, dtype: np.dtype[Any]) -> Inks:
    """The inks of a file.

    Raises:
        SceneError: Its pixels are no unsigned whole numbers.
    """
    if dtype.kind != "u":
        raise SceneError(
            f"{name}: its bands are inks (cyan, magenta, yellow, black) of type {dtype}; save it "
            "as RGB"
        )
    return Inks()


def in_order(bands: Sequence[int], meaning: Mapping[int, ColorInterp]) -> list[int]:
    """Bands in the order red, green, blue, where the file calls one each so; others follow.

    Satellite images often begin with blue, and networks see red first.

    Args:
        bands: Their numbers, in the order of the file.
        meaning: What the file calls each.
    """
    called = [[band for band in bands if meaning[band] is colour] for colour in _IN_ORDER]
    if any(len(of_colour) != 1 for of_colour in called):
        return list(bands)
    first = [band for (band,) in called]
    return [*first, *(band for band in bands if band not in first)]


def is_alpha(values: NDArray[Any]) -> bool:
    """Whether a band that is called alpha says how opaque pixels are.

    Alpha is 0, full, or in between at soft borders. A fourth band that a writer called alpha by
    default, like near infrared, has many values and none that most pixels share.

    Args:
        values: Some of the band's, of any shape.
    """
    _, counts = np.unique(values[values > 0], return_counts=True)
    return len(counts) <= LEAST_OF_A_BAND or bool(2 * counts.max() >= counts.sum())
