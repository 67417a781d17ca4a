"""Files that GDAL reads, as scenes."""

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning

from tiling.errors import SceneError
from tiling.scenes.bands import TYPES, Bands, as_read, chosen_bands, pixel_type
from tiling.scenes.control import GroundControl, control_of
from tiling.scenes.mosaic import Gap, mosaic_of
from tiling.scenes.scene import BaseFileScene, Pixels, Valid, first_line, unreadable
from tiling.window import Window

GDAL_ERRORS = (rasterio.errors.RasterioError, CPLE_BaseError)
"""Errors that rasterio raises: its own, and sometimes GDAL's, which have another root."""

BLOCK_CACHE_BYTES = 64 * 1024 * 1024
"""GDAL's block cache; its own default is a twentieth of the machine's memory."""

# GDAL reads these from the environment when it needs them. A user's own settings stay.
os.environ.setdefault("GDAL_CACHEMAX", str(BLOCK_CACHE_BYTES))
# With this shortcut GDAL gives noise and no error where a PNG is cut off.
os.environ.setdefault("GDAL_PNG_WHOLE_IMAGE_OPTIM", "NO")


@contextmanager
def _without_warnings(kind: type[Warning]) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kind)
        yield


def without_georeferencing_warning() -> AbstractContextManager[None]:
    """Hides rasterio's warning about images without coordinates: photographs have none."""
    return _without_warnings(NotGeoreferencedWarning)


class RasterScene(BaseFileScene):
    """A file that GDAL reads: GeoTIFF, COG, VRT, PNG, JPEG, anything under a /vsi path.

    A pixel is there unless a nodata value, an alpha band or a mask band says otherwise, or it is
    a float that is not finite. An alpha band is read as a colour only if it is chosen by number.
    GDAL data sets are not thread-safe, so each thread that reads opens the file for itself.

    Args:
        path: File, or anything GDAL takes as one.
        bands: How many colour bands it must have, or the numbers, from 1 on, of those to read;
            None reads all colour bands.
        types: Types that its pixels may have.

    Raises:
        SceneError: No such file, not a raster, without the bands that are wanted, or with pixels
            of another type than `types`.
    """

    def __init__(self, path: str | Path, *, bands: Bands = 3, types: Sequence[str] = TYPES) -> None:
        self.name = str(path)
        self._local = threading.local()
        self._opened: list[tuple[threading.Thread, rasterio.DatasetReader]] = []
        self._lock = threading.Lock()
        if is_local(self.name) and not Path(path).exists():
            raise SceneError(f"{path}: no such file; check the path")
        dataset = self._dataset()
        self.height: int = dataset.height
        self.width: int = dataset.width
        self.crs: CRS | None = dataset.crs
        self.transform: Affine = dataset.transform
        self.control: GroundControl | None = control_of(dataset)
        self.nodata: float | None = dataset.nodata
        mosaic = mosaic_of(dataset)
        self.files: Sequence[str] = mosaic.files
        self.gap: Gap | None = mosaic.gap
        try:
            flags = dataset.mask_flag_enums
            meaning = dict(zip(dataset.indexes, dataset.colorinterp, strict=True))
        except GDAL_ERRORS as error:
            raise unreadable(self.name, error) from error
        alphas = [band for band, colour in meaning.items() if colour is ColorInterp.alpha]
        colours = [band for band in meaning if band not in alphas]
        self._bands = chosen_bands(self.name, bands, colours, dataset.count)
        self.bands = len(self._bands)
        if meaning[self._bands[0]] is ColorInterp.palette:
            colours_of = dataset.colormap(self._bands[0])
            self.palette = {value: colour[:3] for value, colour in colours_of.items()}
        self.descriptions = [dataset.descriptions[band - 1] or "" for band in self._bands]
        self.scales = [(dataset.scales[b - 1], dataset.offsets[b - 1]) for b in self._bands]
        self.dtype: np.dtype[Any] = pixel_type(
            self.name, [dataset.dtypes[band - 1] for band in self._bands], types
        )
        self._alphas = [band for band in alphas if band not in self._bands]
        self._masks = _bands_with_masks(self._bands, [flags[band - 1] for band in self._bands])

    def close(self) -> None:
        """See `FileScene.close`."""
        with self._lock:
            for _, dataset in self._opened:
                dataset.close()
            self._opened.clear()
            self._local = threading.local()

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`."""
        return self._read(window=window.as_rasterio())

    def overview(self, longest: int) -> tuple[Pixels, Valid]:
        """See `FileScene.overview`; it is made from the file's overviews, where it has any."""
        factor = min(1.0, longest / max(self.height, self.width))
        shape = (max(1, round(self.height * factor)), max(1, round(self.width * factor)))
        return self._read(out_shape=shape)

    def _read(
        self, window: Any = None, out_shape: tuple[int, int] | None = None
    ) -> tuple[Pixels, Valid]:
        dataset = self._dataset()

        def bands(indexes: Sequence[int], read: Callable[..., Pixels] = dataset.read) -> Pixels:
            shape = None if out_shape is None else (len(indexes), *out_shape)
            return read(indexes=list(indexes), window=window, out_shape=shape)

        try:
            pixels = bands(self._bands)
            valid = np.ones(pixels.shape[1:], dtype=bool)
            if self._alphas:
                valid &= (bands(self._alphas) > 0).all(axis=0)
            if self._masks:
                with _without_warnings(NodataShadowWarning):  # Alpha is not forgotten here.
                    masks = bands(self._masks, dataset.read_masks)
                valid &= (masks > 0).any(axis=0)
        except GDAL_ERRORS as error:
            raise unreadable(self.name, error) from error
        return as_read(pixels, valid, self.dtype)

    def _dataset(self) -> rasterio.DatasetReader:
        dataset: rasterio.DatasetReader | None = getattr(self._local, "dataset", None)
        if dataset is None:
            try:
                with without_georeferencing_warning():
                    dataset = rasterio.open(self.name)
            except GDAL_ERRORS as error:
                raise SceneError(
                    f"{self.name}: not a raster GDAL can read ({first_line(error)}); "
                    "give a GeoTIFF, COG, VRT, PNG or JPEG"
                ) from error
            self._local.dataset = dataset
            self._keep(dataset)
        return dataset

    def _keep(self, dataset: rasterio.DatasetReader) -> None:
        """Notes a data set of this thread, and closes those of threads that have ended.

        A scene may stay open for hours, while threads that read it come and go.
        """
        with self._lock:
            kept = [(threading.current_thread(), dataset)]
            for thread, other in self._opened:
                if thread.is_alive():
                    kept.append((thread, other))
                else:
                    other.close()
            self._opened = kept


def is_local(name: str) -> bool:
    """Whether a name is that of a local file, not of one that GDAL has to fetch or unpack."""
    return "://" not in name and not name.startswith("/vsi")


def _bands_with_masks(bands: Sequence[int], flags: Sequence[list[MaskFlags]]) -> list[int]:
    """Bands whose masks are read: a pixel is there if it is in any of them, by nodata or mask."""
    # Alpha is read from its own band: GDAL's mask ignores it where there is a nodata value.
    if any(MaskFlags.all_valid in of_band or MaskFlags.alpha in of_band for of_band in flags):
        return []
    return [bands[0]] if MaskFlags.per_dataset in flags[0] else list(bands)
