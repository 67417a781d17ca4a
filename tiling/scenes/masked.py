"""A scene of which only a part counts."""

import numpy as np

from tiling.scenes.scene import Pixels, Scene, Valid, WrappedScene
from tiling.window import Window


class MaskedScene(WrappedScene):
    """A scene whose pixels outside a mask are missing, like a fundus outside its field of view.

    Args:
        scene: What is masked.
        mask: [h, w], True where pixels count; of the scene's size, or coarser, then each of
            its pixels stands for a block of the scene's.
    """

    def __init__(self, scene: Scene, mask: Valid) -> None:
        super().__init__(scene)
        self.mask = mask

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`."""
        pixels, valid = self.scene.read(window)
        rows = np.arange(window.row, window.bottom) * self.mask.shape[0] // self.height
        columns = np.arange(window.column, window.right) * self.mask.shape[1] // self.width
        return pixels, valid & self.mask[np.ix_(rows, columns)]
