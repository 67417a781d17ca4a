"""Lines and polygons as a scene: 1 on them and 0 elsewhere, on the grid of another raster."""

from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import array_bounds
from rasterio.warp import transform, transform_bounds

from tiling.errors import SceneError
from tiling.readers.sources import check_sources
from tiling.scenes.area import Area, Ring, ring_edges
from tiling.scenes.ground import pixel_size
from tiling.scenes.names import extension_of
from tiling.scenes.scene import BaseFileScene, Pixels, Raster, Valid, first_line
from tiling.window import Window

VECTORS = (".gpkg", ".geojson", ".fgb", ".shp")
"""Extensions of files of vectors that are looked for in folders."""

LESS_USUAL = (".json", ".kml", ".shp.zip", ".osm", ".osm.pbf")
"""Extensions of those that are taken where there is none of `VECTORS`; JSON holds all sorts."""

LINES = "lines"
"""The layer that counts where a file has several: that of the lines in GeoPackages of ours, and in
extracts of OpenStreetMap."""

_HIGHWAY = "highway"
"""The column that tells roads from rivers in extracts of OpenStreetMap."""

NO_ROADS = frozenset({
    "bridleway", "construction", "corridor", "cycleway", "elevator", "footway", "path",
    "pedestrian", "platform", "proposed", "steps",
})  # fmt: skip
"""Its values that are no roads for cars."""

_LINES = (1, 2, 5)
"""Numbers that shapely gives to lines, rings and multiple lines."""

_POLYGONS = (3, 6)

_MOST_DEGREES = 540
"""Longitudes are written from 0 to 360 too, and a little beyond."""

# pyogrio and shapely take a quarter of a second to import: they are imported for vectors only.


def is_vector(path: str | Path) -> bool:
    """Whether a name is that of a file of vectors."""
    return extension_of(Path(path).name) in (*VECTORS, *LESS_USUAL)


def read_roads(
    path: str, layer: str, bbox: Sequence[float] | None = None
) -> tuple[NDArray[Any], Any]:
    """The features of a layer: roads for cars only where a column `highway` tells them apart.

    Args:
        path: The file.
        layer: The name of the layer.
        bbox: Left, bottom, right and top of what is wanted, in the layer's CRS; None takes all.

    Returns:
        Geometries [n], and the CRS as pyogrio gives it: None where the file has none.

    Raises:
        pyogrio.errors.DataSourceError: The file cannot be read; DataLayerError: the layer cannot.
    """
    import pyogrio
    import shapely

    kinds = [_HIGHWAY] if _HIGHWAY in pyogrio.read_info(path, layer=layer)["fields"] else []
    about, _, shapes, columns = pyogrio.raw.read(
        path, layer=layer, columns=kinds, force_2d=True, bbox=bbox
    )
    found: NDArray[Any] = shapely.from_wkb(np.asarray(shapes, object))
    for values in columns:
        found = found[[bool(value) and value not in NO_ROADS for value in values]]
    return found, about["crs"]


