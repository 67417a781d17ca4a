"""Where results go: files that appear whole or not at all."""

import os
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling

from tiling.disk import refusals_named
from tiling.masks.overviews import halved
from tiling.readers.raster import without_georeferencing_warning
from tiling.scenes.control import GroundControl
from tiling.window import Window, split

BLOCK = 512
"""Side of a block of the files; windows that are multiples of it are written once."""

_CLOSED_AT_ONCE = 2
"""Sinks that are closed at the same time. GDAL compresses each in its share of the cores: more
threads would gain less, and take more memory."""

_HALVED_AT_ONCE = BLOCK
"""Side, in pixels, of the windows in which overviews of classes are made."""


class Sink(Protocol):
    """One file of a result: a raster, a layer of lines, a table.

    It is given windows, then it is closed, then published.
    """

    def write(self, window: Window, pixels: NDArray[Any]) -> None:
        """Takes the pixels [bands, h, w] of a window.

        Windows come row by row and do not overlap; together they are the scene.
        """
        ...

    def close(self) -> None:
        """Makes the file, whole and checked, but not under its name yet."""
        ...

    def publish(self) -> Path:
        """Gives the file its name."""
        ...


@dataclass(frozen=True)
class Description:
    """What a raster is besides its pixels.

    Attributes:
        height: Rows.
        width: Columns.
        dtype: Type of the pixels.
        nodata: Value of pixels that are not there; None for none.
        bands: What each band shows.
        crs: Coordinate reference system.
        transform: From pixels to coordinates; the identity where there is none.
        control: What else tells where the pixels lie.
        scale: What a value is multiplied with to get what it stands for.
        tags: What else is noted.
    """

    height: int
    width: int
    dtype: str
    nodata: float | None
    bands: Sequence[str]
    crs: CRS | None = None
    transform: Affine = field(default_factory=Affine.identity)
    control: GroundControl | None = None
    scale: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class _CopiedSink:
    """A plain GeoTIFF is written window by window, and copied to its final format in the end.

    Args:
        path: The final name.
        folder: Where the file lies until then; on the same disk.
        description: What the raster is.
        options: For rasterio's copy.
    """

    def __init__(
        self, path: Path, folder: Path, description: Description, **options: object
    ) -> None:
        self._options = options
        self.path = path
        self.description = description
        self._raw = folder / f"{path.name}.raw"
        self._built = folder / f"{path.name}.built"
        self._sums: dict[Window, int] = {}
        d = description
        profile = {
            "driver": "GTiff", "dtype": d.dtype, "count": len(d.bands), "nodata": d.nodata,
            # Else three bands of bytes are red, green and blue, which `close` cannot change.
            "height": d.height, "width": d.width, "interleave": "band", "photometric": "minisblack",
            "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "bigtiff": "if_safer",
        }  # fmt: skip
        if d.crs is not None or d.transform != Affine.identity():
            profile |= {"crs": d.crs, "transform": d.transform}
        elif d.control is not None and d.control.points:
            profile |= {"gcps": d.control.points, "crs": d.control.crs}
        elif d.control is not None and d.control.camera is not None:
            profile |= {"rpcs": d.control.camera}
        with refusals_named(path), without_georeferencing_warning():
            self._raster = rasterio.open(self._raw, "w", **profile)

    def write(self, window: Window, pixels: NDArray[Any]) -> None:
        """See `Sink.write`."""
        self._sums[window] = _checksum(pixels)
        with refusals_named(self.path):
            self._raster.write(pixels, window=window.as_rasterio())

    def close(self) -> None:
        """See `Sink.close`.

        Raises:
            SinkError: The disk refuses.
        """
        d = self.description
        with refusals_named(self.path), without_georeferencing_warning():
            self._raster.update_tags(**d.tags)
            self._raster.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * (
                len(d.bands) - 1
            )
            if d.scale is not None:
                self._raster.scales = [d.scale] * len(d.bands)
            for band, text in enumerate(d.bands, start=1):
                self._raster.set_band_description(band, text)
            self._raster.close()
            # Without it a PNG would get a file of metadata at its side.
            with rasterio.Env(GDAL_PAM_ENABLED="NO"):
                rasterio.shutil.copy(self._source(), self._built, **self._options)
            self._check()
            for file in self._unfinished():
                file.unlink()

    def publish(self) -> Path:
        """See `Sink.publish`."""
        with refusals_named(self.path):
            self._built.replace(self.path)
        return self.path

    def _source(self) -> Path:
        """The file that is copied."""
        return self._raw

    def _unfinished(self) -> list[Path]:
        """Files that are no longer needed once the copy is made."""
        return [self._raw]

    def _check(self) -> None:
        """Reads the file back: of a disk that fills up while it closes one GDAL says nothing."""
        with rasterio.open(self._built) as raster:
            for window, checksum in self._sums.items():
                if _checksum(raster.read(window=window.as_rasterio())) != checksum:
                    raise OSError(f"{self.path.name} reads back otherwise than it was written")


