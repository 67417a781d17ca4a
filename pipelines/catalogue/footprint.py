"""Where a raster lies in longitude and latitude, as GeoJSON (RFC 7946) has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform as warp

_PER_SIDE = 32
"""Points of a side: a straight side of a projected raster is no straight line in degrees."""

_DIGITS = 7
"""Of degrees: a centimetre."""

_WORLD = 360.0


@dataclass(frozen=True)
class Footprint:
    """The outline of a raster on the ground.

    Attributes:
        geometry: GeoJSON: a polygon, or several where it is cut at the 180th meridian.
        bbox: West, south, east, north in degrees; west is larger than east where it is cut.
    """

    geometry: dict[str, Any]
    bbox: tuple[float, float, float, float]


def footprint_of(crs: CRS | None, transform: Affine, height: int, width: int) -> Footprint | None:
    """The outline of a raster; None where it has no coordinates, or none on the Earth.

    Args:
        crs: Of the coordinates; None where there is none.
        transform: From columns and rows to coordinates.
        height: Rows.
        width: Columns.
    """
    if crs is None or transform.is_identity:
        return None
    columns, rows = _around(height, width)
    x = transform.a * columns + transform.b * rows + transform.c
    y = transform.d * columns + transform.e * rows + transform.f
    try:
        longitude, latitude = map(np.array, warp(crs, CRS.from_epsg(4326), x, y))
    except (RasterioError, CPLE_BaseError):
        return None
    if not (np.isfinite(longitude).all() and np.isfinite(latitude).all()):
        return None
    return _in_degrees(_unwrapped(longitude), latitude.clip(-90, 90), max(height, width))


def box_around(boxes: Sequence[Sequence[float]]) -> list[float]:
    """The box around others: the narrower of the two ways around the Earth.

    Args:
        boxes: Of west, south, east, north, as in `Footprint.bbox`.
    """
    south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
    plain = min(box[0] for box in boxes), max(box[2] for box in boxes)
    crossing = any(box[0] > box[2] for box in boxes)
    # The same with longitudes from 0 to 360.
    turned = [(box[0] % 360, box[2] % 360 or 360.0) for box in boxes]
    west, east = min(one[0] for one in turned), max(one[1] for one in turned)
    whole = any(one[0] >= one[1] for one in turned)
    if not whole and (crossing or east - west < plain[1] - plain[0]):
        return [(west + 180) % 360 - 180, south, (east + 180) % 360 - 180, north]
    if crossing:
        return [-180.0, south, 180.0, north]
    return [plain[0], south, plain[1], north]


def _around(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows of points along the border, the first again at the end."""
    steps = np.linspace(0, 1, _PER_SIDE, endpoint=False)
    zero, one = np.zeros(_PER_SIDE), np.ones(_PER_SIDE)
    columns = np.concatenate([zero, steps, one, 1 - steps, [0.0]]) * width
    rows = np.concatenate([steps, one, 1 - steps, zero, [0.0]]) * height
    return columns, rows


def _unwrapped(longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitudes without jumps from one side of the 180th meridian to the other."""
    jumps = np.round(np.diff(longitude, prepend=longitude[0]) / _WORLD)
    return longitude - _WORLD * np.cumsum(jumps)


def _in_degrees(
    longitude: NDArray[np.float64], latitude: NDArray[np.float64], side: int
) -> Footprint:
    import shapely

    if abs(longitude[-1] - longitude[0]) > _WORLD / 2:
        # The border goes around a pole.
        pole = np.copysign(90.0, latitude.mean())
        longitude = np.append(longitude, [longitude[-1], longitude[0], longitude[0]])
        latitude = np.append(latitude, [pole, pole, latitude[0]])
    ring = shapely.Polygon(np.column_stack([longitude, latitude]))
    west, south, east, north = ring.bounds
    # To less than a pixel: points that tell nothing are left out.
    ring = shapely.make_valid(ring.simplify(max(east - west, north - south) / side / 4))
    first = np.floor((west + _WORLD / 2) / _WORLD) * _WORLD
    pieces = [
        shapely.affinity.translate(
            shapely.intersection(ring, shapely.box(left - 180, -90, left + 180, 90)), -left
        )
        for left in np.arange(first, east + 180, _WORLD)
    ]
    pieces = [piece for piece in pieces if piece.area > 0]
    whole = shapely.orient_polygons(shapely.union_all(pieces))
    bounds = whole.bounds
    if len(pieces) > 1 and bounds[2] - bounds[0] >= _WORLD and east - west < _WORLD:
        bounds = (pieces[0].bounds[0], bounds[1], pieces[-1].bounds[2], bounds[3])
    rounded = shapely.transform(whole, lambda xy: np.round(xy, _DIGITS) + 0.0)
    left, bottom, right, top = (round(float(each), _DIGITS) + 0.0 for each in bounds)
    return Footprint(shapely.geometry.mapping(rounded), (left, bottom, right, top))
