"""Where pixels come from: anything with a size, bands and windows to read."""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from scipy.ndimage import maximum_filter, minimum_filter

from tiling.errors import SceneError
from tiling.window import Window

WHITE = 235
"""From this value on, in every band, an 8-bit pixel counts as white (JPEG leaves white noisy)."""

WHITE_PATCH = 31
"""White is missing only where it fills a square of so many pixels: roofs and lines stay."""

_GDAL_ERRORS = (rasterio.errors.RasterioError, CPLE_BaseError)
"""What rasterio raises: its own, and here and there GDAL's, which have another root."""

BLOCK_CACHE_BYTES = 64 * 1024 * 1024
"""GDAL's block cache; its own default is a twentieth of the machine's memory."""

# GDAL looks into the environment when it needs them; what a user has set there stays.
os.environ.setdefault("GDAL_CACHEMAX", str(BLOCK_CACHE_BYTES))
# Its short cut for a whole PNG gives noise, and no error, where the file is cut off.
os.environ.setdefault("GDAL_PNG_WHOLE_IMAGE_OPTIM", "NO")


class Scene(Protocol):
    """What the engine needs of an input."""

    @property
    def name(self) -> str:
        """What messages call it: a path or URL."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def bands(self) -> int:
        """Bands that `read` returns."""
        ...

    @property
    def crs(self) -> CRS | None:
        """Coordinate reference system, where there is one."""
        ...

    @property
    def transform(self) -> Affine:
        """From pixels to coordinates; the identity where there is none."""
        ...

    def read(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Pixels [bands, h, w] of a window inside the scene, and which of them are there [h, w].

        Raises:
            SceneError: The pixels cannot be read.
        """
        ...


@contextmanager
def without_georeferencing_warning() -> Iterator[None]:
    """A photograph without coordinates is no cause for concern here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


class RasterScene:
    """A file that GDAL reads: GeoTIFF, COG, VRT, PNG, JPEG, anything under a /vsi path.

    A pixel is there unless a nodata value, an alpha band or a mask band says otherwise.
    GDAL is not thread-safe per data set, so each thread that reads opens the file for itself.

    Args:
        path: File, or anything GDAL takes as one.
        bands: How many bands are wanted.
        white_is_nodata: Whether patches of white count as missing (see `WHITE_PATCH`).

    Raises:
        SceneError: No such file, not a raster, or not so many bands of 8 bits.
    """

    def __init__(self, path: str | Path, *, bands: int = 3, white_is_nodata: bool = False) -> None:
        self.name = str(path)
        self.bands = bands
        self.white_is_nodata = white_is_nodata
        self._local = threading.local()
        self._opened: list[rasterio.DatasetReader] = []
        if "://" not in self.name and not self.name.startswith("/vsi") and not Path(path).exists():
            raise SceneError(f"{path}: no such file; check the path")
        dataset = self._dataset()
        self.height: int = dataset.height
        self.width: int = dataset.width
        self.crs: CRS | None = dataset.crs
        self.transform: Affine = dataset.transform
        try:
            masks = dataset.mask_flag_enums
            colours = [c for c in dataset.colorinterp if c is not ColorInterp.alpha]
        except _GDAL_ERRORS as error:
            raise _unreadable(self.name, error) from error
        self._has_mask = any(MaskFlags.all_valid not in flags for flags in masks)
        if len(colours) < bands or (len(colours) > bands and bands == 1):
            raise SceneError(
                f"{path}: {_count(len(colours), 'band')}, but {bands} wanted; "
                f"convert it, e.g. gdal_translate with -b for each band"
            )
        if len(colours) > bands:
            raise SceneError(
                f"{path}: {_count(len(colours), 'band')}, but the network wants {bands}; "
                f"choose them, e.g. gdal_translate {' '.join(f'-b {i + 1}' for i in range(bands))}"
            )
        wrong = sorted({t for t in dataset.dtypes if t != "uint8"})
        if wrong:
            raise SceneError(
                f"{path}: pixels are {', '.join(wrong)}, but the network wants 8 bits (uint8); "
                "rescale it, e.g. gdal_translate -ot Byte -scale"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file in every thread that opened it."""
        for dataset in self._opened:
            dataset.close()
        self._opened.clear()
        self._local = threading.local()

    def read(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """See `Scene.read`."""
        if not self.white_is_nodata:
            return self._read(window)
        # Opening looks half a patch around itself: read that much more, so that the answer
        # for a pixel does not depend on the window it was asked in.
        around = window.grown(WHITE_PATCH).intersection(Window(0, 0, self.height, self.width))
        pixels, valid = self._read(around)
        white = _opened(np.asarray((pixels >= WHITE).all(axis=0)))
        rows, columns = window.slices(around)
        return pixels[:, rows, columns], (valid & ~white)[rows, columns]

    def overview(self, longest: int) -> NDArray[np.uint8]:
        """The whole scene [bands, h, w], decimated so that no side is over `longest` pixels."""
        factor = min(1.0, longest / max(self.height, self.width))
        shape = (max(1, round(self.height * factor)), max(1, round(self.width * factor)))
        try:
            pixels: NDArray[np.uint8] = self._dataset().read(
                indexes=list(range(1, self.bands + 1)), out_shape=(self.bands, *shape)
            )
        except _GDAL_ERRORS as error:
            raise _unreadable(self.name, error) from error
        return pixels

    def _read(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        dataset = self._dataset()
        try:
            pixels = dataset.read(
                indexes=list(range(1, self.bands + 1)), window=window.as_rasterio()
            )
            if self._has_mask:
                valid = dataset.dataset_mask(window=window.as_rasterio()) > 0
            else:
                valid = np.ones(pixels.shape[1:], dtype=bool)
        except _GDAL_ERRORS as error:
            raise _unreadable(self.name, error) from error
        return pixels, valid

    def _dataset(self) -> rasterio.DatasetReader:
        dataset: rasterio.DatasetReader | None = getattr(self._local, "dataset", None)
        if dataset is None:
            try:
                with without_georeferencing_warning():
                    dataset = rasterio.open(self.name)
            except _GDAL_ERRORS as error:
                raise SceneError(
                    f"{self.name}: not a raster GDAL can read ({_first_line(error)}); "
                    "give a GeoTIFF, COG, VRT, PNG or JPEG"
                ) from error
            self._local.dataset = dataset
            self._opened.append(dataset)
        return dataset


def _opened(white: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What of `white` [h, w] lies in squares of `WHITE_PATCH`, all white: a separable opening."""
    if not white.any():
        return white
    eroded = minimum_filter(white, WHITE_PATCH, mode="constant", cval=0)
    opened: NDArray[np.bool_] = maximum_filter(eroded, WHITE_PATCH, mode="constant", cval=0)
    return opened


def _unreadable(name: str, error: Exception) -> SceneError:
    cause = error.__cause__ or error
    return SceneError(
        f"{name}: pixels cannot be read ({_first_line(cause)}); "
        "the file seems damaged or cut off: copy it again"
    )


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
