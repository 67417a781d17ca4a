"""What lines, nodes and polygons are made of: geometries in the scene's CRS, and columns."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from pipelines.lines.rules import Rules
from tiling.blend import TOP
from tiling.lines.network import FIRST_STEP, LEVEL, PIXEL, SIXTEENTHS, WIDTH, Edge, Network
from tiling.lines.smoothing import Points, line_of
from tiling.lines.tracing import MISSING, Cell, Path, Values
from tiling.scenes.ground import PixelSize

_ID_DIGITS = 16

_DIGITS = 3

_DIRECTION = 12
"""Cells before and after a cell that tell where its line goes."""


@dataclass(frozen=True)
class Layer:
    """Features of one kind.

    Attributes:
        name: "lines", "nodes" or "polygons".
        kind: Name of their geometry: "LineString", ...
        geometries: In the CRS of the scene [n], shapely's.
        columns: By name, each of n values.
    """

    name: str
    kind: str
    geometries: NDArray[Any]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a scene lies, and what its lengths are measured in.

    Attributes:
        scene: Its name.
        transform: From columns and rows to coordinates.
        rules: They have the size of its pixels.
        unit: "m", or "px" where nothing tells the size of pixels.
    """

    scene: str
    transform: Affine
    rules: Rules
    unit: str

    def coordinates(self, points: Points) -> Points:
        """Rows and columns in pixels [n, 2] as x and y [n, 2]."""
        row, column = points.T
        t = self.transform
        if t.is_identity:
            # As GIS programs show an image without coordinates: below the x axis.
            return np.column_stack([column, -row])
        return np.column_stack([t.a * column + t.b * row + t.c, t.d * column + t.e * row + t.f])


def layers_of(network: Network, place: Place, threshold: int) -> list[Layer]:
    """The lines and the nodes of a network, sorted by where they begin.

    Args:
        network: Clean.
        place: Where its scene lies.
        threshold: The lowest level that is in the mask: of the step at which a line appeared.
    """
    import shapely

    node_ids, node_points = {}, []
    order = sorted(network.nodes)
    for cell in order:
        node = network.nodes[cell]
        point = place.coordinates(np.array([[node.row, node.column]]))
        node_points.append(point[0])
        node_ids[cell] = _id(place.scene, "node", point)
    nodes = Layer(
        "nodes", "Point", shapely.points(np.array(node_points).reshape(-1, 2)),
        {
            "id": [node_ids[cell] for cell in order],
            "scene": [place.scene] * len(order),
            "degree": [network.degree(cell) for cell in order],
        },
    )  # fmt: skip
    lines, rows = [], []
    for edge in network.edges.values():
        points = line_of(network, edge, _metres(place), place.rules.tolerance)
        coordinates = place.coordinates(points)
        lines.append(shapely.linestrings(coordinates))
        rows.append(
            {"id": _id(place.scene, "line", coordinates), "scene": place.scene}
            | _ends(edge, node_ids)
            | _measured(edge, points, place)
            | _step(edge.values, threshold)
        )
    names = rows[0] if rows else _column_names(place.unit)
    columns = {name: [row[name] for row in rows] for name in names}
    geometries = np.array(lines, object)
    return [Layer("lines", "LineString", geometries, columns), nodes]


def with_polygons(geometries: NDArray[Any], place: Place) -> Layer:
    """The layer of a mask's regions.

    Args:
        geometries: Polygons in columns and rows [n].
        place: Where the scene lies.
    """
    import shapely

    size = place.rules.pixel
    areas = shapely.area(geometries) * size.height * size.width
    moved = shapely.transform(geometries, lambda xy: place.coordinates(xy[:, ::-1]))
    ids = [
        _id(place.scene, "polygon", shapely.get_coordinates(shapely.get_exterior_ring(one)))
        for one in moved
    ]
    return Layer(
        "polygons", "Polygon", moved,
        {
            "id": ids,
            "scene": [place.scene] * len(ids),
            f"area_{place.unit}2": [round(float(area), _DIGITS) for area in areas],
        },
    )  # fmt: skip


def _metres(place: Place) -> tuple[float, float]:
    return place.rules.pixel.height, place.rules.pixel.width