class CogSink(_CopiedSink):
    """A Cloud-Optimized GeoTIFF whose overviews are means of its pixels.

    Args:
        path: See `_CopiedSink`.
        folder: See `_CopiedSink`.
        description: See `_CopiedSink`.
    """

    def __init__(self, path: Path, folder: Path, description: Description) -> None:
        # Level 1 is twice as fast as the usual 6, for files 8 % larger.
        super().__init__(
            path, folder, description, driver="COG", compress="DEFLATE", level=1, predictor="NO",
            num_threads=max(1, len(os.sched_getaffinity(0)) // _CLOSED_AT_ONCE), blocksize=BLOCK,
            bigtiff="IF_SAFER", overviews="FORCE_USE_EXISTING",
        )  # fmt: skip

    def _source(self) -> Path:
        # The copy would take half as long again if it made them.
        if factors := [2**level for level, _ in enumerate(self._sizes(), start=1)]:
            with rasterio.open(self._raw, "r+") as raster:
                raster.build_overviews(factors, Resampling.average)
        return self._raw

    def _sizes(self) -> Iterator[tuple[int, int]]:
        """Height and width of each overview, from the largest on."""
        height, width = self.description.height, self.description.width
        while max(height, width) > BLOCK:
            height, width = -(-height // 2), -(-width // 2)
            yield height, width


class ClassCogSink(CogSink):
    """A Cloud-Optimized GeoTIFF of one band of classes, whose overviews keep thin lines.

    GDAL's own overviews of classes ("mode") lose a line of one pixel in every other column. So
    these are made here (see `tiling.masks.overviews`), and a VRT hands them to the copy.

    Args:
        path: See `_CopiedSink`.
        folder: See `_CopiedSink`.
        description: See `_CopiedSink`; of one band, uint8.
    """

    def _source(self) -> Path:
        source = self._raw
        levels: list[Path] = []
        for height, width in self._sizes():
            level = self._level(len(levels))
            _write_halved(source, level, height, width)
            levels.append(level)
            source = level
        rasterio.shutil.copy(self._raw, self._vrt, driver="VRT")
        tree = ET.parse(self._vrt)
        (band,) = tree.iter("VRTRasterBand")
        for level in levels:
            overview = ET.SubElement(band, "Overview")
            ET.SubElement(overview, "SourceFilename", relativeToVRT="1").text = level.name
            ET.SubElement(overview, "SourceBand").text = "1"
        tree.write(self._vrt)
        return self._vrt

    def _unfinished(self) -> list[Path]:
        levels = self._raw.parent.glob(f"{self._raw.name}.*")
        return [*super()._unfinished(), self._vrt, *levels]

    @property
    def _vrt(self) -> Path:
        return self._raw.with_suffix(".vrt")

    def _level(self, number: int) -> Path:
        return self._raw.with_name(f"{self._raw.name}.{number}")


class PngSink(_CopiedSink):
    """A PNG of one or three bands of 8 or 16 bits, for programs that know no GeoTIFF.

    Args:
        path: See `_CopiedSink`.
        folder: See `_CopiedSink`.
        description: See `_CopiedSink`.
    """

    def __init__(self, path: Path, folder: Path, description: Description) -> None:
        super().__init__(path, folder, description, driver="PNG", zlevel=6)


def publish(sinks: Iterable[Sink]) -> list[Path]:
    """Closes all, then names all: either every file of a result appears, or none."""
    sinks = list(sinks)
    # Here too: the threads set and restore the filters of warnings, which are the process's, in
    # any order.
    with without_georeferencing_warning(), ThreadPoolExecutor(_CLOSED_AT_ONCE) as pool:
        for closed in [pool.submit(sink.close) for sink in sinks]:
            closed.result()
    return [sink.publish() for sink in sinks]


def _write_halved(source: Path, target: Path, height: int, width: int) -> None:
    """Writes the classes of a file as a file of half the size."""
    with rasterio.open(source) as raster:
        profile = raster.profile
        profile |= {"height": height, "width": width}
        del profile["transform"]

        def read(window: Window) -> NDArray[np.uint8]:
            pixels: NDArray[np.uint8] = raster.read(1, window=window.as_rasterio())
            return pixels

        with rasterio.open(target, "w", **profile) as half:
            for window in split(half.height, half.width, _HALVED_AT_ONCE):
                pixels = halved(read, raster.height, raster.width, window)
                half.write(pixels, 1, window=window.as_rasterio())


def _checksum(pixels: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).data)
