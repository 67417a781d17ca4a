"""Rasters of an earlier result on the grid of another scene of the same place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.warp import reproject

from pipelines.errors import DataError
from tiling.blend import NODATA
from tiling.disk import refusals_named
from tiling.fingerprint import same_place
from tiling.readers.raster import without_georeferencing_warning
from tiling.scenes.scene import Scene
from tiling.sink import BLOCK
from tiling.window import split

_SIDE = 4 * BLOCK
"""Of the windows that are warped at once, always the same ones: pixels depend on them."""


def _placed(raster: Scene | rasterio.DatasetReader) -> str:
    return "without coordinates" if raster.crs is None else "with coordinates"


@contextmanager
def on_grid_of(
    raster: Path, scene: Scene, folder: Path, *, smooth: bool = False
) -> Iterator[rasterio.DatasetReader]:
    """Opens a raster of uint8 with nodata, warped where it does not lie on a scene's grid."""
    path = warped(raster, scene, folder, smooth=smooth)
    with without_georeferencing_warning(), rasterio.open(path) as file:
        yield file


def warped(raster: Path, scene: Scene, folder: Path, *, smooth: bool = False) -> Path:
    """A raster on the grid of a scene: itself where it lies there, or else a copy.

    Args:
        raster: Of uint8, with nodata.
        scene: The scene.
        folder: Where a copy goes.
        smooth: Whether values are interpolated; else each is the nearest one.

    Raises:
        DataError: One of the two has no coordinates, and they differ in size.
    """
    with without_georeferencing_warning(), rasterio.open(raster) as before:
        if (before.height, before.width) == (scene.height, scene.width) and same_place(
            raster, scene
        ):
            return raster
        if (before.crs is None) != (scene.crs is None) or (
            before.crs is None and Affine.identity() in (before.transform, scene.transform)
        ):
            raise DataError(
                f"{scene.name}: {scene.width} x {scene.height} pixels {_placed(scene)}, but its "
                f"earlier result has {before.width} x {before.height} {_placed(before)} ({raster}),"
                " so it is not known where they lie on each other; give both coordinates, or leave "
                "--from or --sequence out"
            )
        path = folder / f"warped-{raster.name}"
        profile = {
            "driver": "GTiff", "dtype": "uint8", "count": before.count, "nodata": NODATA,
            "height": scene.height, "width": scene.width, "crs": scene.crs,
            "transform": scene.transform, "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
            "compress": "deflate", "bigtiff": "if_safer",
        }  # fmt: skip
        how = Resampling.bilinear if smooth else Resampling.nearest
        with refusals_named(path), rasterio.open(path, "w", **profile) as made:
            for window in split(scene.height, scene.width, _SIDE):
                pixels = np.full((before.count, window.height, window.width), NODATA, np.uint8)
                place = scene.transform @ Affine.translation(window.column, window.row)
                reproject(
                    rasterio.band(before, list(range(1, before.count + 1))), pixels,
                    dst_transform=place, dst_crs=scene.crs or "EPSG:3857",
                    src_crs=before.crs or "EPSG:3857", src_nodata=NODATA, dst_nodata=NODATA,
                    resampling=how,
                )  # fmt: skip
                made.write(pixels, window=window.as_rasterio())
    return path
