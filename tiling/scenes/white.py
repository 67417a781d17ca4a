"""White patches that stand for missing pixels, as in the Massachusetts scenes."""

import numpy as np
import scipy

from tiling.errors import SceneError
from tiling.scenes.scene import Pixels, Scene, Valid, WrappedScene
from tiling.window import Window

WHITE = 235
"""An 8-bit pixel counts as white if all bands have at least this value: JPEG leaves white noisy."""

WHITE_PATCH = 31
"""Side of a square, in pixels, that white must fill to be missing: roofs and lines stay."""


class WhiteScene(WrappedScene):
    """A scene of 8 bits whose patches of white are missing (see `WHITE_PATCH`).

    Args:
        scene: The scene that has them.

    Raises:
        SceneError: The scene is not one of 8 bits.
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        if self.dtype != np.uint8:
            raise SceneError(
                f"{self.name}: pixels are {self.dtype}, but only 8 bits (uint8) have a white that "
                "is known; give it a nodata value, e.g. rio edit-info --nodata"
            )

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`."""
        # The opening looks at what surrounds a pixel. With that much more read, the answer for a
        # pixel does not depend on the window.
        around = window.grown(WHITE_PATCH).intersection(Window(0, 0, self.height, self.width))
        pixels, valid = self.scene.read(around)
        white = _opened(np.asarray((pixels >= WHITE).all(axis=0)))
        rows, columns = window.slices(around)
        return pixels[:, rows, columns], (valid & ~white)[rows, columns]


def _opened(white: Valid) -> Valid:
    """The pixels of `white` [h, w] that lie in an all-white square: a separable opening."""
    if not white.any():
        return white
    eroded = scipy.ndimage.minimum_filter(white, WHITE_PATCH, mode="constant", cval=0)
    opened: Valid = scipy.ndimage.maximum_filter(eroded, WHITE_PATCH, mode="constant", cval=0)
    return opened
