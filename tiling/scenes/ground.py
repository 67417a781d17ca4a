"""The size that a scene's pixels have on the ground, in metres."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, isfinite, radians, sin, sqrt

from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform

from tiling.scenes.scene import Raster

SAME_SCALE = 0.01
"""Scales that differ by less than this share count as one."""

_AT_MOST = 64
"""Pixels that the ground is measured over: one alone may be shorter than projections are exact."""

_AXIS_M = 6_378_137.0
"""Half the larger axis of the WGS84 ellipsoid."""

_FLATTENING = 1 / 298.257223563

_Vector = tuple[float, float]


@dataclass(frozen=True)
class PixelSize:
    """The size of a pixel on the ground.

    Attributes:
        height: Metres from a pixel to the one below it.
        width: Metres from a pixel to the one beside it.
    """

    height: float
    width: float

    @property
    def side(self) -> float:
        """Side of the square that has a pixel's area, in metres."""
        return sqrt(self.height * self.width)

    @property
    def square(self) -> bool:
        """Whether both sides count as one."""
        return _alike(self.height, self.width)

    def agrees(self, other: "PixelSize") -> bool:
        """Whether both sides count as those of another pixel."""
        return _alike(self.height, other.height) and _alike(self.width, other.width)

    def __str__(self) -> str:
        if self.square:
            return f"{self.side:.3g} m"
        return f"{self.height:.3g} m (down) by {self.width:.3g} m (across)"


def pixel_size(raster: Raster, told: float | None = None) -> PixelSize | None:
    """The size of a raster's pixels: as somebody has told it, or measured at the centre.

    They are measured on the ellipsoid: a metre of EPSG:3857 is half a metre on the ground at 60
    degrees of latitude, and a degree has no length of its own. Where a projection's metre is one
    on the ground to within `SAME_SCALE`, as in UTM zones and national grids, it is taken for
    one: such scenes keep the round sizes that their makers gave them.

    Args:
        raster: Whose pixels.
        told: Side of a pixel in metres. It counts whatever the coordinates say.

    Returns:
        The size; None where the raster has no coordinates, or they lie nowhere on the earth.
    """
    if told is not None:
        return PixelSize(told, told)
    place = raster.transform
    if raster.crs is None or place.is_identity:
        return None
    mapped = _size((place.b, place.e), (place.a, place.d))
    if mapped is None:
        return None
    ground = _on_the_ground(raster, raster.crs)
    if not raster.crs.is_projected:
        return ground
    _, metres = raster.crs.linear_units_factor
    projected = PixelSize(mapped.height * metres, mapped.width * metres)
    return projected if ground is None or projected.agrees(ground) else ground


def _on_the_ground(raster: Raster, crs: CRS) -> PixelSize | None:
    """The size on the WGS84 ellipsoid; None where the raster's centre lies nowhere on it."""
    place, height, width = raster.transform, raster.height, raster.width
    # A quarter of a map of the whole earth, which is no way round it.
    rows, columns = (min(_AT_MOST, max(1, length // 4)) for length in (height, width))
    # Above and below, left and right of the centre.
    ends = [
        (height / 2 + down, width / 2 + across)
        for down, across in ((-rows / 2, 0), (rows / 2, 0), (0, -columns / 2), (0, columns / 2))
    ]
    x = [place.a * column + place.b * row + place.c for row, column in ends]
    y = [place.d * column + place.e * row + place.f for row, column in ends]
    try:
        longitudes, latitudes, *_ = transform(crs, CRS.from_epsg(4326), x, y)
    except (RasterioError, CPLE_BaseError):
        return None
    latitude = sum(latitudes) / len(latitudes)
    if not all(map(isfinite, (*longitudes, *latitudes))) or abs(latitude) > 90:
        return None
    down, across = (
        _metres(longitudes[first : first + 2], latitudes[first : first + 2], latitude, apart)
        for first, apart in ((0, rows), (2, columns))
    )
    return _size(down, across)


def _metres(
    longitudes: Sequence[float], latitudes: Sequence[float], latitude: float, apart: int
) -> _Vector:
    """The way to the east and to the north between two points, divided by `apart`."""
    squared = _FLATTENING * (2 - _FLATTENING)
    bent = 1 - squared * sin(radians(latitude)) ** 2
    # Radii of curvature, along the parallel and along the meridian.
    of_parallel = _AXIS_M / sqrt(bent) * cos(radians(latitude))
    of_meridian = _AXIS_M * (1 - squared) / bent**1.5
    # A scene may lie across the 180th meridian.
    east = (longitudes[1] - longitudes[0] + 180) % 360 - 180
    north = latitudes[1] - latitudes[0]
    return of_parallel * radians(east) / apart, of_meridian * radians(north) / apart


def _size(down: _Vector, across: _Vector) -> PixelSize | None:
    """The size of a pixel from its two sides; None where it has no area.

    The sides of what is nearly a square are made equal.
    """
    area = abs(across[0] * down[1] - across[1] * down[0])
    size = PixelSize(hypot(*down), hypot(*across))
    if not isfinite(area) or area == 0:
        return None
    return PixelSize(sqrt(area), sqrt(area)) if size.square else size


def _alike(one: float, other: float) -> bool:
    return abs(one / other - 1) < SAME_SCALE
