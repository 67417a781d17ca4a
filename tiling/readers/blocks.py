"""Files whose pixels depend on the window in which GDAL reads them."""

import threading
import xml.etree.ElementTree as ET
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio

from tiling.readers.bands import TYPES, Bands
from tiling.readers.raster import GDAL_ERRORS, RasterScene, without_georeferencing_warning
from tiling.scenes.mosaic import vrt_of
from tiling.scenes.scene import Pixels, Valid
from tiling.window import Window

_SIDE = 1024
"""Side, in pixels, of the blocks. They are read as a whole, so larger ones cost more at borders."""

_KEPT_BYTES = 64 * 1024 * 1024
"""Blocks that are kept, in bytes: tiles of the next row need most of them again."""

_AS_IT_IS = ("SimpleSource", "ComplexSource")
"""Sources of a VRT that hand on the pixels of a file, unless these are scaled."""

_EXACT = 1e-6
"""Sizes and places in a VRT that differ by less are the same."""


class BlockwiseScene(RasterScene):
    """A file that GDAL reads, always in the same blocks.

    Where GDAL resamples while it reads, as in a warped VRT, a pixel depends on the window: it
    interpolates coordinates, or starts its averages, anew for each. So the file is read in blocks
    of a fixed grid, and windows are cut from these.

    Args:
        path: See `RasterScene`.
        bands: See `RasterScene`.
        types: See `RasterScene`.

    Raises:
        SceneError: See `RasterScene`.
    """

    def __init__(self, path: str | Path, *, bands: Bands = 3, types: Sequence[str] = TYPES) -> None:
        super().__init__(path, bands=bands, types=types)
        self._blocks: OrderedDict[tuple[int, int], tuple[Pixels, Valid]] = OrderedDict()
        self._kept_bytes = 0
        self._blocks_lock = threading.Lock()

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`."""
        pixels = np.empty((self.bands, window.height, window.width), self.dtype)
        valid = np.empty((window.height, window.width), bool)
        for row in range(window.row // _SIDE, -(-window.bottom // _SIDE)):
            for column in range(window.column // _SIDE, -(-window.right // _SIDE)):
                block = self._window_of(row, column)
                of_block = self._block(row, column)
                common = block.intersection(window)
                pixels[:, *common.slices(window)] = of_block[0][:, *common.slices(block)]
                valid[common.slices(window)] = of_block[1][common.slices(block)]
        return pixels, valid

    def _window_of(self, row: int, column: int) -> Window:
        whole = Window(0, 0, self.height, self.width)
        return Window(row * _SIDE, column * _SIDE, _SIDE, _SIDE).intersection(whole)

    def _block(self, row: int, column: int) -> tuple[Pixels, Valid]:
        with self._blocks_lock:
            if (kept := self._blocks.get((row, column))) is not None:
                self._blocks.move_to_end((row, column))
                return kept
        # Not under the lock: threads read different blocks at once.
        block = super().read(self._window_of(row, column))
        with self._blocks_lock:
            if (row, column) not in self._blocks:
                self._blocks[row, column] = block
                self._kept_bytes += _bytes(block)
            while self._kept_bytes > _KEPT_BYTES and len(self._blocks) > 1:
                _, oldest = self._blocks.popitem(last=False)
                self._kept_bytes -= _bytes(oldest)
        return block


def depends_on_windows(name: str) -> bool:
    """Whether a file is a VRT or a tile index from which GDAL may read a pixel in several ways.

    That is the case if it is warped or computed, or if a source of it is scaled, or is such a file
    itself. A file that cannot be opened is none.
    """
    if not _may_be_virtual(name):
        return False
    try:
        with without_georeferencing_warning(), rasterio.open(name) as dataset:
            if dataset.driver != "VRT":
                return bool(dataset.driver == "GTI")
            description = vrt_of(dataset)
    except (*GDAL_ERRORS, KeyError):
        return False
    return _resamples(description, Path(name).parent)


def _may_be_virtual(name: str) -> bool:
    """Whether a name is that of a VRT or a tile index, so that others need not be opened."""
    return name.startswith(("vrt://", "<VRT", "GTI:")) or ".vrt" in name.lower() or ".gti" in name


def _resamples(vrt: ET.Element, folder: Path) -> bool:
    if vrt.get("subClass") is not None:  # Warped, pansharpened, processed.
        return True
    for band in vrt.iter("VRTRasterBand"):
        if band.get("subClass") is not None:  # Computed, or warped too.
            return True
    for element in vrt.iter():
        if not element.tag.endswith("Source"):
            continue
        if element.tag not in _AS_IT_IS or _is_scaled(element):
            return True
        source = element.find("SourceFilename")
        if source is None or not source.text:
            continue
        relative = source.get("relativeToVRT") == "1"
        if depends_on_windows(str(folder / source.text) if relative else source.text):
            return True
    return False


def _is_scaled(source: ET.Element) -> bool:
    """Whether a source has another size in the VRT than in its file, or lies between pixels."""
    of_file, of_vrt = source.find("SrcRect"), source.find("DstRect")
    if of_file is None or of_vrt is None:
        return False
    sides = ("xOff", "yOff", "xSize", "ySize")
    there, here = (
        np.array([float(rectangle.get(side, 0)) for side in sides])
        for rectangle in (of_file, of_vrt)
    )
    grown = np.abs(there - here)[2:] > _EXACT
    between = np.abs(there - np.rint(there)) > _EXACT
    return bool(grown.any() or between.any())


def _bytes(block: tuple[Pixels, Valid]) -> int:
    return block[0].nbytes + block[1].nbytes
