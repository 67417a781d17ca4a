"""A raster of classes on the grid of another raster: the nearest pixel of each."""

import shlex

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.warp import transform

from tiling.errors import SceneError
from tiling.scenes.scene import BaseFileScene, FileScene, Pixels, Raster, Valid, first_line
from tiling.window import Window


class AlignedScene(BaseFileScene):
    """A file on the grid of a raster; where the file ends, pixels are missing.

    Each pixel is looked up by its own centre, so it is the same in any window.

    Args:
        file: What is looked up; it stays the caller's to close.
        on: The raster whose size, CRS and transform are wanted.

    Raises:
        SceneError: One of the two has no coordinate reference system.
    """

    def __init__(self, file: FileScene, on: Raster) -> None:
        for one in (file, on):
            if one.crs is None:
                raise SceneError(
                    f"{one.name}: has no coordinate reference system, so --align-labels cannot "
                    f"place it; give it one, e.g. rio edit-info --crs EPSG:... "
                    f"{shlex.quote(one.name)}"
                )
        self.file = file
        self.name, self.files = file.name, file.files
        self.height, self.width = on.height, on.width
        self.crs, self.transform = on.crs, on.transform
        self.bands, self.dtype, self.nodata = file.bands, file.dtype, file.nodata
        self.palette, self.descriptions, self.scales = file.palette, file.descriptions, file.scales
        self.pages = file.pages

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`."""
        rows, columns = np.meshgrid(
            np.arange(window.row, window.bottom) + 0.5,
            np.arange(window.column, window.right) + 0.5,
            indexing="ij",
        )
        return self._nearest(rows, columns)

    def overview(self, longest: int) -> tuple[Pixels, Valid]:
        """See `FileScene.overview`."""
        factor = min(1.0, longest / max(self.height, self.width))
        sides = [(max(1, round(side * factor)), side) for side in (self.height, self.width)]
        rows, columns = np.meshgrid(
            *((np.arange(count) + 0.5) * side / count for count, side in sides), indexing="ij"
        )
        return self._nearest(rows, columns)

    def close(self) -> None:
        """See `FileScene`: the file stays the caller's."""

    def _nearest(
        self, rows: NDArray[np.float64], columns: NDArray[np.float64]
    ) -> tuple[Pixels, Valid]:
        place = self.transform
        x = place.a * columns + place.b * rows + place.c
        y = place.d * columns + place.e * rows + place.f
        if self.file.crs != self.crs:
            try:
                found = transform(self.crs, self.file.crs, x.ravel(), y.ravel())
            except (RasterioError, CPLE_BaseError) as error:
                raise SceneError(
                    f"{self.name}: cannot be aligned ({first_line(error)}); check its CRS"
                ) from error
            x, y = (np.reshape(one, rows.shape) for one in found)
        back = ~self.file.transform
        row = np.floor(back.d * x + back.e * y + back.f)
        column = np.floor(back.a * x + back.b * y + back.c)
        inside: Valid = (row >= 0) & (row < self.file.height)
        inside &= (column >= 0) & (column < self.file.width)
        pixels = np.zeros((self.bands, *rows.shape), self.dtype)
        if not inside.any():
            return pixels, inside
        row, column = row[inside].astype(np.int64), column[inside].astype(np.int64)
        top, left = int(row.min()), int(column.min())
        around = Window(top, left, int(row.max()) - top + 1, int(column.max()) - left + 1)
        source, there = self.file.read(around)
        pixels[:, inside] = source[:, row - top, column - left]
        valid = inside.copy()
        valid[inside] = there[row - top, column - left]
        return pixels, valid
