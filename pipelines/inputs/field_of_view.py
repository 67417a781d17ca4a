"""The field of view of a fundus photograph: the part of the image that shows the eye."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from tiling.scenes.scene import Pixels, Scene
from tiling.window import Window

SEEN_AT = 2048
"""Longest side, in pixels, of the picture that a field of view is derived from."""


_ROWS_AT_ONCE = 512
"""Rows that a whole image is read in."""


_WHITE = 235
"""An 8-bit pixel counts as white if all bands have at least this value."""


_DARK = 0.25
"""A border is darker than this share of the bright retina; otherwise the image has none."""


_DARKEST_RETINA = 0.05
"""The retina is brighter than the border by at least this share of the bright retina: vignetting
leaves a tenth of the brightness in some images of CHASE_DB1."""


AS_LARGE = 0.2
"""A second region of more than this share of the largest may be another photograph."""


_CUT_OFF = 0.4
"""A disc that a side of the image cuts over this share of its extent has lost 4 % of its
diameter there."""


_EDGE = 1 / 3
"""Brightness of the edge, from that of the border (0) to the brightest retina nearby (1). One half
would be the edge itself, but loses dark vessels that end there."""


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """A field of view that was derived from an image.

    Attributes:
        mask: [h, w], True inside: one region without holes. All True where no dark border is
            found, as in an image that is all retina or all black.
        bordered: Whether a dark border is found.
        second: Size of the second largest region that is brighter than the border, as a share
            of the largest: two photographs side by side have two of about one size.
    """

    mask: NDArray[np.bool_]
    bordered: bool = True
    second: float = 0.0


def seen_whole(scene: Scene, longest: int) -> Pixels:
    """The whole scene [bands, h, w], no side over `longest` pixels: the nearest pixel of each.

    Overviews are not used: of one picture, a JPEG has some that a PNG has not.

    Raises:
        SceneError: The pixels cannot be read.
    """
    factor = min(1.0, longest / max(scene.height, scene.width))
    rows, columns = (
        # What is added keeps a middle that lies between two pixels from going either way.
        ((np.arange(count) + 0.5) * (length / count) + 1e-10).astype(int)
        for length in (scene.height, scene.width)
        for count in [max(1, round(length * factor))]
    )
    strips = []
    for first in range(0, scene.height, _ROWS_AT_ONCE):
        height = min(_ROWS_AT_ONCE, scene.height - first)
        wanted = rows[(rows >= first) & (rows < first + height)] - first
        pixels, _ = scene.read(Window(first, 0, height, scene.width))
        strips.append(pixels[:, wanted[:, None], columns])
    return np.concatenate(strips, axis=1)


def field_of_view(image: Pixels) -> FieldOfView:
    """Derives the field of view of an image: the largest region brighter than its dark border.

    Nothing is assumed about its shape: a disc is found, and so is one that the image cuts off or
    that has a tab at its rim. A white frame counts as a dark one.

    Args:
        image: RGB [bands, h, w], 8 bits; of dark borders and retinas only red is used, in which
            the retina is brightest.
    """
    longest = max(image.shape[1:])
    plane = image[0].astype(np.float32)
    plane[_white_frame(image)] = 0
    red = scipy.ndimage.gaussian_filter(plane, max(1.0, longest / 2000))
    border, bright = _darkest_corner(red), float(np.percentile(red, 95))
    everything = FieldOfView(np.ones(red.shape, dtype=bool), bordered=False)
    if border >= _DARK * bright:
        return everything
    red -= border
    # Compared with what is nearby, a bright rim does not bleed out and a dim one is not cut.
    nearby = scipy.ndimage.maximum_filter(red, 2 * max(2, round(longest / 100)) + 1)
    least = _DARKEST_RETINA * (bright - border)
    inside = _without_specks(red > np.maximum(least, _EDGE * nearby), round(longest / 200))
    regions, count = scipy.ndimage.label(inside)
    if count == 0:
        return everything
    sizes = np.bincount(regions.ravel())[1:]
    largest = int(np.argmax(sizes)) + 1
    second = float(np.sort(sizes)[-2] / sizes.max()) if count > 1 else 0.0
    return FieldOfView(scipy.ndimage.binary_fill_holes(regions == largest), second=second)


def field_diameter(field: NDArray[np.bool_]) -> int:
    """The diameter of a field of view in pixels: the larger of its height and width.

    A disc that the image cuts off above and below, as in HRF, has it from side to side.

    Args:
        field: [h, w], True inside; if it is empty, the whole image counts as field.
    """
    if not field.any():
        return int(max(field.shape))
    sides = (np.flatnonzero(field.any(axis=axis)) for axis in (0, 1))
    return max(int(inside[-1] - inside[0]) + 1 for inside in sides)


def field_remarks(name: str, found: FieldOfView) -> tuple[str, ...]:
    """Returns what a person should know of a field that was found in an image, line by line.

    Args:
        name: Of the image's file.
        found: What was found in it.
    """
    remarks = []
    if not found.bordered:
        remarks.append(
            f"{name}: no dark border is found, so all of it counts as the field of view, and how "
            "large the whole field would be is not known: numbers per diameter are of this part; "
            "where vessels are wider or thinner than in training, tell infer_drive --scale"
        )
    elif _is_cut_both_ways(found.mask):
        remarks.append(
            f"{name}: the image cuts the field of view off in height and in width, so its diameter "
            "is larger than the one that is taken for it: the network sees vessels too large, and "
            "numbers per diameter are not those of a whole field; tell infer_drive --scale, the "
            "smallest diameter of the training over the true one"
        )
    if found.second > AS_LARGE:
        remarks.append(
            f"{name}: beside the field of view there is another region, {found.second:.0%} as "
            "large, which is left out: cut two photographs apart, or draw the field (in mask/, "
            "or infer_drive --field DIR)"
        )
    return tuple(remarks)


def scale_seen(
    field: NDArray[np.bool_], shape: tuple[int, int], diameters: tuple[int, int]
) -> float:
    """How many pixels a network sees for each pixel of an image, along a side.

    An image that is all field shows a part of one: its diameter may be any from the image's own
    on, so that it may be too large, but is not known to be too small.

    Args:
        field: [h, w], True inside; of the image's shape, or coarser.
        shape: Rows and columns of the image.
        diameters: See `working_diameter`.
    """
    own: float = field_diameter(field) * max(shape) / max(field.shape)
    scale = working_diameter(own, diameters) / own
    return float(min(1.0, scale) if field.all() else scale)


def working_diameter(own: float, diameters: tuple[int, int]) -> float:
    """The diameter at which a network sees a field of view, in training and in prediction.

    Args:
        own: Diameter in the image.
        diameters: Smallest and largest that a network is to see; between them its own is kept.
    """
    smallest, largest = diameters
    return min(max(own, smallest), largest)


def _is_cut_both_ways(field: NDArray[np.bool_]) -> bool:
    """Whether neither the height nor the width of a field [h, w] is that of the whole disc."""
    return not field.all() and all(
        max(plane[0].mean(), plane[-1].mean()) > _CUT_OFF * plane.any(axis=0).mean()
        for plane in (field, field.T)
    )


def _corners(plane: NDArray[Any]) -> list[NDArray[Any]]:
    """The four corners of a plane [h, w]: squares of a fiftieth of its longer side."""
    side = max(1, max(plane.shape) // 50)
    ends = slice(None, side), slice(-side, None)
    return [plane[rows, columns] for rows in ends for columns in ends]


def _darkest_corner(red: NDArray[np.float32]) -> float:
    """The border's grey level: a disc leaves some corner free, and no text fills all corners."""
    return min(float(np.median(corner)) for corner in _corners(red))


def _white_frame(image: Pixels) -> NDArray[np.bool_]:
    """Where an image [bands, h, w] of 8 bits is white from its edge on.

    Two of its corners must be, or a reflex would be taken for the beginning of a frame.
    """
    nothing = np.zeros(image.shape[1:], dtype=bool)
    if image.dtype != np.uint8:
        return nothing
    brightness = image.min(axis=0)
    if sum(np.median(corner) >= _WHITE for corner in _corners(brightness)) < 2:
        return nothing
    regions, _ = scipy.ndimage.label(brightness >= _WHITE)
    edges = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    frame: NDArray[np.bool_] = np.isin(regions, np.unique(edges[edges > 0]))
    return frame


def _without_specks(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Removes noise and text by opening, even where they touch the field."""
    width = max(1, width)
    # The image is continued, or corners of the field at the image's border would be rounded.
    opened = scipy.ndimage.binary_opening(np.pad(inside, width, mode="edge"), iterations=width)
    kept: NDArray[np.bool_] = opened[width:-width, width:-width]
    return kept
