"""TIFFs that tifffile reads, as scenes: microscopes' OME-TIFFs, whose bands lie in many pages."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tiling.errors import CodecError, SceneError
from tiling.readers.bands import TYPES, Bands, as_read, chosen_bands, pixel_type
from tiling.readers.colours import (
    ALPHA_SIDE,
    ALPHA_WINDOWS,
    INKS,
    ColourModel,
    inks_of,
    is_alpha,
    palette_of,
)
from tiling.readers.nodata import missing
from tiling.readers.sources import check_size
from tiling.scenes.scene import BaseFileScene, Pixels, Valid, first_line, unreadable
from tiling.window import Window, spread

_ROWS_AT_ONCE = 512
"""Rows that an overview reads at once."""

# tifffile and zarr take half a second to import: they are imported when a TIFF needs them.


class TiffScene(BaseFileScene):
    """The first series of an OME-TIFF or tiled TIFF, at its full resolution.

    Its bands are its channels (axis C) or samples (S); other axes but Y and X have length 1.
    Nodata, alpha, palettes and inks are as in `tiling.readers.raster.RasterScene`. Only the tiles
    or strips that a window touches are read; zarr decodes them in one thread of its own, whatever
    thread asks.

    Args:
        path: File.
        bands: How many colour bands it must have, or the numbers, from 1 on, of those to read;
            None reads all colour bands.
        types: Types that its pixels may have.

    Raises:
        CodecError: Its compression needs a package that is not installed.
        SceneError: No such file, no TIFF, cut off, with other axes, without the bands that are
            wanted, or with pixels of another type than `types`.
    """

    def __init__(self, path: str | Path, *, bands: Bands = 3, types: Sequence[str] = TYPES) -> None:
        import tifffile

        self.name = str(path)
        self.files = [self.name]
        if not Path(path).exists():
            raise SceneError(f"{path}: no such file; check the path")
        try:
            self._file = tifffile.TiffFile(path)
        except Exception as error:  # No TIFF, or one that ends before its first directory.
            raise SceneError(
                f"{path}: not a TIFF that can be read ({first_line(error)}); "
                "the file seems damaged or cut off: copy it again"
            ) from error
        try:
            self._series = self._first_series()
            self.files = _files_of(self.name, self._series)
            _check_axes(self.name, self._series)
            _check_codec(self.name, self._series)
            _check_whole(self.name, self._series)
            sizes: dict[str, int] = dict(zip(self._series.axes, self._series.shape, strict=True))
            self.height, self.width = sizes["Y"], sizes["X"]
            check_size(self.name, self.height, self.width)
            self._band_axis = "S" if sizes.get("S", 1) > 1 else "C"
            count = sizes.get(self._band_axis, 1)
            called = _alpha_samples(self._series) if self._band_axis == "S" else []
            self._pixels = self._level(0)
            alphas = [band for band in called if self._is_alpha(band)]
            self.doubtful = tuple(band for band in called if band not in alphas)
            self._model = _colour_model(self.name, self._series, bands)
            if self._model is None:
                colours = [band for band in range(1, count + 1) if band not in alphas]
                self._bands = chosen_bands(self.name, bands, colours, count, self.doubtful)
                self._colours = self._bands
            else:
                self._bands, made = self._model.stored, self._model.count
                self._colours = chosen_bands(self.name, bands, range(1, made + 1), made)
            self.bands = len(self._colours)
            self.descriptions = [""] * self.bands
            self.scales = [(1.0, 0.0)] * self.bands
            self.dtype: np.dtype[Any] = pixel_type(self.name, [self._series.dtype.name], types)
            if self._model is not None:
                self.dtype = self._model.dtype(self.dtype)
            self._alphas = tuple(band for band in alphas if band not in self._bands)
            self.nodata = _nodata_of(self._series)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """See `FileScene.close`."""
        self._file.close()

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`."""
        return self._read(self._pixels, window)

    def overview(self, longest: int) -> tuple[Pixels, Valid]:
        """See `FileScene.overview`.

        It is made from the smallest pyramid level that is large enough. Without levels the whole
        file is read.
        """
        sides = [max(level.shape) for level in self._series.levels]
        number = max([n for n, side in enumerate(sides) if side >= longest], default=0)
        level = self._level(number)
        sizes = dict(zip(self._series.axes, level.shape, strict=True))
        height, width = sizes["Y"], sizes["X"]
        step = -(-max(height, width) // longest)
        at_once = step * max(1, _ROWS_AT_ONCE // step)
        strips = [
            self._read(level, Window(row, 0, min(at_once, height - row), width))
            for row in range(0, height, at_once)
        ]
        return (
            np.concatenate([pixels[:, ::step, ::step] for pixels, _ in strips], axis=1),
            np.concatenate([valid[::step, ::step] for _, valid in strips]),
        )

    def _read(self, level: Any, window: Window) -> tuple[Pixels, Valid]:
        wanted = self._bands + self._alphas
        try:
            if self._band_axis == "S" and self._series.axes.endswith("S"):
                samples = self._planes(level, window, slice(None))  # They lie side by side.
                planes = {band: samples[..., band - 1] for band in wanted}
            else:
                planes = {band: self._planes(level, window, band - 1) for band in set(wanted)}
        except Exception as error:  # Each codec has errors of its own: zlib's, lzma's, numpy's.
            raise unreadable(self.name, error) from error
        pixels = np.stack([planes[band] for band in self._bands])
        valid = np.ones(pixels.shape[1:], bool)
        if (gone := missing(pixels, [self.nodata] * len(pixels))) is not None:
            valid &= ~gone
        for band in self._alphas:
            valid &= planes[band] > 0
        if self._model is not None:
            pixels, there = self._model(pixels)
            pixels = pixels[[colour - 1 for colour in self._colours]]
            valid = valid if there is None else valid & there
        return as_read(pixels, valid, self.dtype)

    def _is_alpha(self, band: int) -> bool:
        """Whether a sample that the file calls alpha is one, as far as some of its pixels tell."""
        try:
            some = [
                self._planes(self._pixels, window, band - 1).ravel()
                for window in spread(self.height, self.width, ALPHA_SIDE, ALPHA_WINDOWS)
            ]
        except Exception as error:  # As in `_read`.
            raise unreadable(self.name, error) from error
        return is_alpha(np.concatenate(some))

    def _planes(self, level: Any, window: Window, band: int | slice) -> Pixels:
        """Pixels [h, w] of a band counted from 0, or [h, w, samples] of all."""
        rows, columns = window.slices()
        places: dict[str, int | slice] = {"Y": rows, "X": columns, self._band_axis: band}
        planes: Pixels = level[tuple(places.get(axis, 0) for axis in self._series.axes)]
        return planes

    def _level(self, number: int) -> Any:
        """The pixels of a level, 0 being the full resolution, as a zarr array."""
        import zarr

        return zarr.open_array(self._series.aszarr(level=number), mode="r")

    def _first_series(self) -> Any:
        if is_named_ome(self.name) and not self._file.is_ome:
            # It often lies at the file's end. Without it, channels are taken for images.
            raise unreadable(self.name, EOFError("OME-XML is missing"))
        try:
            return self._file.series[0]
        except Exception as error:  # A damaged directory, or OME-XML that is no XML.
            raise unreadable(self.name, error) from error


def is_named_ome(name: str) -> bool:
    """Whether a file's name says that it is an OME-TIFF."""
    return ".ome" in [suffix.lower() for suffix in Path(name).suffixes]


def _files_of(name: str, series: Any) -> list[str]:
    """The file, and the others in which an OME-TIFF has more of its bands."""
    own = str(Path(name).resolve())
    others = {page.parent.filehandle.path for page in series.pages if page is not None}
    return [name, *sorted(other for other in others if str(Path(other).resolve()) != own)]


def _check_axes(name: str, series: Any) -> None:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    others = [axis for axis in series.axes if axis not in "YXSC" and sizes[axis] > 1]
    both = sizes.get("S", 1) > 1 and sizes.get("C", 1) > 1
    if others or both or not {"Y", "X"} <= set(sizes):
        lengths = ", ".join(f"{axis} {length}" for axis, length in sizes.items())
        raise SceneError(
            f"{name}: has the axes {lengths}, but besides rows (Y), columns (X) and either "
            "channels (C) or samples (S) no axis may be longer than 1; save one plane of it"
        )


def _check_codec(name: str, series: Any) -> None:
    """Whether there is a decoder; better asked now than at the first pixel."""
    from tifffile import TIFF

    page = series.keyframe
    steps = (
        (page.compression, TIFF.DECOMPRESSORS, "compression"),
        (page.predictor, TIFF.UNPREDICTORS, "predictor"),
    )
    for step, known, what in steps:
        try:
            known[step]
        except (KeyError, ImportError) as error:
            raise _no_codec(name, f"{what} {getattr(step, 'name', step)}") from error
    if page.bitspersample % 8 and find_spec("imagecodecs") is None:
        raise _no_codec(name, f"pixels of {page.bitspersample} bits")


def _no_codec(name: str, what: str) -> CodecError:
    return CodecError(
        f"{name}: has {what}, for which a package is missing; "
        "pip install imagecodecs, or save it with deflate or uncompressed"
    )


def _check_whole(name: str, series: Any) -> None:
    """Whether all pixels lie inside the file: tifffile reads those cut off as zeros."""
    if series.dataoffset is not None:  # All planes lie one after the other.
        ends = [(series.keyframe.parent, series.dataoffset + series.nbytes)]
    elif None in list(series.pages):
        raise unreadable(name, EOFError("planes are missing"))
    else:
        ends = [
            (page.parent, offset + count)
            for page in series.pages
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
        ]
    for file, end in ends:
        if end > file.filehandle.size:
            raise unreadable(name, EOFError(f"{file.filehandle.size} bytes instead of {end}"))


def _colour_model(name: str, series: Any, bands: Bands) -> ColourModel | None:
    """What makes colours of the samples; None where they are colours, or numbers are wanted."""
    from tifffile import PHOTOMETRIC

    page = series.keyframe
    if page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None and bands != 1:
        opaque = np.full(page.colormap.shape[1], 255)
        # A TIFF's palette is of 16 bits.
        table = np.concatenate([page.colormap // 257, opaque[None]]).T
        return palette_of(dict(enumerate(table.tolist())), grey_is_one=bands is None)
    if page.photometric == PHOTOMETRIC.SEPARATED and page.samplesperpixel >= len(INKS):
        return inks_of(name, series.dtype)
    return None


def _nodata_of(series: Any) -> float | None:
    """The nodata value that GDAL's tag declares."""
    tag = series.keyframe.tags.get("GDAL_NODATA")
    try:
        return None if tag is None else float(str(tag.value).strip("\0 "))
    except ValueError:
        return None


def _alpha_samples(series: Any) -> list[int]:
    """Numbers, from 1 on, of the samples that hold alpha: the file's extra samples say so."""
    from tifffile import EXTRASAMPLE

    extras = series.keyframe.extrasamples
    first = series.keyframe.samplesperpixel - len(extras) + 1
    alpha = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
    return [first + place for place, kind in enumerate(extras) if kind in alpha]
