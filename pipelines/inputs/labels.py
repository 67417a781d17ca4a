"""Labels: the class of each pixel of a scene, as someone drew it."""

import shlex
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.config.scoring import LabelSettings
from pipelines.errors import LabelError
from pipelines.inputs.class_nodata import check_no_class_is_missing, may_be_foreground, there
from tiling.readers.bands import CLASS_TYPES
from tiling.readers.grey import open_grey
from tiling.scenes.aligned import AlignedScene
from tiling.scenes.scene import FileScene, Pixels, Raster, Valid, WrappedRaster
from tiling.scenes.vector import VectorScene, is_vector
from tiling.window import Window, split

IGNORE_INDEX = 255
"""Class of label pixels that are left out of losses and scores: `rurnet.loss.IGNORE_INDEX`.

`tiling.blend.NODATA` is another thing: the level of a predicted pixel that is missing. It is 255
too, but a label's pixel may be left out where there is a prediction, and the other way round.
"""


class Label(Raster, Protocol):
    """The class of each pixel, by window."""

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Classes [h, w]: 0 background, 1 and on foreground, `IGNORE_INDEX` left out."""
        ...

    @property
    def nodata(self) -> float | None:
        """The nodata value that it declares."""
        ...

    @property
    def doubtful_nodata(self) -> float | None:
        """A nodata value that it declares and that may be its foreground; else None."""
        ...

    @property
    def foreground_values(self) -> AbstractSet[float]:
        """Values that counted as foreground of two classes in what was read; at most a few."""
        ...


AT_ONCE = 2048
"""Side, in pixels, of the windows in which a whole label is read."""


MOST_VALUES = 256
"""A raster with more values than this is no label, and nobody needs to know all of them."""


_FEW = 4
"""Values of a foreground that are noted; one is usual."""


_BLACK = (0, 0, 0)


@dataclass(frozen=True)
class Labelling:
    """What the values of a label mean.

    Attributes:
        classes: Number of classes. With two, all values but 0 are foreground (in a JPEG those
            above 127); with more, values are the numbers of the classes.
        ignore: Values of pixels that are left out.
        line_width: How wide lines of vectors are, in metres; None where that is not known.
        align: Whether a raster of another grid is brought to that of its scene.
        pixel_told: Side of the scene's pixels in metres, whatever its coordinates say; None
            measures it.
    """

    classes: int = 2
    ignore: tuple[int, ...] = ()
    line_width: float | None = None
    align: bool = False
    pixel_told: float | None = None


def labelling_of(
    classes: int,
    ignore: tuple[int, ...],
    settings: LabelSettings,
    pixel_told: float | None = None,
) -> Labelling:
    """What labels mean under the settings of a run; the others are those of `Labelling`."""
    return Labelling(classes, ignore, settings.line_width, settings.align_labels, pixel_told)


class RasterLabel(WrappedRaster):
    """A label raster of one band, or of three that are equal.

    Pixels that are missing by nodata value, alpha or mask are left out. What nodata values mean,
    `pipelines.inputs.class_nodata` says.

    Args:
        scene: The raster.
        labelling: What its values mean.
        name: The path that was asked for; by default the scene's name.
    """

    def __init__(self, scene: FileScene, labelling: Labelling, name: str | None = None) -> None:
        super().__init__(scene)
        self._scene = scene
        self._labelling = labelling
        self._name = name or scene.name
        self._lossy = is_lossy(Path(self._name))
        self._foreground: set[float] = set()

    @property
    def name(self) -> str:
        """The path as it was given."""
        return self._name

    @property
    def labelling(self) -> Labelling:
        """What its values mean."""
        return self._labelling

    @property
    def nodata(self) -> float | None:
        """The nodata value that the file declares."""
        return self._scene.nodata

    @property
    def doubtful_nodata(self) -> float | None:
        """See `Label`; with more classes their numbers tell, and --ignore tells in any case."""
        labelling, nodata = self._labelling, self._scene.nodata
        doubtful = labelling.classes == 2 and nodata not in labelling.ignore
        return nodata if doubtful and may_be_foreground(nodata) else None

    @property
    def foreground_values(self) -> AbstractSet[float]:
        """See `Label`."""
        return self._foreground

    @property
    def pages(self) -> int:
        """See `FileScene.pages`."""
        return self._scene.pages

    def under(self, labelling: Labelling) -> "RasterLabel":
        """The same file, with other meanings of its values."""
        return RasterLabel(self._scene, labelling, self._name)

    def read(self, window: Window) -> NDArray[np.uint8]:
        """See `Label`.

        Raises:
            LabelError: A value is no class.
        """
        return self.classes(*self.drawn(window))

    def overview(self, longest: int) -> NDArray[np.uint8]:
        """The whole as `read` gives it, decimated so that no side is over `longest` pixels."""
        return self.classes(*self._scene.overview(longest))

    def values(self) -> set[float]:
        """Reads the whole label for the values in it that are not left out.

        Raises:
            LabelError: See `check_palette`.
        """
        found: set[float] = set()
        for window in split(self.height, self.width, AT_ONCE):
            found |= self.values_in(*self.drawn(window))
            if len(found) > MOST_VALUES:
                break
        self.check_palette(found)
        return found

    def leaves_out(self) -> bool:
        """Reads the label for whether nodata, alpha or a mask leave any pixel out."""
        return any(
            not there(self._scene, *self.drawn(window)).all()
            for window in split(self.height, self.width, AT_ONCE)
        )

    def drawn(self, window: Window) -> tuple[Pixels, Valid]:
        """A window as the file has it: values [1, h, w], and which pixels are there [h, w]."""
        return self._scene.read(window)

    def values_in(self, pixels: Pixels, valid: Valid) -> set[float]:
        """Values in a window that are not left out; of more than `MOST_VALUES` only some.

        Args:
            pixels: As `drawn` returns them.
            valid: As `drawn` returns them.
        """
        values, left_out = self._values(pixels, valid)
        return set(np.unique(values[~left_out])[: MOST_VALUES + 1].tolist())

    def check_palette(self, values: AbstractSet[float]) -> None:
        """Whether background and foreground can be told apart.

        Args:
            values: Those that the label holds.

        Raises:
            LabelError: By its palette, 0 has a colour and the rest is black.
        """
        palette = self._scene.palette
        # A label without foreground says nothing: many a palette has a white background.
        rest = {palette.get(int(value)) for value in values - {0}}
        if palette.get(0, _BLACK) != _BLACK and rest == {_BLACK}:
            raise LabelError(
                f"{self.name}: its palette shows 0 in a colour and the rest in black, so which of "
                "them is background is not clear; save it in grey, with 0 as the background"
            )

    def classes(self, pixels: Pixels, valid: Valid) -> NDArray[np.uint8]:
        """Classes of a window [h, w], as `read` gives them.

        Args:
            pixels: As `drawn` returns them.
            valid: As `drawn` returns them.

        Raises:
            LabelError: A value is no class, or a class is declared nodata.
        """
        values, left_out = self._values(pixels, valid)
        if self._scene.nodata not in self._labelling.ignore:
            check_no_class_is_missing(
                self._scene, pixels, valid, self._labelling.classes, LabelError
            )
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
        if self._labelling.classes == 2 and len(self._foreground) < _FEW:
            self._note(values[classes == 1])
        return classes

    def _note(self, foreground: Pixels) -> None:
        """Notes the values of foreground pixels [n]."""
        if foreground.size and foreground.min() == foreground.max():
            self._foreground.add(float(foreground[0]))
        else:
            values = np.unique(foreground)
            self._foreground |= {*values[: _FEW - 1].tolist(), *values[-1:].tolist()}

    def _values(self, pixels: Pixels, valid: Valid) -> tuple[Pixels, Valid]:
        """Values as they were drawn [h, w], and which are left out."""
        values = pixels[0]
        left_out = np.isin(values, self._labelling.ignore)
        left_out |= ~there(self._scene, pixels, valid)
        if self._lossy and self._labelling.classes == 2:
            values = np.where(values > 127, 255, 0)
        return values, left_out


def is_lossy(path: Path) -> bool:
    """Whether a file is a JPEG: its compression changes values a little, so 0 is not quite 0."""
    return path.suffix.lower() in (".jpg", ".jpeg")


@contextmanager
def open_label(
    path: Path | None, labelling: Labelling, on: Raster | None = None
) -> Iterator[RasterLabel | None]:
    """Opens a label; None where there is no path.

    Args:
        path: A raster, or a file of vectors.
        labelling: What its values mean, or how wide its lines are.
        on: The raster that it belongs to, whose grid vectors are drawn on.

    Raises:
        SceneError: It cannot be opened.
        LabelError: It holds vectors, but there is no grid to draw them on.
    """
    if path is None:
        yield None
        return
    if is_vector(path):
        if on is None:
            raise LabelError(
                f"{path}: lines and polygons are labels of aerial scenes alone; give a raster"
            )
        drawn = VectorScene(path, on, labelling.line_width, labelling.pixel_told)
        yield RasterLabel(drawn, labelling)
        return
    with open_grey(path, types=CLASS_TYPES, lossy=is_lossy(path)) as file:
        scene: FileScene = file
        if labelling.align and on is not None:
            scene = AlignedScene(file, on)
        yield RasterLabel(scene, labelling, str(path))


def on_values(label: Label) -> str:
    """What a person should know of a label of two classes with several values of foreground."""
    values = sorted(label.foreground_values)
    held = ", ".join(f"{value:g}" for value in values)
    soft = calculated(f"(> (read 1 1) {values[-1] // 2:g})", label.name)
    return (
        f"{label.name}: several values ({held}, ...) count as foreground; if they are greys of "
        f"lines with soft edges: {soft}; if some are none, --ignore leaves them out"
    )


def calculated(condition: str, name: str) -> str:
    """The command that writes a label of 0 and 1 from another one."""
    return f'rio calc --not-masked -t uint8 "{condition}" {shlex.quote(name)} NEW.tif'
