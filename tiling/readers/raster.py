"""Files that GDAL reads, as scenes."""

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
from tiling.readers.bands import TYPES, Bands, as_read, chosen_bands, pixel_type
from tiling.readers.colours import (
    ALPHA_SIDE,
    ALPHA_WINDOWS,
    INKS,
    ColourModel,
    in_order,
    inks_of,
    is_alpha,
    palette_of,
)
from tiling.readers.containers import check_has_bands, only_alpha, pages_of
from tiling.readers.nodata import missing
from tiling.readers.sources import check_size, check_tiles
from tiling.scenes.control import GroundControl, control_of
from tiling.scenes.mosaic import Gap, mosaic_of
from tiling.scenes.names import file_behind, is_local, shown
from tiling.scenes.scene import BaseFileScene, Pixels, Valid, first_line, unreadable
from tiling.window import Window, spread

GDAL_ERRORS = (rasterio.errors.RasterioError, CPLE_BaseError)
"""Errors that rasterio raises: its own, and sometimes GDAL's, which have another root."""


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

    A pixel is there unless a nodata value (see `tiling.readers.nodata`), an alpha band or a mask
    band says otherwise, or it is a float that is not finite. An alpha band is read as a colour if
    it is chosen by number, or holds what cannot be alpha. Numbers of a palette and inks are read
    as the colours that they stand for, and bands are then chosen among these; of a palette, one
    band that is wanted is its numbers. GDAL data sets are not thread-safe, so each thread that
    reads opens the file for itself.

    Args:
        path: File, or anything GDAL takes as one.
        bands: How many colour bands it must have, or the numbers, from 1 on, of those to read;
            None reads all colour bands.
        types: Types that its pixels may have.

    Raises:
        SceneError: No such file, not a raster, without the bands that are wanted, or with pixels
            of another type than `types`; or see `tiling.readers.sources`.
    """

    def __init__(self, path: str | Path, *, bands: Bands = 3, types: Sequence[str] = TYPES) -> None:
        self._source = str(path)
        self.name = shown(path)
        self._local = threading.local()
        self._opened: list[tuple[threading.Thread, rasterio.DatasetReader]] = []
        self._lock = threading.Lock()
        if is_local(self._source) and not Path(path).exists():
            raise SceneError(f"{path}: no such file; check the path")
        dataset = self._dataset()
        check_tiles(self.name, dataset)
        check_size(self.name, dataset.height, dataset.width)
        check_has_bands(self.name, dataset)
        self.height: int = dataset.height
        self.width: int = dataset.width
        self.crs: CRS | None = dataset.crs
        self.transform: Affine = dataset.transform
        self.control: GroundControl | None = control_of(dataset)
        self.nodata: float | None = dataset.nodata
        self.pages = pages_of(dataset)
        mosaic = mosaic_of(dataset)
        self.files: Sequence[str] = mosaic.files
        self.gap: Gap | None = mosaic.gap
        try:
            flags = dataset.mask_flag_enums
            meaning = dict(zip(dataset.indexes, dataset.colorinterp, strict=True))
        except GDAL_ERRORS as error:
            raise unreadable(self.name, error) from error
        alphas = [band for band, colour in meaning.items() if colour is ColorInterp.alpha]
        self._alphas = [band for band in alphas if self._is_alpha(band)]
        self.doubtful = tuple(band for band in alphas if band not in self._alphas)
        self._model = self._colour_model(bands, meaning)
        if self._model is None:
            colours = [one for one in meaning if one not in self._alphas]
            if not _chooses_bands(self.name):
                colours = in_order(colours, meaning)
            if not colours and (bands is None or isinstance(bands, int)):
                raise only_alpha(self.name)
            self._bands = chosen_bands(
                self.name, bands, colours, dataset.count, self.doubtful, self.pages
            )
            self._colours = self._bands
        else:
            self._bands = self._model.stored
            every = range(1, self._model.count + 1)
            self._colours = chosen_bands(self.name, bands, every, self._model.count)
        self.bands = len(self._colours)
        self.dtype: np.dtype[Any] = pixel_type(
            self.name, [dataset.dtypes[band - 1] for band in self._bands], types
        )
        if self._model is not None:
            self.dtype = self._model.dtype(self.dtype)
            self.descriptions = [""] * self.bands
            self.scales = [(1.0, 0.0)] * self.bands
        else:
            self._describe(dataset, meaning)
        self._alphas = [band for band in self._alphas if band not in self._bands]
        self._nodata = [dataset.nodatavals[band - 1] for band in self._bands]
        self._masks = _bands_with_masks(self._bands, [flags[band - 1] for band in self._bands])

    def _describe(self, dataset: rasterio.DatasetReader, meaning: dict[int, ColorInterp]) -> None:
        """Notes what the file says of the bands that are read as they are stored."""
        if meaning[self._bands[0]] is ColorInterp.palette:
            colours_of = dataset.colormap(self._bands[0])
            self.palette = {value: colour[:3] for value, colour in colours_of.items()}
        self.descriptions = [dataset.descriptions[band - 1] or "" for band in self._bands]
        self.scales = [(dataset.scales[b - 1], dataset.offsets[b - 1]) for b in self._bands]
        bits = [dataset.tags(b, ns="IMAGE_STRUCTURE").get("NBITS", "") for b in self._bands]
        if all(one.isdecimal() for one in bits):
            self.bits = max(map(int, bits))

    def _colour_model(self, bands: Bands, meaning: dict[int, ColorInterp]) -> ColourModel | None:
        """What makes colours of the pixels; None where they are colours, or numbers are wanted."""
        dataset = self._dataset()
        kinds = tuple(meaning.values())
        if kinds[0] is ColorInterp.palette and bands != 1:
            return palette_of(dataset.colormap(1), grey_is_one=bands is None)
        if tuple(kind.name for kind in kinds[:4]) == INKS:
            return inks_of(self.name, np.dtype(dataset.dtypes[0]))
        return None

    def _is_alpha(self, band: int) -> bool:
        """Whether a band that the file calls alpha is one, as far as some of its pixels tell."""
        try:
            some = [
                self._dataset().read(band, window=window.as_rasterio()).ravel()
                for window in spread(self.height, self.width, ALPHA_SIDE, ALPHA_WINDOWS)
            ]
        except GDAL_ERRORS as error:
            raise unreadable(self.name, error) from error
        return is_alpha(np.concatenate(some))

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
            if (gone := missing(pixels, self._nodata)) is not None:
                valid &= ~gone
            if self._alphas:
                valid &= (bands(self._alphas) > 0).all(axis=0)
            if self._masks:
                with _without_warnings(NodataShadowWarning):  # Alpha is not forgotten here.
                    masks = bands(self._masks, dataset.read_masks)
                valid &= (masks > 0).any(axis=0)
        except GDAL_ERRORS as error:
            raise unreadable(self.name, error) from error
        if self._model is not None:
            pixels, there = self._model(pixels)
            pixels = pixels[[colour - 1 for colour in self._colours]]
            valid = valid if there is None else valid & there
        return as_read(pixels, valid, self.dtype)

    def _dataset(self) -> rasterio.DatasetReader:
        dataset: rasterio.DatasetReader | None = getattr(self._local, "dataset", None)
        if dataset is None:
            try:
                with without_georeferencing_warning():
                    dataset = rasterio.open(self._source)
            except (*GDAL_ERRORS, ValueError) as error:  # ValueError: not a name it can divide.
                file = file_behind(self._source)
                if file is not None and Path(file).stat().st_size == 0:
                    raise SceneError(f"{self.name}: is empty (0 bytes); copy it again") from error
                # GDAL repeats the name; a state on Prefect's page has room for few words.
                reason = first_line(error).removeprefix(f"'{self.name}' ").rstrip(".")
                raise SceneError(
                    f"{self.name}: not a raster GDAL can read ({reason}); "
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


def _bands_with_masks(bands: Sequence[int], flags: Sequence[list[MaskFlags]]) -> list[int]:
    """Bands whose masks are read: a pixel is there if it is in any of them."""
    # Alpha is read from its own band, and nodata values are compared with: GDAL's mask tells of
    # one of them only, and of a mask instead of either where the file has one.
    told = {MaskFlags.all_valid, MaskFlags.alpha}
    if any(told & {*of_band} for of_band in flags):
        return []
    if MaskFlags.per_dataset in flags[0]:
        return [bands[0]]
    own = [band for band, of_band in zip(bands, flags, strict=True) if not of_band]
    return own if len(own) == len(bands) else []


def _chooses_bands(name: str) -> bool:
    """Whether a name says which bands are meant, and in which order."""
    return name.lower().startswith("vrt://") and "bands=" in name.partition("?")[2]