class VectorScene(BaseFileScene):
    """The lines and polygons of a file, as far as they meet a raster.

    A pixel is 1 where its centre lies in a polygon, or within half the width of a line. This is
    computed in the raster's own pixel coordinates, so a pixel is the same in any window.

    Args:
        path: GeoPackage, GeoJSON, FlatGeobuf, KML, (zipped) shapefile or extract of OpenStreetMap,
            with one layer, or one named "lines". Where it has a column `highway`, as extracts have,
            only roads for cars count.
        on: The raster whose grid is wanted.
        width: Of lines, in metres; None where there are polygons only.
        told: Side of the raster's pixels in metres, whatever its coordinates say; None measures it.

    Raises:
        SceneError: The file cannot be read, has several layers or no CRS, or holds lines but no
            width is given, or the raster has no CRS.
    """

    bands = 1
    dtype = np.dtype(np.uint8)
    descriptions = ("",)
    scales = ((1.0, 0.0),)

    def __init__(
        self, path: str | Path, on: Raster, width: float | None, told: float | None = None
    ) -> None:
        check_sources(str(path))
        self.name = str(path)
        self.files = [self.name]
        self.height, self.width = on.height, on.width
        self.crs, self.transform = on.crs, on.transform
        self._pixel = pixel_size(on, told)
        self._area = Area(np.concatenate([np.zeros((0, 4)), *self._edges(on, width)]))

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`."""
        inside = self._area.inside(window)
        return inside[None].astype(np.uint8), np.ones_like(inside)

    def overview(self, longest: int) -> tuple[Pixels, Valid]:
        """See `FileScene.overview`."""
        factor = min(1.0, longest / max(self.height, self.width))
        height, width = (max(1, round(side * factor)) for side in (self.height, self.width))
        scale = np.array([width / self.width, height / self.height] * 2)
        inside = Area(self._area.edges * scale).inside(Window(0, 0, height, width))
        return inside[None].astype(np.uint8), np.ones_like(inside)

    def close(self) -> None:
        """See `FileScene`: nothing is kept open."""

    def _edges(self, on: Raster, width: float | None) -> Iterator[NDArray[np.float64]]:
        import shapely

        shapes = self._shapes(on, width)
        kinds = shapely.get_type_id(shapes)
        lines = shapes[np.isin(kinds, _LINES)]
        if lines.size:
            radius = self._radius(on, width)
            lines = shapely.buffer(lines, radius)
        for polygon in shapely.get_parts(
            np.concatenate([lines, shapes[np.isin(kinds, _POLYGONS)]])
        ):
            for place, ring in enumerate((polygon.exterior, *polygon.interiors)):
                corners: Ring = shapely.get_coordinates(ring)
                if len(corners):
                    yield ring_edges(corners, hole=place > 0)

    def _radius(self, on: Raster, width: float | None) -> float:
        """Half the width of lines, in pixels."""
        if width is None:
            raise SceneError(
                f"{self.name}: holds lines, and how wide they are is not known; give it in metres, "
                "e.g. --label-width 7m"
            )
        if self._pixel is None:
            raise SceneError(
                f"{self.name}: holds lines, but the pixels of {on.name} have no size in metres, so "
                "--label-width means nothing; tell it with --pixel-size (training on roads has no "
                "such option: mend the transform there), or give polygons as labels"
            )
        return width / self._pixel.side / 2

    def _shapes(self, on: Raster, width: float | None) -> NDArray[Any]:
        """Single geometries that meet the raster, in its pixel coordinates."""
        import pyogrio
        import shapely

        if on.crs is None:
            raise SceneError(
                f"{on.name}: has no coordinate reference system, so {self.name} cannot be placed "
                "on it; give it one, e.g. rio edit-info --crs EPSG:..."
            )
        try:
            layers = [name for name, kind in pyogrio.list_layers(self.name) if kind is not None]
            if LINES in layers:
                layers = [LINES]
            if len(layers) != 1:
                raise SceneError(
                    f"{self.name}: {len(layers)} layers ({', '.join(map(str, layers[:4]))}), but "
                    "one is wanted; save the one with the labels as a file of its own"
                )
            info = pyogrio.read_info(self.name, layer=layers[0])
            if info["crs"] is None:
                raise SceneError(f"{self.name}: says no CRS; save it with one")
            crs = CRS.from_user_input(info["crs"])
            found, _ = read_roads(self.name, layers[0], self._around(on, crs, width or 0.0))
            if not len(found) and crs.is_geographic:
                # For some formats the whole file has to be read for its bounds.
                info = pyogrio.read_info(self.name, layer=layers[0], force_total_bounds=True)
                self._check_degrees(info["total_bounds"])
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
            raise SceneError(
                f"{self.name}: no vectors that can be read ({first_line(error)}); give a "
                "GeoPackage, GeoJSON, FlatGeobuf or shapefile"
            ) from error
        except (RasterioError, CPLE_BaseError) as error:
            raise self._not_placed(on, first_line(error)) from error
        shapes = shapely.get_parts(found)
        to_pixels = ~on.transform

        def in_pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
            try:
                x, y = map(np.array, transform(crs, on.crs, *points.T))
            except (RasterioError, CPLE_BaseError) as error:
                raise self._not_placed(on, first_line(error)) from error
            if not (np.isfinite(x).all() and np.isfinite(y).all()):
                raise self._not_placed(on, "a corner lies nowhere in it")
            return np.stack(
                [
                    to_pixels.a * x + to_pixels.b * y + to_pixels.c,
                    to_pixels.d * x + to_pixels.e * y + to_pixels.f,
                ],
                axis=1,
            )

        placed: NDArray[Any] = shapely.transform(shapes, in_pixels)
        return placed

    def _check_degrees(self, bounds: Sequence[float] | None) -> None:
        """Whether coordinates can be degrees where a file says so, as GeoJSON does by default."""
        if bounds is None:
            return
        x, y = (max(abs(bounds[place]), abs(bounds[place + 2])) for place in (0, 1))
        if isfinite(x) and isfinite(y) and (x > _MOST_DEGREES or y > _MOST_DEGREES):
            raise SceneError(
                f"{self.name}: its coordinates (up to {x:.6g}, {y:.6g}) are no degrees, but its "
                "CRS says so (GeoJSON's is longitude and latitude where it names none); save it in "
                "longitude and latitude, or with its CRS"
            )

    def _around(self, on: Raster, crs: CRS, metres: float) -> Sequence[float]:
        """A raster's bounds in another CRS, with the width of a line around them."""
        left, bottom, right, top = array_bounds(on.height, on.width, on.transform)
        pixels = metres / (self._pixel.side if self._pixel else 1.0) + 1
        margin = pixels * max(abs(on.transform.a) + abs(on.transform.b), abs(on.transform.e))
        around = (left - margin, bottom - margin, right + margin, top + margin)
        bounds: Sequence[float] = transform_bounds(on.crs, crs, *around)
        return bounds

    def _not_placed(self, on: Raster, why: str) -> SceneError:
        return SceneError(
            f"{self.name}: cannot be placed in the coordinates of {on.name} ({why}); check its CRS"
        )
