"""Labels: the class of each pixel of a scene, as someone drew it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import LabelError
from tiling.scenes.bands import CLASS_TYPES
from tiling.scenes.files import open_scene
from tiling.scenes.scene import FileScene, Pixels, Raster, Valid, WrappedRaster
from tiling.window import Window, split

IGNORE_INDEX = 255
"""The class of label pixels that are left out."""


class Label(Raster, Protocol):
    """The class of each pixel, by window."""

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Classes [h, w]: 0 background, 1 and on foreground, `IGNORE_INDEX` left out."""
        ...

    def values(self) -> set[float]:
        """All values of the file that are not left out, as they were drawn."""
        ...


_AT_ONCE = 2048
"""Side, in pixels, of the windows that the values of a label are looked for in."""


_MOST_VALUES = 256
"""Of a label; in what has more, as many of them are enough to tell that it is none."""


_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True)
class Labelling:
    """What the values of a label mean.

    Attributes:
        classes: How many there are. Of two, all other values than 0 are the foreground (of a JPEG
            those above 127); of more, values are their numbers.
        ignore: Values of pixels that are left out.
    """

    classes: int = 2
    ignore: tuple[int, ...] = ()


class RasterLabel(WrappedRaster):
    """A label raster of one band.

    What its nodata value, alpha or mask says is missing is left out; but 0 is background, though
    many a label declares it as nodata.

    Args:
        scene: The raster.
        labelling: What its values mean.
    """

    def __init__(self, scene: FileScene, labelling: Labelling) -> None:
        super().__init__(scene)
        self._scene = scene
        self._labelling = labelling
        self._lossy = is_lossy(Path(scene.name))

    def read(self, window: Window) -> NDArray[np.uint8]:
        """See `pipelines.inputs.labels.Label`.

        Raises:
            LabelError: A value is no class.
        """
        return self._classes(*self._scene.read(window))

    def overview(self, longest: int) -> NDArray[np.uint8]:
        """The whole as `read` gives it, decimated so that no side is over `longest` pixels."""
        return self._classes(*self._scene.overview(longest))

    def values(self) -> set[float]:
        """See `pipelines.inputs.labels.Label`.

        Raises:
            LabelError: By its palette, what is drawn as 0 is white and the rest black.
        """
        found: set[float] = set()
        for window in split(self.height, self.width, _AT_ONCE):
            values, left_out = self._values(*self._scene.read(window))
            found |= set(np.unique(values[~left_out])[: _MOST_VALUES + 1].tolist())
            if len(found) > _MOST_VALUES:
                break
        palette = self._scene.palette
        # A label without foreground says nothing: many a palette has a white background.
        if palette.get(0) == _WHITE and {palette[int(value)] for value in found - {0}} == {_BLACK}:
            raise LabelError(
                f"{self.name}: its palette shows 0 in white and the rest in black, so which of "
                "them is background is not clear; save it in grey, with 0 as the background"
            )
        return found

    def _values(self, pixels: Pixels, valid: Valid) -> tuple[Pixels, Valid]:
        """Values as they were drawn [h, w], and which are left out."""
        values = pixels[0]
        left_out = np.isin(values, self._labelling.ignore)
        if self._scene.nodata != 0:
            left_out |= ~valid
        if self._lossy and self._labelling.classes == 2:
            values = np.where(values > 127, 255, 0)
        return values, left_out

    def _classes(self, pixels: Pixels, valid: Valid) -> NDArray[np.uint8]:
        values, left_out = self._values(pixels, valid)
        if self._labelling.classes == 2:
            classes: NDArray[np.uint8] = (values != 0).astype(np.uint8)
        else:
            unknown = ~left_out & ((values < 0) | (values >= self._labelling.classes))
            if unknown.any():
                raise LabelError(
                    f"{self.name}: value {values[unknown][0]} is no class of "
                    f"0 to {self._labelling.classes - 1}; leave it out with --ignore"
                )
            classes = values.astype(np.uint8)
        classes[left_out] = IGNORE_INDEX
        return classes


def is_lossy(path: Path) -> bool:
    """Whether a file is a JPEG: what is drawn as 0 in it is a little more all around."""
    return path.suffix.lower() in (".jpg", ".jpeg")


@contextmanager
def open_label(path: Path | None, labelling: Labelling) -> Iterator[RasterLabel | None]:
    """Opens a label, if there is one."""
    if path is None:
        yield None
        return
    with open_scene(path, bands=1, types=CLASS_TYPES) as scene:
        yield RasterLabel(scene, labelling)
