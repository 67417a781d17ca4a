"""The regions of a mask of any size as polygons, the same wherever it is cut."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import rasterio.features
from affine import Affine
from numpy.typing import NDArray

from tiling.window import Window, split_near

Geometries = NDArray[Any]
"""shapely's [n]."""

Read = Callable[[Window], NDArray[np.bool_]]
"""Reads a window of the mask [h, w]."""


def polygons_of(
    height: int,
    width: int,
    read: Read,
    at_once: int = 2048,
    areas: Sequence[Window] | None = None,
) -> Geometries:
    """The regions of a mask, along the edges of its pixels.

    Pixels of a region touch at sides. Those of regions that cross windows are kept until the end.

    Args:
        height: Rows of the mask.
        width: Columns.
        read: Reads it.
        at_once: Side of the windows that are read; the result does not depend on it.
        areas: There is nothing outside of these; None where there may be anywhere.

    Returns:
        Polygons whose x are columns and whose y are rows, sorted by place.
    """
    import shapely

    whole, cut = [], []
    for window in split_near(height, width, at_once, areas or [Window(0, 0, height, width)]):
        of_window = _of_window(window, read(window))
        bounds = shapely.bounds(of_window)
        crosses = (
            ((bounds[:, 0] <= window.column) & (window.column > 0))
            | ((bounds[:, 1] <= window.row) & (window.row > 0))
            | ((bounds[:, 2] >= window.right) & (window.right < width))
            | ((bounds[:, 3] >= window.bottom) & (window.bottom < height))
        )
        whole.append(of_window[~crosses])
        cut.append(of_window[crosses])
    pieces = np.concatenate(cut) if cut else np.zeros(0, object)
    joined = shapely.get_parts(shapely.union_all(pieces)) if len(pieces) else pieces
    found = shapely.normalize(_without_passed_corners(np.concatenate([*whole, joined])))
    bounds = shapely.bounds(found)
    order = np.lexsort((shapely.area(found), bounds[:, 2], bounds[:, 0], bounds[:, 1]))
    sorted_by_place: Geometries = found[order]
    return sorted_by_place


def _of_window(window: Window, mask: NDArray[np.bool_]) -> Geometries:
    import shapely

    shapes = rasterio.features.shapes(
        mask.astype(np.uint8), mask, connectivity=4,
        transform=Affine.translation(window.column, window.row),
    )  # fmt: skip
    found = []
    for of, _ in shapes:
        # As arrays: much faster than lists of pairs.
        ring, *holes = (shapely.linearrings(np.array(corners)) for corners in of["coordinates"])
        found.append(shapely.polygons(ring, holes or None))
    made = np.array(found, object)
    # Overlaid alone, rings that touch themselves come out as they do where pieces are joined.
    return shapely.get_parts(shapely.union_all(made[:, None], axis=1)) if found else made


def _without_passed_corners(geometries: Geometries) -> Geometries:
    """Without the corners in the middle of straight sides, where windows met."""
    import shapely

    simple: Geometries = shapely.simplify(shapely.normalize(geometries), 0, preserve_topology=False)
    return simple
