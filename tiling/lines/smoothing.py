"""Smooths and simplifies paths of cells, never further off than a tolerance."""

import numpy as np
import scipy
from numpy.typing import NDArray

from tiling.lines.network import PIXEL, Edge, Network

Points = NDArray[np.float64]
"""[n, 2]"""

_SPREAD = 5.0
"""Standard deviation of the smoothing, in points: two or three pixels."""


def smoothed(points: Points, tolerance: float) -> Points:
    """A line with fewer corners, whose ends stay.

    It is smoothed, but no point is moved by more than half of the tolerance; then points are left
    out as long as the line stays within the other half (Douglas and Peucker).

    Args:
        points: Of the line, evenly spaced [n, 2].
        tolerance: In the same unit; 0 leaves out only points on straight lines.
    """
    import shapely

    moved = points
    if len(points) > 2 and tolerance > 0:
        span = min(len(points) - 1, int(4 * _SPREAD))
        # Turned about the ends, so that these stay where they are.
        before = 2 * points[0] - points[span:0:-1]
        after = 2 * points[-1] - points[-2 : -span - 2 : -1]
        whole = np.concatenate([before, points, after])
        soft = scipy.ndimage.gaussian_filter1d(whole, _SPREAD, axis=0, truncate=4)[
            span : span + len(points)
        ]
        off = soft - points
        far = np.hypot(*off.T)
        off *= np.minimum(1, tolerance / 2 / np.maximum(far, 1e-12))[:, None]
        off[[0, -1]] = 0
        moved = points + off
    line = shapely.simplify(shapely.LineString(moved), tolerance / 2, preserve_topology=False)
    simple: Points = shapely.get_coordinates(line)
    return simple


def line_of(network: Network, edge: Edge, metres: tuple[float, float], tolerance: float) -> Points:
    """The line of an edge from node to node, smoothed and simplified.

    Args:
        network: That it is in.
        edge: One of its edges.
        metres: Height and width of a pixel, or 1 and 1 where the tolerance is in pixels.
        tolerance: In metres.

    Returns:
        Rows and columns in pixels, from the scene's upper left corner [n, 2].
    """
    cells = edge.path / PIXEL
    ends = [network.nodes[node] for node in (edge.start, edge.end)]
    first, last = (np.array([[node.row, node.column]]) for node in ends)
    before = first if (first != cells[:1]).any() else first[:0]
    after = last if (last != cells[-1:]).any() else last[:0]
    return smoothed(np.concatenate([before, cells, after]) * metres, tolerance) / metres
