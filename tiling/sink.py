"""Where results go: parts, then two Cloud-Optimized GeoTIFFs that appear whole or not at all."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp

from tiling.blend import NODATA, TOP
from tiling.errors import SinkError, TilingError
from tiling.scene import Scene, without_georeferencing_warning
from tiling.window import Window

PROBABILITY = "probability.tif"
MASK = "mask.tif"

_BLOCK = 512

_REFUSALS = (OSError, rasterio.errors.RasterioError, CPLE_BaseError, SystemError)
"""What a full disk is called by Python and, depending on when it notices, by rasterio."""

Convert = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


class RasterSink:
    """Collects the parts of one scene and turns them into `probability.tif` and `mask.tif`.

    Parts lie in a hidden folder beside their final place; each is renamed into place when it
    is whole, and so are the two rasters.

    Args:
        folder: Where the rasters go; made with its parents.
        scene: Whose size, CRS and transform they take.
        classes: Names of the foreground classes, a band of probability each.
        tags: What else is noted in both files.
    """

    def __init__(
        self, folder: Path, scene: Scene, classes: tuple[str, ...], tags: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.scene = scene
        self.classes = classes
        self.tags = dict(tags)
        self._parts = folder / ".parts"

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Makes the folder of parts, and removes it in the end, whatever happens.

        Raises:
            SinkError: The disk refuses.
        """
        made = not self.folder.exists()
        try:
            shutil.rmtree(self._parts, ignore_errors=True)
            self._parts.mkdir(parents=True)
            yield
        except TilingError:
            raise  # Not the disk's word: an error of a scene, say.
        except _REFUSALS as error:
            raise SinkError(
                f"{self.folder}: cannot be written ({' '.join(str(error).split())}); "
                "free some space or choose another --output, then run again"
            ) from error
        finally:
            shutil.rmtree(self._parts, ignore_errors=True)
            if made and self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()

    def write(self, part: Window, levels: NDArray[np.uint8]) -> None:
        """Keeps the levels [classes, h, w] of one part."""
        path = self._parts / f"{part.row}-{part.column}.npy"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.save(file, levels)
        partial.replace(path)

    def finish(self, parts: list[Window], threshold: int) -> tuple[Path, Path]:
        """Assembles the rasters from all parts.

        Args:
            parts: Every part of the scene; all were written.
            threshold: Level from which on a pixel is foreground in the mask.

        Returns:
            The files of the probability (levels 0 to 254, nodata 255, a band per class) and of
            the mask (0 and 1, nodata 255).
        """

        def as_is(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return levels

        def foreground(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            classes = (levels[:1] >= threshold).astype(np.uint8)
            return np.where(levels[:1] == NODATA, np.uint8(NODATA), classes)

        # Both are built, and read back, before either appears.
        probability = self._raw("probability", parts, len(self.classes), as_is)
        mask = self._raw("mask", parts, 1, foreground)
        built = self._cog(probability, "average"), self._cog(mask, "mode")
        self._check(built[0], parts, as_is)
        self._check(built[1], parts, foreground)
        final = self.folder / PROBABILITY, self.folder / MASK
        for partial, path in zip(built, final, strict=True):
            partial.replace(path)
        return final

    def _raw(self, name: str, parts: list[Window], bands: int, convert: Convert) -> Path:
        """A plain tiled GeoTIFF of all parts: what the COG is made from."""
        path = self._parts / f"{name}.tif"
        profile = {
            "driver": "GTiff", "dtype": "uint8", "count": bands, "nodata": NODATA,
            "height": self.scene.height, "width": self.scene.width,
            "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate",
            "bigtiff": "if_safer",
        }  # fmt: skip
        if self.scene.crs is not None or self.scene.transform != Affine.identity():
            profile |= {"crs": self.scene.crs, "transform": self.scene.transform}
        with without_georeferencing_warning(), rasterio.open(path, "w", **profile) as raster:
            for part in parts:
                raster.write(convert(self._levels(part)), window=part.as_rasterio())
            raster.update_tags(**self.tags)
            raster.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * (bands - 1)
            if name == "mask":
                raster.set_band_description(1, "class")
            else:
                raster.scales = [1 / TOP] * bands
                for band, text in enumerate(self.classes, start=1):
                    raster.set_band_description(band, f"probability of {text}")
        return path

    def _cog(self, source: Path, overviews: str) -> Path:
        """Copies to a Cloud-Optimized GeoTIFF with overviews."""
        partial = source.with_suffix(".cog")
        with without_georeferencing_warning():
            rasterio.shutil.copy(
            source, partial, driver="COG", compress="DEFLATE", predictor="NO",
            blocksize=_BLOCK, overview_resampling=overviews, bigtiff="IF_SAFER",
        )  # fmt: skip
        return partial

    def _check(self, path: Path, parts: list[Window], convert: Convert) -> None:
        """Reads a raster back: of a disk that fills up while it closes a file GDAL says nothing."""
        with without_georeferencing_warning(), rasterio.open(path) as raster:
            for part in parts:
                written = raster.read(window=part.as_rasterio())
                if not np.array_equal(written, convert(self._levels(part))):
                    raise OSError(f"{path.name} reads back otherwise than it was written")

    def _levels(self, part: Window) -> NDArray[np.uint8]:
        levels: NDArray[np.uint8] = np.load(self._parts / f"{part.row}-{part.column}.npy")
        return levels
