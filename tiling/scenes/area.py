"""An area of interest: polygons of a GeoJSON file, outside of which a scene has no pixels."""

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform

from tiling.errors import OutsideError, SceneError
from tiling.scenes.scene import Pixels, Scene, Valid, WrappedScene, first_line
from tiling.window import Window, split

WGS84 = CRS.from_epsg(4326)
"""Longitude and latitude: what GeoJSON is in by its standard (RFC 7946)."""

_AT_ONCE = 1024
"""Side in pixels of the windows in which a first pixel inside is looked for."""

_SHOWN = 200
"""Characters of a file that an error shows."""

Ring = NDArray[np.float64]
"""Corners [n, 2], x and y, the last being the first again."""


@dataclass(frozen=True, eq=False)
class Area:
    """Polygons in the pixel coordinates of one scene, where pixel 0, 0 reaches from 0, 0 to 1, 1.

    Attributes:
        edges: Sides of all rings [n, 4]: x and y of the start, x and y of the end. Outer rings
            turn one way and holes the other: the edges crossed from the left to a point, counted
            as +1 or -1 by direction, add up to the number of polygons around the point.
    """

    edges: NDArray[np.float64]

    def inside(self, window: Window) -> Valid:
        """Which pixels of a window have their centre inside [h, w].

        This is computed in the scene's own coordinates, so that a pixel has the same answer in
        any window. (GDAL's rasterising works in the window's coordinates.)
        """
        x1, y1, x2, y2 = self.edges.T
        # An edge crosses the middle of the rows from `first` to before `stop`.
        first = np.ceil(np.minimum(y1, y2) - 0.5).clip(window.row, window.bottom).astype(np.int64)
        stop = np.ceil(np.maximum(y1, y2) - 0.5).clip(window.row, window.bottom).astype(np.int64)
        count = stop - first
        edge = np.repeat(np.arange(count.size), count)
        row = np.arange(edge.size) - np.repeat(count.cumsum() - count, count) + first[edge]
        slope = (x2 - x1)[edge] / (y2 - y1)[edge]
        crossing = x1[edge] + (row + 0.5 - y1[edge]) * slope
        column = np.ceil(crossing - 0.5).clip(window.column, window.right).astype(np.int64)
        around = np.zeros((window.height, window.width + 1), np.int32)
        sense = np.where(y2 > y1, 1, -1)[edge]
        np.add.at(around, (row - window.row, column - window.column), sense)
        inside: Valid = around.cumsum(axis=1)[:, :-1] != 0
        return inside


