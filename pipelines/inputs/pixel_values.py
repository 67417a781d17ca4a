"""What values a scene's pixels have, as far as some of them tell: are they those to be scaled?"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.inputs.normalisation import ValueRange, may_leave_range, range_of_type
from pipelines.inputs.scene_input import OpenedScene
from tiling.scenes.in_range import InRangeScene
from tiling.scenes.scene import FileScene, Pixels, Scene, Valid
from tiling.window import Window, split, spread

ROBUST = (0.5, 99.5)
"""Percentiles of the values that `auto` takes for black and white."""

GIVE_RANGE = "give --value-range {ends}"

GIVE_RANGE_OR_AUTO = "give --value-range {ends}, or --value-range auto"

SAVE_AS_BYTES = "save it in 8 bits, with {ends} as black and white"

_FAR = 10
"""A value this many times the distance of the quartiles away from them is none of the scene's."""

_WHOLE = 2048 * 2048
"""Scenes of at most so many pixels are looked at as a whole, of larger ones some windows."""

_SIDE, _WINDOWS = 256, 8

_MOST_VALUES = 200_000
"""Pixels of a window whose values are kept for percentiles."""

_DARK = 0.25
"""A scene whose values leave more of its range unused than the rest of this has another range."""

_BLACK = 1 / 128
"""A scene that uses less of its range than this is black, as bytes in 16 bits are: F1 was 0.02."""

_SQUARE = 8
"""Side in pixels of the squares of a photograph whose means are compared: noise is not in them."""

_MIDDLE = (5, 95)
"""Percentiles of these means that are compared: a date in a black picture lies beyond them."""

_FLAT = 1 / 128
"""A photograph whose means differ by no more of its range shows nothing. Those of CHASE_DB1 and HRF
differ by 0.3 and more; two that were darkened until they differed by 1/128 had an F1 of 0.2."""

_ENDS = (1, 255, 1023, 2047, 4095, 10_000, 16_383, 32_767, 65_535)
"""Largest values of pixels that are common: of so many bits, or reflectance times 10,000."""


@dataclass(frozen=True)
class SeenValues:
    """Values of the pixels of a scene that were looked at and are there.

    Attributes:
        pixels: How many were looked at.
        outside: How many have a value outside the range, in some band.
        lowest: The smallest value.
        highest: The largest value.
        some: Values of some of them, of any band, to take percentiles of.
    """

    pixels: int
    outside: int
    lowest: float
    highest: float
    some: NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """What should be known of a scene's pixels.

    Attributes:
        remarks: A line each.
        outside: Whether some have values outside the range.
    """

    remarks: tuple[str, ...] = ()
    outside: bool = False


def robust_range(scene: Scene) -> ValueRange:
    """Black and white of a scene: percentiles of its values, the same for all bands.

    It depends on the scene alone, so that every process finds the same.
    """
    some = _seen(scene, None).some
    if not some.size:
        return range_of_type(scene.dtype)
    quarter, three = np.percentile(some, (25, 75))
    margin = _FAR * (three - quarter)
    if margin:
        # Sentinels may be many.
        some = some[(some >= quarter - margin) & (some <= three + margin)]
    low, high = (float(f"{value:.6g}") for value in np.percentile(some, ROBUST))
    return (low, high) if high > low else (low, low + 1)


def looked_at(opened: OpenedScene, remedy: str, *, own_range: bool = False) -> Look:
    """Looks at a scene's bands and values; mostly there is nothing to be said.

    Args:
        opened: The scene.
        remedy: What to do about the range, see `GIVE_RANGE`.
        own_range: Whether the range is `robust_range`, which leaves some values out.

    Raises:
        DataError: Most values lie outside the range, or close to its lower end, so that nothing
            could be seen.
    """
    scene, file, value_range = opened.scene, opened.file, opened.value_range
    if file is None:
        return Look()
    remarks = [
        f"{scene.name}: band {band} is called alpha, but holds as many values as a colour: it "
        "hides no pixel; if it should, make it 0 and 255 alone"
        for band in file.doubtful
    ]
    if own_range and value_range is not None:
        low, high = value_range
        remarks.append(f"{scene.name}: scaled from {low:g} to {high:g}, by its own values")
        return Look(tuple(remarks))
    bits = 8 * scene.dtype.itemsize
    if scene.dtype == np.uint8 and value_range is None and (file.bits or bits) >= bits:
        return Look(tuple(remarks))  # All that bytes can be is in their range.
    seen = _seen(scene.scene if isinstance(scene, InRangeScene) else scene, value_range)
    if not seen.pixels:
        return Look(tuple(remarks))
    ends = value_range or range_of_type(scene.dtype)
    remedy = remedy.format(ends=_likely_ends(file, seen))
    shown = f"from {seen.lowest:.6g} to {seen.highest:.6g}"
    if seen.outside:
        outside = (
            f"{scene.name}: {seen.outside} of {seen.pixels} pixels that were looked at have values "
            f"outside {ends[0]:g} to {ends[1]:g} ({shown})"
        )
        if 2 * seen.outside > seen.pixels:
            raise DataError(f"{outside}: nothing would be seen; {remedy}")
        remarks.append(f"{outside}; {_what_of_these(scene, seen, ends)}")
    brightest = np.percentile(seen.some, 99.9)
    if value_range is None and 0 < brightest <= _DARK * ends[1]:
        scaled = (
            f"{scene.name}: pixels are {scene.dtype}, scaled from {ends[0]:g} to {ends[1]:g}, but "
            f"their values are {shown}"
        )
        if brightest <= _BLACK * ends[1]:
            raise DataError(f"{scaled}: nothing would be seen; {remedy}")
        remarks.append(f"{scaled}: the network sees a dark scene; {remedy}")
    return Look(tuple(remarks), seen.outside > 0)