def _ends(edge: Edge, node_ids: Mapping[Cell, str]) -> dict[str, str]:
    return {"from_node": node_ids[edge.start], "to_node": node_ids[edge.end]}


def _measured(edge: Edge, points: Points, place: Place) -> dict[str, float | None]:
    """Length, widths, probabilities and bridges of a line."""
    unit, size = place.unit, place.rules.pixel
    steps = np.diff(points * _metres(place), axis=0)
    widths = edge.values[:, WIDTH]
    inner = _away_from_ends(widths)
    across = (widths * _across(edge.path, size))[inner][widths[inner] != MISSING] / SIXTEENTHS
    level = edge.values[:, LEVEL]
    return {
        f"length_{unit}": round(float(np.hypot(*steps.T).sum()), _DIGITS),
        f"width_mean_{unit}": round(float(across.mean()), _DIGITS) if across.size else None,
        f"width_least_{unit}": round(float(across.min()), _DIGITS) if across.size else None,
        "probability_mean": _known(level, np.mean),
        "probability_lowest": _known(level, np.min),
        f"bridged_{unit}": round(_bridged(edge, size), _DIGITS),
    }


def _away_from_ends(widths: Values) -> slice:
    """The cells without those near both ends, where lines taper off or meet others."""
    known = widths[widths != MISSING]
    near = round(float(known.mean()) / SIXTEENTHS) if known.size else 0
    inner = slice(near, max(near, widths.size - near))
    return inner if (widths[inner] != MISSING).any() else slice(None)


def _across(path: Path, size: PixelSize) -> NDArray[np.float64]:
    """Metres on the ground of a pixel across a line, at each of its cells [n].

    A strip of a mask keeps its area: what is longer along the line is narrower across it.
    """
    if size.square or len(path) < 2:
        return np.full(len(path), size.side)
    at = np.arange(len(path))
    last = len(path) - 1
    along = path[np.minimum(at + _DIRECTION, last)] - path[np.maximum(at - _DIRECTION, 0)]
    in_pixels = np.hypot(*along.T.astype(float))
    on_ground = np.hypot(*(along * (size.height, size.width)).T)
    # Around a tiny ring both places are one.
    ratio = np.divide(
        in_pixels, on_ground, out=np.full(len(path), 1 / size.side), where=on_ground > 0
    )
    across: NDArray[np.float64] = size.height * size.width * ratio
    return across


def _bridged(edge: Edge, size: PixelSize) -> float:
    """Length of the path where there is no mask, on the ground."""
    steps = np.hypot(*(np.diff(edge.path, axis=0) * (size.height, size.width)).T) / PIXEL
    over = edge.values[:, WIDTH] == MISSING
    return float(steps[over[1:] | over[:-1]].sum())


def _known(levels: Values, of: Callable[[NDArray[np.int64]], Any]) -> float | None:
    known = levels[levels != MISSING].astype(np.int64)
    return round(float(of(known)) / TOP, _DIGITS) if known.size else None


def _step(values: Values, threshold: int) -> dict[str, int | None]:
    """The first recurrent step from which on the line's mean probability is in the mask."""
    if values.shape[1] <= FIRST_STEP:
        return {}
    means = [
        float(known.mean()) if (known := of_step[of_step != MISSING]).size else 0.0
        for of_step in values[:, FIRST_STEP:].T
    ]
    below = [number for number, mean in enumerate(means, 1) if mean < threshold]
    first = max(below, default=0) + 1
    return {"step": first if first <= len(means) else None}


def _column_names(unit: str) -> list[str]:
    return [
        "id", "scene", "from_node", "to_node", f"length_{unit}", f"width_mean_{unit}",
        f"width_least_{unit}", "probability_mean", "probability_lowest", f"bridged_{unit}",
    ]  # fmt: skip


def _id(scene: str, kind: str, coordinates: Points) -> str:
    """A name that a feature's place gives it: the same in every run."""
    rounded = np.round(coordinates, 6) + 0.0
    text = f"{scene} {kind} ".encode() + rounded.astype("<f8").tobytes()
    return hashlib.sha256(text).hexdigest()[:_ID_DIGITS]
