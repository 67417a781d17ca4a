"""What is measured of the lines of a scene of any size: area, length and width of its roads."""

from dataclasses import dataclass
from math import hypot, nan
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.scores.counts import together
from tiling.blend import NODATA
from tiling.scenes.ground import PixelSize
from tiling.window import Window, split

PART = 2048
"""Pixels on a side of what is skeletonised at once."""


MARGIN = 128
"""Pixels around a part that are skeletonised with it, so that its lines end where they should."""


_STEP = 0.948
"""Share of a step from pixel to pixel that makes lines of any direction right on average."""


class Levels(Protocol):
    """What is measured: levels by window."""

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Levels 0 to 254 [bands, h, w], 255 where there is no pixel."""
        ...


@dataclass(frozen=True)
class Network:
    """The lines of a scene.

    Attributes:
        pixels: Those that are there.
        foreground: Those of them that are foreground.
        steps: Length of its centre lines, in pixels: where these are not square, in sides of a
            square of their area.
        side: Of such a square in metres; None where nothing tells it.
    """

    pixels: int
    foreground: int
    steps: float
    side: float | None

    @property
    def share(self) -> float:
        """Of the pixels that are foreground; nan where there is none."""
        return self.foreground / self.pixels if self.pixels else nan

    @property
    def width(self) -> float:
        """Mean width in pixels: area over length; nan where there is no line."""
        return self.foreground / self.steps if self.steps else nan


def network(mask: Levels, pixel: PixelSize | None) -> Network:
    """Measures the lines of a mask, part by part.

    The length is that of the skeleton's steps, each times 0.948 (Kulpa, "Area and perimeter
    measurement of blobs in discrete binary pictures", 1977), so that it is right on average over
    all directions; a single line may be up to 8 % off.

    Args:
        mask: Levels; all above 0 is foreground.
        pixel: The size of a pixel, where it is known.

    Raises:
        SceneError: The mask cannot be read.
    """
    from skimage.morphology import skeletonize

    scene = Window(0, 0, mask.height, mask.width)
    size = pixel or PixelSize(1.0, 1.0)
    pixels = foreground = 0
    steps = 0.0
    for part in split(scene.height, scene.width, PART):
        around = part.grown(MARGIN).intersection(scene)
        levels = together(mask.read(around))
        there = levels != NODATA
        found = there & (levels > 0)
        inside = part.slices(around)
        pixels += int(there[inside].sum())
        foreground += int(found[inside].sum())
        if found.any():
            steps += _steps(skeletonize(found), inside, size) / size.side
    return Network(pixels, foreground, steps, None if pixel is None else pixel.side)


def _steps(skeleton: NDArray[np.bool_], inside: tuple[slice, slice], pixel: PixelSize) -> float:
    """Length of the steps from the pixels inside to the right and down, on the ground."""
    here, there = skeleton[inside], np.pad(skeleton, 1)
    rows, columns = inside

    def joined(down: int, right: int) -> NDArray[np.bool_]:
        """Whether the pixel that far away from each inside is of the skeleton too [h, w]."""
        return there[
            rows.start + 1 + down : rows.stop + 1 + down,
            columns.start + 1 + right : columns.stop + 1 + right,
        ]

    right, below, left, above = (joined(*way) for way in ((0, 1), (1, 0), (0, -1), (-1, 0)))
    across, down = (here & right).sum(), (here & below).sum()
    # Two that a third joins around a corner are no step.
    diagonal = (here & joined(1, 1) & ~right & ~below).sum()
    diagonal += (here & joined(1, -1) & ~left & ~below).sum()
    # A corner of a staircase stands for one diagonal step, not for two straight ones.
    corners = (here & (left ^ right) & (above ^ below)).sum()
    across, down, diagonal = across - corners, down - corners, diagonal + corners
    length = (
        across * pixel.width + down * pixel.height + diagonal * hypot(pixel.height, pixel.width)
    )
    return float(_STEP * length)
