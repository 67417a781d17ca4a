"""Masks of the field of view: how they are read, and whether they can be what they say."""

from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.inputs.field_of_view import AS_LARGE, SEEN_AT, FieldOfView, field_of_view, seen_whole
from pipelines.inputs.labels import is_lossy
from tiling.errors import TilingError
from tiling.readers.bands import CLASS_TYPES
from tiling.readers.files import open_scene
from tiling.scenes.scene import FileScene, Pixels
from tiling.window import Window

_TWO_COLOURS = 0.95
"""A mask has two colours in at least this share of its pixels, photographs have not: at soft edges
and where a JPEG is noisy there are others."""


_COLOURS_APART = 32
"""Values from one colour to the next, where colours are counted."""


_LOOKED_AT = 512
"""Longest side, in pixels, of the overviews in which masks are compared."""


_SOLID = 0.3
"""A field keeps more than this share of its pixels where all that is thinner than a fiftieth of
the image goes. Masks of HRF and drawn ones keep all, labels of vessels 7 % at most."""


_ALIKE = 0.8
"""A mask and the field that is found in its photograph overlap by at least this share (IoU); those
of HRF by 0.998."""


_ADVICE = (
    "draw the eye in white on black, or take the mask away: the field is then found in the "
    "photograph"
)


def read_field(path: Path, shape: tuple[int, int]) -> FieldOfView:
    """Reads a field of view: a mask, or a photograph in which it is found.

    Args:
        path: Image of black and another colour, as it is shown; in a JPEG, values above 127 are
            inside. What has three bands and more than two colours is a photograph.
        shape: Rows and columns it must have.

    Returns:
        The field, of that shape, or coarser, where it was found in a photograph.

    Raises:
        DataError: The file cannot be read, or has another size, or is black all over, or holds
            fractions.
    """
    try:
        with open_scene(path, bands=None, types=CLASS_TYPES) as scene:
            if (scene.height, scene.width) != shape:
                raise DataError(
                    f"{path}: {scene.width} x {scene.height} pixels, but its image has "
                    f"{shape[1]} x {shape[0]}; give the one made for this image"
                )
            if scene.bands >= 3:
                seen = seen_whole(scene, SEEN_AT)
                if not _is_two_coloured(seen):
                    return field_of_view(seen)
            field = _inside(scene)
    except TilingError as error:
        raise DataError(str(error)) from error
    if not field.any():
        raise DataError(
            f"{path}: this mask of the field of view is black all over; mend it, or take it away "
            "to have the field found in the image"
        )
    return FieldOfView(field)


def check_field(path: Path, field: NDArray[np.bool_], image: FileScene | None) -> tuple[str, ...]:
    """Checks whether a mask can be that of a field of view.

    Args:
        path: Its file, for messages.
        field: What was read from it.
        image: The photograph; None where it is not at hand.

    Returns:
        What is unusual in it, line by line.

    Raises:
        DataError: It is inverted, or holds vessels, or lies beside the eye.
    """
    found = None if image is None else field_of_view(image.overview(_LOOKED_AT)[0])
    small = _nearest(field, found)
    if _corners_in(small) == 4 and not small[small.shape[0] // 2, small.shape[1] // 2]:
        raise DataError(
            f"{path}: this mask of the field of view has the corners of the image inside and its "
            f"centre outside, so it seems inverted; {_ADVICE}"
        )
    if _is_thin(small) or (_corners_in(small) == 4 and _is_thin(~small)):
        raise DataError(
            f"{path}: this mask of the field of view holds thin lines, so it seems to be a label "
            f"of vessels; {_ADVICE}"
        )
    # Of two photographs in one image, one alone is found.
    if image is None or found is None or not found.bordered or found.second > AS_LARGE:
        return ()
    both = (small & found.mask).sum()
    if 2 * both < small.sum():
        raise DataError(
            f"{path}: most of this mask of the field of view lies beside the eye that "
            f"{image.name} shows; {_ADVICE}"
        )
    overlap = both / (small | found.mask).sum()
    if overlap >= _ALIKE:
        return ()
    return (
        f"{path}: this mask of the field of view and the field that is found in {image.name} "
        f"overlap by {overlap:.0%} only; see that it is the mask of this photograph",
    )


def _is_two_coloured(pixels: Pixels) -> bool:
    """Whether two colours are all but a few of an image's [bands, h, w]."""
    whole = pixels if pixels.dtype == np.uint8 else _as_bytes(pixels)
    coarse = (whole[:3] // _COLOURS_APART).astype(np.int32)
    levels = 256 // _COLOURS_APART
    counts = np.bincount(((coarse[0] * levels + coarse[1]) * levels + coarse[2]).ravel())
    return bool(np.sort(counts)[-2:].sum() >= _TWO_COLOURS * counts.sum())


def _as_bytes(pixels: Pixels) -> NDArray[np.uint8]:
    """Pixels from 0 to the largest of them as 0 to 255."""
    most = max(1e-6, float(pixels.max()))
    return np.rint(np.clip(pixels / most, 0, 1) * 255).astype(np.uint8)


def _inside(scene: FileScene) -> NDArray[np.bool_]:
    """Where an image is not black [h, w]."""
    pixels, valid = scene.read(Window(0, 0, scene.height, scene.width))
    if scene.dtype.kind == "f" and len(np.unique(pixels)) > 2:
        raise DataError(
            f"{scene.name}: fractions are no mask; give one of 0 and 255, or a photograph"
        )
    black = 127 if is_lossy(Path(scene.name)) else 0
    shown: NDArray[np.bool_] = np.any(pixels > black, axis=0)
    # A nodata value is inside or outside by its colour: many a mask declares one of its two.
    return shown if scene.nodata is not None else shown & valid


def _nearest(field: NDArray[np.bool_], found: FieldOfView | None) -> NDArray[np.bool_]:
    """The field at the size of another one, or at most `_LOOKED_AT` pixels long."""
    if found is not None:
        shape = found.mask.shape
    else:
        factor = min(1.0, _LOOKED_AT / max(field.shape))
        shape = tuple(max(1, round(length * factor)) for length in field.shape)
    rows, columns = (
        np.arange(wanted) * own // wanted for wanted, own in zip(shape, field.shape, strict=True)
    )
    small: NDArray[np.bool_] = field[np.ix_(rows, columns)]
    return small


def _corners_in(field: NDArray[np.bool_]) -> int:
    """How many corners of the image lie inside."""
    return int(sum(field[row, column] for row in (0, -1) for column in (0, -1)))


def _is_thin(region: NDArray[np.bool_]) -> bool:
    """Whether little is left of a region that has pixels where its thin parts are taken away."""
    width = max(1, round(max(region.shape) / 100))
    # The image is continued, or what touches its border would be thin.
    opened = scipy.ndimage.binary_opening(np.pad(region, width, mode="edge"), iterations=width)
    kept = opened[width:-width, width:-width].sum()
    return bool(region.any() and kept < _SOLID * region.sum())
