"""What is measured of the vessels of a fundus. Definitions and sources: docs/measurements.md."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import degrees, nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.measurements.calibre import calibres
from pipelines.measurements.centre_lines import (
    CentreLine,
    CentreLines,
    Points,
    Values,
    centre_lines,
    radius_at,
)
from pipelines.measurements.fractal import box_dimension
from pipelines.measurements.zones import ZONES, Disc
from tiling.blend import NODATA

NO_DIAGNOSIS = "Not a diagnosis: measured on a computed mask, for research only."


_TOLERANCE = 1 / 1800
"""How far smooth lines may lie from the pixels, in diameters of the field."""


_LEAST_TOLERANCE = 0.5
"""The same in pixels."""


_AHEAD = 1 / 50
"""Length over which a vessel's direction at a bifurcation is taken, in diameters."""


_LEAST_AHEAD = 10.0
"""The same in pixels."""


_LEFT = 2.0
"""Radii from a bifurcation at which its vessels have left it."""


_LOOP = 3.0
"""A segment so many times as long as the way between its ends is a loop, and not tortuous."""


@dataclass(frozen=True)
class Segment:
    """A vessel between two nodes; lengths in pixels. Numbers are nan where they are undefined.

    Attributes:
        start: Number of the node that it begins at.
        end: Of the node that it ends at.
        length: Along its centre line.
        calibre: Mean width.
        calibre_sd: Standard deviation of the width along it.
        arc_chord: Length over the distance of its ends, 1 to 3; nan of loops.
        turning: Radians per pixel.
        row: Of its middle.
        column: Of its middle.
    """

    start: int
    end: int
    length: float
    calibre: float
    calibre_sd: float
    arc_chord: float
    turning: float
    row: float
    column: float


NodeKind = Literal["end", "joint", "bifurcation", "crossing"]

_KINDS: Mapping[int, NodeKind] = {1: "end", 2: "joint", 3: "bifurcation"}
"""By the number of segments; of more it is a crossing."""


@dataclass(frozen=True)
class Node:
    """Where vessels end or meet.

    Attributes:
        kind: An end has one segment, a bifurcation three, a crossing more; a ring has a joint.
        row: Of its place.
        column: Of its place.
        angle: Between the two thinner vessels of a bifurcation, in degrees; else nan.
    """

    kind: NodeKind
    row: float
    column: float
    angle: float


@dataclass(frozen=True)
class Stretch:
    """What is measured of some of the vessels, all of them or those in a zone.

    Attributes:
        area: Pixels of the field of view.
        density: Share of them that is vessel.
        length: Of all centre lines, in pixels.
        calibre: Mean over the centre lines, in pixels.
        calibre_sd: Standard deviation of it.
    """

    area: int
    density: float
    length: float
    calibre: float
    calibre_sd: float


@dataclass(frozen=True)
class VesselTree:
    """The vessels of an image.

    Attributes:
        diameter: Of the field of view, in pixels.
        whole: Of all vessels.
        arc_chord: Mean over segments, weighted by length.
        turning: Radians per pixel: mean over segments, weighted by length.
        dimension: Box-counting dimension of the centre lines.
        segments: Between nodes.
        nodes: A segment has their places in this list.
        zones: By name; empty where the disc's place is not known.
    """

    diameter: float
    whole: Stretch
    arc_chord: float
    turning: float
    dimension: float
    segments: Sequence[Segment]
    nodes: Sequence[Node]
    zones: dict[str, Stretch]

    def count(self, kind: str) -> int:
        """How many nodes are of a kind."""
        return sum(node.kind == kind for node in self.nodes)

    @property
    def angle(self) -> float:
        """Mean angle of the bifurcations, in degrees."""
        return _mean([node.angle for node in self.nodes])


