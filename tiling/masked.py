"""A scene of which only a part counts."""

from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from tiling.scene import Scene
from tiling.window import Window


@dataclass(frozen=True)
class MaskedScene:
    """A scene whose pixels outside a mask are missing, like a fundus outside its field of view.

    Attributes:
        scene: What is masked.
        mask: [h, w], True where pixels count; of the scene's size, or coarser, then each of
            its pixels stands for a block of the scene's.
    """

    scene: Scene
    mask: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """See `Scene`."""
        return self.scene.name

    @property
    def height(self) -> int:
        """See `Scene`."""
        return self.scene.height

    @property
    def width(self) -> int:
        """See `Scene`."""
        return self.scene.width

    @property
    def bands(self) -> int:
        """See `Scene`."""
        return self.scene.bands

    @property
    def crs(self) -> CRS | None:
        """See `Scene`."""
        return self.scene.crs

    @property
    def transform(self) -> Affine:
        """See `Scene`."""
        return self.scene.transform

    def read(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """See `Scene.read`."""
        pixels, valid = self.scene.read(window)
        rows = np.arange(window.row, window.bottom) * self.mask.shape[0] // self.height
        columns = np.arange(window.column, window.right) * self.mask.shape[1] // self.width
        return pixels, valid & self.mask[np.ix_(rows, columns)]