class AreaScene(WrappedScene):
    """A scene that has pixels in an area only; windows outside of it are not read.

    Args:
        scene: The scene that is cut.
        area: The area, in the scene's pixel coordinates, as `read_area` returns it.
    """

    def __init__(self, scene: Scene, area: Area) -> None:
        super().__init__(scene)
        self.area = area

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`."""
        inside = self.area.inside(window)
        if not inside.any():
            return np.zeros((self.bands, window.height, window.width), self.dtype), inside
        pixels, valid = self.scene.read(window)
        return pixels, valid & inside


def read_area(path: str | Path, scene: Scene) -> Area:
    """Reads the polygons of a GeoJSON file as an area of a scene.

    Args:
        path: GeoJSON of polygons, in longitude and latitude, or in the CRS of its member "crs".
        scene: The scene whose pixel coordinates are wanted.

    Raises:
        SceneError: The file is missing, is no GeoJSON or has no polygon, or the scene has no
            coordinate reference system.
        OutsideError: No polygon meets the scene.
    """
    if scene.crs is None:
        raise SceneError(
            f"{scene.name}: has no coordinate reference system, so {path} cannot be placed on it; "
            f"give it one, e.g. rio edit-info --crs EPSG:... {shlex.quote(scene.name)}, or leave "
            "the area out"
        )
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise SceneError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise _no_geojson(path, error) from error
    try:
        member = content.get("crs")
        polygons = list(_polygons(content))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _no_geojson(path, error) from error
    if not polygons:
        raise SceneError(f"{path}: has no polygon; give a Polygon or MultiPolygon")
    crs = _crs(path, member)
    edges = [
        ring_edges(_in_pixels(path, ring, crs, scene), hole=place > 0)
        for polygon in polygons
        for place, ring in enumerate(polygon)
    ]
    area = Area(np.concatenate(edges))
    left, top = area.edges.min(axis=0)[:2]
    right, bottom = area.edges.max(axis=0)[:2]
    if right <= 0 or bottom <= 0 or left >= scene.width or top >= scene.height:
        raise OutsideError(
            f"{path}: lies outside {scene.name}; check that it belongs to this scene, and that "
            "its coordinates are longitude and latitude"
        )
    # The box around towns on all sides holds a scene between them, too.
    if not any(_has_pixels(area, ring, scene) for ring in edges):
        raise OutsideError(
            f"{path}: lies beside {scene.name}, or between the middles of its pixels, so none is "
            "inside; check that it belongs to this scene"
        )
    return area


def _has_pixels(area: Area, ring: NDArray[np.float64], scene: Scene) -> bool:
    """Whether an area holds a pixel of a scene in the box around a ring, edges [n, 4]."""
    ends = np.array([[scene.width, scene.height]])
    corners = ring.reshape(-1, 2)
    left, top = np.floor(corners.min(axis=0, keepdims=True)).clip(0, ends)[0].astype(int)
    right, bottom = np.ceil(corners.max(axis=0, keepdims=True)).clip(0, ends)[0].astype(int)
    return any(
        area.inside(Window(int(top) + one.row, int(left) + one.column, one.height, one.width)).any()
        for one in split(int(bottom - top), int(right - left), _AT_ONCE)
    )


def _no_geojson(path: str | Path, error: Exception) -> SceneError:
    program = (
        "from pyogrio.raw import read, write; "
        f"about, _, shapes, _ = read({json.dumps(str(path))}, columns=[]); "
        'write("area.geojson", shapes, [], [], crs=about["crs"], '
        'geometry_type=about["geometry_type"])'
    )
    return SceneError(
        f"{path}: is no GeoJSON ({first_line(error)}); export the polygons as GeoJSON, as this "
        f"does for a file of vectors: python -c {shlex.quote(program)}"
    )


def _crs(path: str | Path, member: Any) -> CRS:
    """The CRS of the coordinates: WGS84, unless an older file names another.

    Raises:
        SceneError: It names none that is known.
    """
    if member is None:
        return WGS84
    try:
        return CRS.from_user_input(member["properties"]["name"])
    except (RasterioError, CPLE_BaseError, KeyError, TypeError, ValueError) as error:
        raise SceneError(
            f'{path}: its member "crs" names no coordinate reference system that is known '
            f"({json.dumps(member)[:_SHOWN]}); "
            'give one as in {"type": "name", "properties": {"name": "EPSG:25832"}}, or save the '
            "polygons in longitude and latitude, without this member"
        ) from error


def _polygons(content: Any) -> Iterator[list[Ring]]:
    """The rings of each polygon, the outer one first."""
    match content["type"]:
        case "FeatureCollection":
            for feature in content["features"]:
                yield from _polygons(feature)
        case "Feature":
            if content["geometry"] is not None:
                yield from _polygons(content["geometry"])
        case "GeometryCollection":
            for geometry in content["geometries"]:
                yield from _polygons(geometry)
        case "Polygon":
            yield from _rings([content["coordinates"]])
        case "MultiPolygon":
            yield from _rings(content["coordinates"])
        case "Point" | "MultiPoint" | "LineString" | "MultiLineString":
            return
        case other:
            raise ValueError(f"there is no type {other}")


def _rings(polygons: Iterable[Any]) -> Iterator[list[Ring]]:
    for polygon in polygons:
        if polygon:
            yield [_ring(positions) for positions in polygon]


def _ring(positions: Sequence[Any]) -> Ring:
    if len(positions) < 3:
        raise ValueError("a ring has fewer than three corners")
    closed = [*positions, positions[0]]
    return np.array([[x, y] for x, y, *_ in closed], np.float64)


def _in_pixels(path: str | Path, ring: Ring, crs: CRS, scene: Scene) -> Ring:
    """A ring's corners in pixels of the scene."""
    try:
        x, y = (np.array(values) for values in transform(crs, scene.crs, *ring.T))
    except (RasterioError, CPLE_BaseError) as error:
        raise _not_placed(path, scene, first_line(error)) from error
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise _not_placed(path, scene, "a corner lies nowhere in it")
    to_pixels = ~scene.transform
    return np.stack(
        [
            to_pixels.a * x + to_pixels.b * y + to_pixels.c,
            to_pixels.d * x + to_pixels.e * y + to_pixels.f,
        ],
        axis=1,
    )


def _not_placed(path: str | Path, scene: Scene, why: str) -> SceneError:
    return SceneError(
        f"{path}: cannot be placed in the coordinates of {scene.name} ({why}); "
        "check that it is in longitude and latitude, and cut it to the scene's surroundings"
    )


def ring_edges(ring: Ring, *, hole: bool) -> NDArray[np.float64]:
    """Sides [n, 4] of a ring, in the direction of outer rings or of holes."""
    (x1, y1), (x2, y2) = ring[:-1].T, ring[1:].T
    if (float(np.sum(x1 * y2 - x2 * y1)) > 0) == hole:
        ring = ring[::-1]
    return np.concatenate([ring[:-1], ring[1:]], axis=1)
