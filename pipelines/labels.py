"""Labels: which class each pixel of a scene is of, as someone drew it."""

import glob
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import LabelError
from pipelines.job import IGNORED
from tiling.bands import CLASS_TYPES
from tiling.raster import RasterScene
from tiling.scene import Pixels, Raster, Valid, WrappedRaster
from tiling.window import Window, split

_AT_ONCE = 2048
"""Side, in pixels, of the windows that the values of a label are looked for in."""

_MOST_VALUES = 256
"""Of a label; in what has more, as many of them are enough to tell that it is none."""

_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)

EXTENSIONS = (".tif", ".tiff", ".vrt", ".png", ".gif", ".jpg", ".jpeg", ".jp2", ".img", ".bmp")

FIRST = ("{number}_manual1", "{stem}_manual1", "{stem}_1stHO", "{stem}")
"""Names of a label, or of the first observer's, as data sets give them: DRIVE, HRF, CHASE_DB1."""

SECOND = ("{number}_manual2", "{stem}_manual2", "{stem}_2ndHO", "{stem}")
"""The same for the second observer's."""

FIELD = ("{stem}_mask", "{number}_mask", "{stem}")
"""The same for masks of the field of view."""


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

    def __init__(self, scene: RasterScene, labelling: Labelling) -> None:
        super().__init__(scene)
        self._scene = scene
        self._labelling = labelling
        self._lossy = is_lossy(Path(scene.name))

    def read(self, window: Window) -> NDArray[np.uint8]:
        """See `pipelines.job.Label`.

        Raises:
            LabelError: A value is no class.
        """
        return self._classes(*self._scene.read(window))

    def overview(self, longest: int) -> NDArray[np.uint8]:
        """The whole as `read` gives it, decimated so that no side is over `longest` pixels."""
        return self._classes(*self._scene.overview(longest))

    def values(self) -> set[float]:
        """See `pipelines.job.Label`.

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
        classes[left_out] = IGNORED
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
    with RasterScene(path, bands=1, types=CLASS_TYPES) as scene:
        yield RasterLabel(scene, labelling)


def find_label(
    folder: Path, stem: str, names: Sequence[str] = FIRST, other_than: str | None = None
) -> Path | None:
    """The file of a folder that belongs to a scene; the first of the names that is there.

    Args:
        folder: Where to look.
        stem: Of the scene.
        names: How such files are called: `FIRST`, `SECOND` or `FIELD`.
        other_than: A file that is not meant: the scene itself.
    """
    for name in names:
        wanted = name_of(name, stem)
        for path in sorted(folder.glob(f"{glob.escape(wanted)}.*")):
            # The glob alone would take roads.2.tif for a label of roads.tif.
            fits = path.stem == wanted and path.suffix.lower() in EXTENSIONS
            if fits and (other_than is None or path.resolve() != Path(other_than).resolve()):
                return path
    return None


def name_of(pattern: str, stem: str) -> str:
    """The stem of a file that belongs to a scene, as one of `FIRST`, `SECOND` or `FIELD` has it."""
    return pattern.format(stem=stem, number=stem.split("_")[0])


def check_fits(label: Raster, scene: Raster) -> None:
    """Whether a label lies on a scene pixel by pixel; nothing is ever reprojected.

    Raises:
        LabelError: Another size, CRS or place.
    """
    made_for_it = "give the label made for it"
    if (label.height, label.width) != (scene.height, scene.width):
        raise LabelError(
            f"{label.name}: {label.width} x {label.height} pixels, but "
            f"{scene.name} has {scene.width} x {scene.height}; {made_for_it}"
        )
    if label.crs is None or scene.crs is None:
        return
    if label.crs != scene.crs:
        raise LabelError(
            f"{label.name}: its CRS is {label.crs}, but that of {scene.name} is {scene.crs}; "
            "bring it there with gdalwarp, nothing is reprojected here"
        )
    corners = np.array([[0, label.width, 0, label.width], [0, 0, label.height, label.height]])
    corners = np.concatenate([corners, np.ones((1, 4))])
    of_label, of_scene = (np.array(one.transform).reshape(3, 3) for one in (label, scene))
    off = float(np.abs(np.linalg.solve(of_scene, of_label @ corners) - corners).max())
    if off > 0.5:
        raise LabelError(
            f"{label.name}: its corners lie up to {off:.1f} pixels away from those of "
            f"{scene.name}; {made_for_it}, or mend its transform"
        )


def check_values(label: str, values: AbstractSet[float], labelling: Labelling) -> None:
    """Whether a label holds its classes alone: of two, 0 and one other value.

    Args:
        label: What messages call it.
        values: Those in it that are not left out.
        labelling: What they are to mean.

    Raises:
        LabelError: There is a value too many, or one that is no class.
    """
    if labelling.classes == 2:
        if len(values - {0}) > 1:
            held = ", ".join(f"{value:g}" for value in sorted(values)[:4])
            raise LabelError(
                f"{label}: holds the values {held}{', ...' if len(values) > 4 else ''}, but of two "
                "classes a label holds 0 and one other value; mend it (what is to be left out is "
                "its nodata value)"
            )
    elif unknown := values - set(range(labelling.classes)) - set(labelling.ignore):
        raise LabelError(
            f"{label}: value {min(unknown):g} is no class of 0 to {labelling.classes - 1}; mend it "
            "(what is to be left out is its nodata value, or 255)"
        )
