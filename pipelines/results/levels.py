"""Rasters of probabilities or of classes, ours or another tool's, read as levels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import PredictionError
from pipelines.inputs.class_nodata import (
    check_no_class_is_missing,
    may_be_foreground,
    swallowed,
    there,
    without_nodata,
)
from pipelines.inputs.labels import is_lossy
from tiling.blend import NODATA, TOP
from tiling.errors import SceneError
from tiling.readers.bands import CLASS_TYPES, keeping
from tiling.readers.files import open_scene
from tiling.readers.grey import COLOURS, GreyScene
from tiling.scenes.scene import FileScene, WrappedRaster
from tiling.window import Window, split

Kind = Literal["auto", "probability", "mask"]


_AT_ONCE = 4096


_OF_PROBABILITY = "probability of "
"""How the bands of `probability.tif` are described."""


_MOST_CLASSES = 31
"""Integers up to here are hardly probabilities."""


_PERCENT = 100


_SLACK = 1e-3
"""What a softmax may be off by."""


class RasterLevels(WrappedRaster):
    """A raster as levels 0 to 254, 255 where it has no pixel.

    Args:
        scene: The raster.
        classes: Names of the foreground classes.
        ends: Pixel values that stand for probability 0 and 1; None for a raster of classes.
        rounded: Whether probabilities are rounded to levels, as ours are; else they go down to
            the next one, so that a level of 127 is reached from 0.5 on exactly.
        field: Outside of it nothing counts [h, w]; None counts all.
    """

    def __init__(
        self,
        scene: FileScene,
        classes: tuple[str, ...],
        ends: tuple[float, float] | None,
        rounded: bool = True,
        field: NDArray[np.bool_] | None = None,
    ) -> None:
        super().__init__(scene)
        self._upward = 0.5 if rounded else _SLACK
        self._field = field
        self.classes = classes
        self._scene = scene
        self._ends = ends

    @property
    def graded(self) -> bool:
        """Whether it holds probabilities."""
        return self._ends is not None

    @property
    def remark(self) -> str | None:
        """What is to be known of a nodata value that is a probability as well."""
        if self._ends is None or self._scene.nodata not in self._ends:
            return None
        low, nodata = self._ends[0], self._scene.nodata
        if nodata == low:
            return (
                f"{self.name}: nodata {nodata:g} is probability 0 as well, so such pixels count as "
                "background"
            )
        return (
            f"{self.name}: nodata {nodata:g} is probability 1 as well; such pixels are left out; "
            f"if they are foreground: {without_nodata(self.name)}"
        )

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Levels of a window [bands, h, w].

        Raises:
            SceneError: The raster cannot be read.
            PredictionError: It holds what is no probability, or no class.
        """
        pixels, valid = self._there(*self._scene.read(window))
        if self._field is not None:
            valid &= self._field[window.slices()]
        return self._levels(pixels, valid)

    def overview(self, longest: int) -> NDArray[np.uint8]:
        """The whole as levels [bands, h, w], no side over `longest` pixels."""
        pixels, valid = self._there(*self._scene.overview(longest))
        if self._field is not None:
            valid &= at_size(self._field, valid.shape)
        return self._levels(pixels, valid)

    def _there(
        self, pixels: NDArray[Any], valid: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """A window as it was read, and which of its pixels count."""
        if self._ends is None:
            check_no_class_is_missing(
                self._scene, pixels, valid, len(self.classes) + 1, PredictionError
            )
            return pixels, there(self._scene, pixels, valid)
        return pixels, there(self._scene, pixels, valid, self._ends[0])

    def _levels(self, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        levels = (
            self._of_classes(pixels[0], valid)
            if self._ends is None
            else self._graded(pixels, valid, *self._ends)
        )
        levels[:, ~valid] = NODATA
        return levels

    def _of_classes(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        count = len(self.classes)
        known = (0, 1, 255) if count == 1 else range(count + 1)
        unknown = valid.copy()
        for one in known:  # np.isin takes eight bytes for each pixel.
            unknown &= values != one
        if unknown.any():
            raise PredictionError(
                f"{self.name}: value {values[unknown][0]} is no class of 0 to {count}; "
                "name the foreground classes with --classes"
            )
        found = [values != 0] if count == 1 else [values == one for one in range(1, count + 1)]
        levels: NDArray[np.uint8] = np.stack(found) * np.uint8(TOP)
        return levels

    def _graded(
        self, pixels: NDArray[Any], valid: NDArray[np.bool_], low: float, high: float
    ) -> NDArray[np.uint8]:
        of_bytes = pixels.dtype == np.uint8
        # The same for each of the 256 values; a level of ours comes back as it is.
        values = np.arange(256.0) if of_bytes else pixels.astype(np.float32)
        probability = (values - low) / (high - low)
        wrong = (probability < -_SLACK) | (probability > 1 + _SLACK)
        scaled = np.floor(probability.clip(0, 1) * TOP + self._upward)
        levels: NDArray[np.uint8] = scaled.astype(np.uint8)
        if of_bytes:
            wrong, levels = wrong[pixels], levels[pixels]
        outside = valid & wrong.any(axis=0)
        if outside.any():
            value = pixels[:, outside][wrong[:, outside]][0]
            raise PredictionError(
                f"{self.name}: value {value:g} is no probability between {low:g} and {high:g}; "
                "say with --value-range which values stand for 0 and 1"
            )
        return levels


def at_size(pixels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Pixels [..., h, w] at another size [h, w], the nearest of each."""
    rows, columns = (
        np.arange(side) * own // side for side, own in zip(shape, pixels.shape[-2:], strict=True)
    )
    return pixels[..., rows[:, None], columns]


@contextmanager
def open_levels(
    path: Path | str,
    kind: Kind = "auto",
    value_range: tuple[float, float] | None = None,
    classes: tuple[str, ...] | None = None,
    field: NDArray[np.bool_] | None = None,
) -> Iterator[RasterLevels]:
    """Opens a predicted raster.

    Floats are probabilities, integers with a scale (as in `probability.tif`) are too. Other
    integers are a mask where they hold no other values than 0 and 1, 0 and 255, or the numbers
    of the classes, and else probabilities of which the type's highest value stands for 1. Where
    that may well be wrong it is an error.

    Args:
        path: Probabilities with a band for each foreground class, or a mask of one band.
        kind: Which of the two; "auto" finds out.
        value_range: Pixel values that stand for probability 0 and 1.
        classes: Names of the foreground classes; by default those in the descriptions of the
            bands, or else "foreground".
        field: Outside of it nothing counts [h, w], of the raster's size; None counts all.

    Raises:
        SceneError: It cannot be read.
        PredictionError: It does not have the bands that the classes want, has several of other
            names, or may be either kind.
    """
    with _open(path, classes) as scene:
        scale = value_range or _declared_ends(scene)
        graded = scale is not None or scene.dtype.kind == "f"
        if kind == "mask":
            if graded:
                raise PredictionError(f"{path}: holds probabilities; leave --kind mask out")
            if scene.bands != 1:
                raise PredictionError(f"{path}: {scene.bands} bands, but a mask has one")
        if kind == "mask" or (kind == "auto" and not graded and _is_mask(scene, classes)):
            if len(classes or ()) < 2:
                _check_kept(scene)
            yield RasterLevels(scene, classes or ("foreground",), None, field=field)
            return
        names = classes or _names(scene)
        if len(names) != scene.bands:
            raise PredictionError(
                f"{path}: {scene.bands} bands of probabilities, but {len(names)} foreground "
                f"classes ({', '.join(names)}); give a band for each, none for the background"
            )
        ours = all(text.startswith(_OF_PROBABILITY) for text in scene.descriptions)
        # One class is the foreground, whatever it is called; several might be mixed up.
        if ours and len(names) > 1 and names != (own := _names(scene)):
            raise PredictionError(
                f"{path}: bands of {', '.join(own)}, but {', '.join(names)} are scored; score "
                "runs of the same classes, in the same order"
            )
        yield RasterLevels(scene, names, scale or _ends_of(scene.dtype), ours, field)


def _open(path: Path | str, classes: tuple[str, ...] | None) -> FileScene:
    """Opens a raster; one class in three bands without names is grey, saved as colours."""
    try:
        # Numbers of a palette are classes; read as an image they would be colours.
        return open_scene(path, bands=1, types=CLASS_TYPES)
    except SceneError:
        scene = open_scene(path, bands=None, types=CLASS_TYPES)
    if (
        scene.bands == COLOURS
        and scene.dtype == np.uint8
        and len(classes or ()) < 2
        and not any(scene.descriptions)
    ):
        return GreyScene(scene, is_lossy(Path(path)))
    return scene


def _declared_ends(scene: FileScene) -> tuple[float, float] | None:
    """The pixel values that a declared scale brings to 0 and 1."""
    scale, offset = scene.scales[0]
    return None if scale in (0.0, 1.0) else (-offset / scale, (1 - offset) / scale)


def _ends_of(dtype: np.dtype[Any]) -> tuple[float, float]:
    return (0.0, 1.0) if dtype.kind == "f" else (0.0, float(np.iinfo(dtype).max))


def _names(scene: FileScene) -> tuple[str, ...]:
    """Names of the classes, from the descriptions of the bands."""
    if all(scene.descriptions):
        names = (text.removeprefix(_OF_PROBABILITY) for text in scene.descriptions)
        return tuple(" ".join(name.split()) for name in names)  # As they are shown.
    if scene.bands == 1:
        return ("foreground",)
    raise PredictionError(
        f"{scene.name}: {scene.bands} bands, but nothing says of which classes; name them with "
        f"--classes, or keep one band, e.g. {keeping(scene.name, '1')}"
    )


def _is_mask(scene: FileScene, classes: tuple[str, ...] | None) -> bool:
    """Whether no pixel of integers has another value than a mask can have.

    Raises:
        PredictionError: The values may be classes without names, or percent.
    """
    if scene.bands != 1:
        return False
    found: set[int] = set()
    for window in split(scene.height, scene.width, _AT_ONCE):
        pixels, valid = scene.read(window)
        found.update(np.unique(pixels[0][there(scene, pixels, valid)]).tolist())
    if found <= {0, 255} or found <= set(range(max(1, len(classes or ())) + 1)):
        return True
    highest = max(found)
    if highest <= _MOST_CLASSES or highest == _PERCENT:
        wanted = f"all {highest} (not {len(classes)})" if classes else "the"
        raise PredictionError(
            f"{scene.name}: values up to {highest} may be classes, percent or probabilities; name "
            f"{wanted} foreground classes with --classes, or say with --value-range 0,{_PERCENT} "
            "or 0,255 which values stand for probability 0 and 1"
        )
    return False


def _check_kept(scene: FileScene) -> None:
    """Whether a mask of two classes keeps its foreground, although it declares a nodata value.

    Raises:
        PredictionError: Besides 0 it holds its nodata value only, and is none of our masks, which
            may be empty.
    """
    nodata = scene.nodata
    if nodata is None or not may_be_foreground(nodata) or list(scene.descriptions) == ["class"]:
        return
    missing = False
    for window in split(scene.height, scene.width, _AT_ONCE):
        pixels, valid = scene.read(window)
        if (pixels[0][valid] != 0).any():
            return
        missing = missing or not valid.all()
    if missing:
        raise swallowed(
            scene.name, nodata, PredictionError,
            "--value-range 0,1",
        )  # fmt: skip