def check_shows(opened: OpenedScene) -> None:
    """Checks that the photograph of an eye is not all black, white or grey.

    Args:
        opened: A scene; one without a field of view may be so.

    Raises:
        DataError: It is of one brightness inside its field of view.
        SceneError: It cannot be read.
    """
    from skimage.measure import block_reduce

    if opened.field is None:
        return
    scene = opened.scene
    ends = opened.value_range or range_of_type(scene.dtype)
    means = []
    for window in _windows(scene):
        pixels, valid = scene.read(window)
        there = block_reduce(valid, (_SQUARE, _SQUARE), np.min)
        means.append(block_reduce(pixels, (1, _SQUARE, _SQUARE), np.mean)[:, there])
    every = np.concatenate(means, axis=1)
    if not every.size:
        return
    least, most = np.percentile(every, _MIDDLE, axis=1)
    if (most - least).max() <= _FLAT * (ends[1] - ends[0]):
        values = ", ".join(f"{value:.4g}" for value in np.median(every, axis=1))
        raise DataError(
            f"{scene.name}: shows no eye: all of its field of view is about {values} (of "
            f"{ends[0]:g} to {ends[1]:g}), as if the cap was on or the flash failed; leave it out"
        )


def _what_of_these(scene: Scene, seen: SeenValues, ends: ValueRange) -> str:
    """What becomes of values outside the range, and what to do."""
    if seen.lowest >= ends[0]:
        return "they count as the nearer end"
    return (
        "those far below count as missing, others as the nearer end; if some stand for missing "
        f"pixels, declare them, e.g. rio edit-info --nodata {seen.lowest:.6g} "
        f"{shlex.quote(scene.name)}"
    )


def _seen(scene: Scene, value_range: ValueRange | None) -> SeenValues:
    ends = value_range or range_of_type(scene.dtype)
    may_leave = may_leave_range(scene.dtype, value_range)
    pixels, outside, lowest, highest, some = 0, 0, np.inf, -np.inf, []
    for values in _there(scene):
        count = values.shape[1]
        pixels += count
        lowest, highest = min(lowest, values.min()), max(highest, values.max())
        if may_leave:
            outside += int(((values < ends[0]) | (values > ends[1])).any(axis=0).sum())
        some.append(values[:, :: -(-count // _MOST_VALUES)].astype(np.float32).ravel())
    kept = np.concatenate(some) if some else np.empty(0, np.float32)
    return SeenValues(pixels, outside, float(lowest), float(highest), kept)


def _there(scene: Scene) -> Iterator[Pixels]:
    """Pixels [bands, n] that are there, window by window; none is empty."""
    for window in _windows(scene):
        read: tuple[Pixels, Valid] = scene.read(window)
        values = read[0][:, read[1]]
        if values.size:
            yield values


def _windows(scene: Scene) -> Iterator[Window]:
    if scene.height * scene.width <= _WHOLE:
        return split(scene.height, scene.width, _SIDE * _WINDOWS)
    return spread(scene.height, scene.width, _SIDE, _WINDOWS)


def _likely_ends(file: FileScene, seen: SeenValues) -> str:
    """The range that the values seem to have, as an option takes it."""
    scale, offset = file.scales[0]
    if (scale, offset) != (1, 0) and scale > 0:
        # Where scaled values are 0 and 1; a 0 has no minus before it.
        return f"{0.0 - offset / scale:g},{(1 - offset) / scale:g}"
    low, high = np.percentile(seen.some, ROBUST)
    top = 2**file.bits - 1 if file.bits else next((end for end in _ENDS if end >= high), high)
    return f"{0 if low >= 0 else -top:g},{top:g}"