def vessel_tree(levels: NDArray[np.uint8], diameter: float, disc: Disc | None = None) -> VesselTree:
    """Measures the vessels of an image.

    Args:
        levels: 0 background, 255 outside the field of view, all else vessel [h, w].
        diameter: Of the field of view, in pixels.
        disc: The optic disc, where its place is known.
    """
    field = levels != NODATA
    mask = field & (levels > 0)
    found = centre_lines(mask, max(_LEAST_TOLERANCE, _TOLERANCE * diameter))
    widths = calibres(mask, found)
    segments = [_segment(*pair) for pair in zip(found.lines, widths, strict=True)]
    nodes = _nodes(found, segments, max(_LEAST_AHEAD, _AHEAD * diameter))
    lengths = np.array([one.length for one in segments])
    everywhere = np.ones(sum(len(line.points) for line in found.lines), bool)
    zones = {}
    if disc is not None:
        places = np.concatenate([np.empty((0, 2)), *(line.points for line in found.lines)])
        grid = np.ogrid[: mask.shape[0], : mask.shape[1]]
        for name in ZONES:
            inside = disc.zone(name, *grid) & field
            zones[name] = _stretch(inside, mask, found, widths, disc.zone(name, *places.T))
    return VesselTree(
        diameter=diameter,
        whole=_stretch(field, mask, found, widths, everywhere),
        arc_chord=_mean([one.arc_chord for one in segments], lengths),
        turning=_mean([one.turning for one in segments], lengths),
        dimension=box_dimension(_drawn(found, mask.shape), diameter),
        segments=segments,
        nodes=nodes,
        zones=zones,
    )


def _segment(line: CentreLine, widths: Values) -> Segment:
    row, column = line.points[len(line.points) // 2]
    return Segment(
        start=line.start,
        end=line.end,
        length=line.length,
        calibre=_mean(widths),
        calibre_sd=_deviation(widths),
        arc_chord=line.length / line.chord if line.length < _LOOP * line.chord else nan,
        turning=line.turning,
        row=float(row),
        column=float(column),
    )


def _stretch(
    field: NDArray[np.bool_],
    mask: NDArray[np.bool_],
    found: CentreLines,
    widths: Sequence[Values],
    inside: NDArray[np.bool_],
) -> Stretch:
    """Of a part of the field [h, w]; `inside` says which points of the lines lie in it."""
    # Each point stands for half of the way to its neighbours.
    pieces = [np.gradient(line.along) for line in found.lines]
    every, weights = (np.concatenate([np.empty(0), *values]) for values in (widths, pieces))
    area = int(field.sum())
    return Stretch(
        area=area,
        density=float(mask[field].mean()) if area else nan,
        length=float(weights[inside].sum()),
        calibre=_mean(every[inside], weights[inside]),
        calibre_sd=_deviation(every[inside]),
    )


def _nodes(found: CentreLines, segments: Sequence[Segment], ahead: float) -> list[Node]:
    ways: list[list[tuple[float, Points]]] = [[] for _ in found.nodes]
    for line, segment in zip(found.lines, segments, strict=True):
        ways[line.start].append((segment.calibre, line.points))
        ways[line.end].append((segment.calibre, line.points[::-1]))
    nodes = []
    for place, of_node in zip(found.nodes, ways, strict=True):
        row, column = place
        near = _LEFT * radius_at(found.radius, place[None])[0]
        angle = _angle(of_node, near, near + ahead) if len(of_node) == 3 else nan
        kind = _KINDS.get(len(of_node), "crossing")
        nodes.append(Node(kind, float(row), float(column), angle))
    return nodes


def _angle(ways: Sequence[tuple[float, Points]], near: float, far: float) -> float:
    """The angle in degrees between the two thinner of three vessels, where they have left it."""
    # One without a width is too short to be the widest.
    thinner = sorted(ways, key=lambda way: np.nan_to_num(way[0]))[:2]
    one, other = (_direction(points, near, far) for _, points in thinner)
    return degrees(np.arccos(np.clip(one @ other, -1, 1)))


def _direction(points: Points, near: float, far: float) -> Values:
    """The direction, of length 1, between two distances from the first of the points."""
    away = np.hypot(*(points - points[0]).T)
    first, last = (int(np.argmax(away >= reach)) for reach in (near, far))
    first, last = (first, last or len(points) - 1) if away[-1] > near else (0, len(points) - 1)
    along = points[last] - points[first]
    direction: Values = along / max(float(np.hypot(*along)), 1e-9)
    return direction


def _drawn(found: CentreLines, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The centre lines as pixels [h, w]."""
    drawn = np.zeros(shape, bool)
    for line in found.lines:
        drawn[tuple(np.rint(line.points).astype(np.intp).clip(0, np.array(shape) - 1).T)] = True
    return drawn


def _mean(values: Iterable[float], weights: Values | None = None) -> float:
    """The mean of those that are defined; nan of none."""
    every = np.asarray(list(values), np.float64)
    there = np.isfinite(every)
    if not there.any():
        return nan
    return float(np.average(every[there], weights=None if weights is None else weights[there]))


def _deviation(values: Values) -> float:
    there = values[np.isfinite(values)]
    return float(there.std()) if there.size else nan
