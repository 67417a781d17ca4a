"""Where a prediction and a label disagree: regions that were missed, and false alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from shapely import STRtree
from shapely.geometry import MultiPolygon, shape
from shapely.geometry.base import BaseGeometry

from pipelines.scores.relaxed import Disc
from tiling.window import Window

Kind = Literal["miss", "false alarm"]

MOST = 1000
"""Regions of each kind that are kept of a scene: the largest."""


_NEIGHBOURS = np.ones((3, 3), np.intp)


@dataclass(frozen=True)
class ErrorRegion:
    """Touching pixels that were missed, or are false alarms.

    Attributes:
        kind: Which of the two.
        pixels: How many there are.
        outline: Around them, in pixels of the scene: x is a column, y a row.
    """

    kind: Kind
    pixels: int
    outline: MultiPolygon


class ErrorRegions:
    """Finds the regions of a scene, window by window.

    As in relaxed scores, what lies within `disc` of what it should be is no error: else every road
    would have one along each edge.

    Args:
        disc: What is near.
    """

    def __init__(self, disc: Disc) -> None:
        self._disc = disc
        self._whole: dict[Kind, list[BaseGeometry]] = {"miss": [], "false alarm": []}
        self._cut: dict[Kind, list[BaseGeometry]] = {"miss": [], "false alarm": []}

    def add(
        self,
        predicted: NDArray[np.bool_],
        labelled: NDArray[np.bool_],
        counted: NDArray[np.bool_],
        window: Window,
        around: Window,
    ) -> None:
        """Finds those of a window.

        Args:
            predicted: Foreground of the prediction [h, w] of `around`.
            labelled: Foreground of the label [h, w].
            counted: Pixels that count [h, w].
            window: Whose regions are found.
            around: The same, grown by the disc's margin and cut off at the scene's border.
        """
        inside = window.slices(around)
        predicted, labelled = predicted & counted, labelled & counted
        pairs: Sequence[tuple[Kind, NDArray[np.bool_], NDArray[np.bool_]]] = (
            ("miss", labelled, predicted),
            ("false alarm", predicted, labelled),
        )
        for kind, wanted, other in pairs:
            if not wanted[inside].any():
                continue
            near = self._disc.highest(other.astype(np.uint8)) > 0
            self._add(kind, (wanted & ~near)[inside], window)

    def _add(self, kind: Kind, wrong: NDArray[np.bool_], window: Window) -> None:
        regions, count = scipy.ndimage.label(wrong, _NEIGHBOURS)
        if not count:
            return
        pieces: list[list[BaseGeometry]] = [[] for _ in range(count)]
        # Outlines of pixels that touch at corners are not valid: each piece has its own.
        for outline, value in shapes(regions.astype(np.int32), mask=wrong, connectivity=4):
            pieces[int(value) - 1].append(shape(outline))
        edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
        for number, parts in enumerate(pieces, start=1):
            placed = shapely.transform(
                MultiPolygon(parts), lambda points: points + (window.column, window.row)
            )
            (self._cut if number in edge else self._whole)[kind].append(placed)
        self._whole[kind] = _largest(self._whole[kind])

    def found(self) -> list[ErrorRegion]:
        """The regions of all windows, the largest first."""
        every = []
        for kind, whole in self._whole.items():
            for outline in _largest([*whole, *_joined(self._cut[kind])]):
                parts = MultiPolygon(list(shapely.get_parts(outline)))
                every.append(ErrorRegion(kind, round(outline.area), parts))
        return sorted(every, key=lambda region: (-region.pixels, region.outline.bounds))


def _joined(cut: Sequence[BaseGeometry]) -> list[BaseGeometry]:
    """Regions that the borders of windows cut, whole again: those that touch are one."""
    if not cut:
        return []
    one, other = STRtree(cut).query(cut, predicate="intersects")
    links = scipy.sparse.csr_array((np.ones(one.size), (one, other)), (len(cut), len(cut)))
    _, group = scipy.sparse.csgraph.connected_components(links, directed=False)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order])) + 1
    return [_as_one([cut[index] for index in of]) for of in np.split(order, starts)]


def _as_one(members: Sequence[BaseGeometry]) -> BaseGeometry:
    """Regions of windows that are one; those of one window do not share a side already.

    Only pieces that touch those of another window are united: a region may have tens of thousands
    that touch at corners, as in a chequered mask, and then all of them take minutes.
    """
    if len(members) == 1:
        return members[0]
    pieces, owner = shapely.get_parts(members, return_index=True)
    one, other = STRtree(pieces).query(pieces, predicate="intersects")
    meets = np.zeros(len(pieces), bool)
    meets[one[owner[one] != owner[other]]] = True
    united = shapely.get_parts(shapely.union_all(pieces[meets]))
    return MultiPolygon([*pieces[~meets], *united])


def _largest(outlines: list[BaseGeometry]) -> list[BaseGeometry]:
    return sorted(outlines, key=lambda one: (-one.area, one.bounds))[:MOST]
