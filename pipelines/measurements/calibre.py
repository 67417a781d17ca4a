"""How wide a mask is across its centre lines."""

import numpy as np
import scipy
from numpy.typing import NDArray

from pipelines.measurements.centre_lines import CentreLines, Values, radius_at

_STEP = 0.25
"""Distance of the points at which a mask is looked up, in pixels."""


_AT_ONCE = 4_000_000
"""Points that are looked up at once."""


def calibres(mask: NDArray[np.bool_], found: CentreLines) -> list[Values]:
    """The width of a mask across each point of each of its centre lines.

    It is measured from edge to edge on the line's normal. The edge is where the mask, interpolated
    between the centres of its pixels, is one half. Points that are not clear have no width: the
    edges there are those of other lines, or of an end.

    Args:
        mask: True on the foreground [h, w].
        found: Its centre lines.

    Returns:
        For each line [n], in pixels; nan where there is no width.
    """
    if not found.lines:
        return []
    points = np.concatenate([line.points for line in found.lines])
    normals = np.concatenate([line.tangents for line in found.lines])[:, ::-1] * (1, -1)
    radius = radius_at(found.radius, points)
    wide = np.full(len(points), np.nan)
    reach = 1.5 * float(radius.max(initial=0)) + 2
    offsets = np.arange(0, reach + _STEP, _STEP)
    chunk = max(1, _AT_ONCE // offsets.size)
    # One more pixel of background, so that what is cut by the border has an edge there.
    values = np.pad(mask, 1).astype(np.float32)
    for begin in range(0, len(points), chunk):
        some = slice(begin, begin + chunk)
        wide[some] = sum(
            _edge(values, points[some] + 1, side * normals[some], offsets) for side in (1, -1)
        )
    wide[wide > 3 * radius + 2] = np.nan  # Along another line.
    ends = np.cumsum([len(line.points) for line in found.lines])[:-1]
    return [
        np.where(line.clear, of_line, np.nan)
        for line, of_line in zip(found.lines, np.split(wide, ends), strict=True)
    ]


def _edge(values: NDArray[np.float32], points: Values, normals: Values, offsets: Values) -> Values:
    """How far the edge is from each point [n]; nan where there is none in reach."""
    places = points[:, :, None] + normals[:, :, None] * offsets
    inside = scipy.ndimage.map_coordinates(
        values, np.moveaxis(places, 1, 0), order=1, mode="constant"
    )
    outside = inside < 0.5
    first = outside.argmax(axis=1)
    there = outside.any(axis=1) & (first > 0)
    row = np.flatnonzero(there)
    after, before = inside[row, first[row]], inside[row, first[row] - 1]
    found = np.full(len(points), np.nan)
    found[row] = offsets[first[row] - 1] + _STEP * (before - 0.5) / (before - after)
    return found
