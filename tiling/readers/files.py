"""The readers of files, and how the one that suits a file is chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import rasterio

from tiling.dicom.names import is_dicom, parted
from tiling.errors import CodecError, SceneError
from tiling.readers.bands import TYPES, Bands
from tiling.readers.blocks import BlockwiseScene, depends_on_windows
from tiling.readers.dicom import DicomScene
from tiling.readers.orientation import check_orientation
from tiling.readers.raster import GDAL_ERRORS, RasterScene, without_georeferencing_warning
from tiling.readers.sources import check_sources
from tiling.readers.tiff import TiffScene, is_named_ome
from tiling.scenes.names import extension_of, is_local
from tiling.scenes.scene import FileScene

_TIFF = (".tif", ".tiff", ".btf")

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of a TIFF or a BigTIFF."""


_GDAL = (
    ".tif", ".tiff", ".vrt", ".png", ".gif", ".jpg", ".jpeg", ".jp2", ".img", ".bmp", ".ppm",
    ".pgm",
)  # fmt: skip

_GZIPPED = (".ppm.gz", ".pgm.gz", ".tif.gz", ".png.gz")
"""Compressed once more, as STARE is distributed."""


class OpenFile(Protocol):
    """Opens a file of one kind; the class of a reader is one."""

    def __call__(self, path: str | Path, *, bands: Bands, types: Sequence[str]) -> FileScene:
        """See `open_scene`."""
        ...


@dataclass(frozen=True)
class Reader:
    """A row of `READERS`.

    Attributes:
        extensions: Extensions of the files that it reads, in lower case.
        suits: Whether it reads the file of a given name; asked in the order of the table.
        open: Opens a file.
    """

    extensions: tuple[str, ...]
    suits: Callable[[str], bool]
    open: OpenFile


def _suits_tifffile(name: str) -> bool:
    """Whether a file is an OME-TIFF, or a TIFF that GDAL cannot open."""
    file = Path(name)
    if not is_local(name) or file.suffix.lower() not in _TIFF or not file.is_file():
        return False
    try:
        with without_georeferencing_warning(), rasterio.Env(), rasterio.open(file) as dataset:
            # GDAL is asked, because importing tifffile takes longer than all the rest.
            description = dataset.tags().get("TIFFTAG_IMAGEDESCRIPTION", "")
    except GDAL_ERRORS:
        with file.open("rb") as start:
            return start.read(4) in _SIGNATURES
    return is_named_ome(file.name) or description.rstrip().endswith("OME>")


def _open_tiff(path: str | Path, *, bands: Bands, types: Sequence[str]) -> FileScene:
    """Opens a TIFF with tifffile, or with GDAL where only GDAL can decode it."""
    try:
        return TiffScene(path, bands=bands, types=types)
    except CodecError:
        # GDAL has more codecs, and misses nothing where all samples lie in one page.
        if not _is_one_page(path):
            raise
        return RasterScene(path, bands=bands, types=types)


def _is_one_page(path: str | Path) -> bool:
    """Whether GDAL can open a TIFF, and finds one image in it."""
    try:
        with without_georeferencing_warning(), rasterio.open(path) as dataset:
            return not dataset.subdatasets
    except GDAL_ERRORS:
        return False


def _open_gzipped(path: str | Path, *, bands: Bands, types: Sequence[str]) -> FileScene:
    """Opens a file that was compressed with gzip; GDAL unpacks it as it reads."""
    if not Path(path).is_file():
        raise SceneError(f"{path}: no such file; check the path")
    unpacked = f"/vsigzip/{Path(path).resolve()}"
    check_sources(unpacked)
    scene = RasterScene(unpacked, bands=bands, types=types)
    scene.files = [str(path)]
    return scene


READERS = (
    # Not by extensions: many have none. `tiling.dicom.folders` looks for them.
    Reader((), lambda name: is_dicom(parted(name)[0]), DicomScene),
    Reader(_GZIPPED, lambda name: is_local(name) and extension_of(name) in _GZIPPED, _open_gzipped),
    Reader(_TIFF, _suits_tifffile, _open_tiff),
    Reader((".vrt",), depends_on_windows, BlockwiseScene),
    # GDAL comes last: it takes whatever the others leave, URLs and /vsi paths too.
    Reader(_GDAL, lambda name: True, RasterScene),
)
"""The readers; the first one that suits a file opens it. A new one is a row here."""

EXTENSIONS = tuple(dict.fromkeys(one for reader in READERS for one in reader.extensions))
"""Extensions of the files that are looked for in folders, each once."""


def open_scene(path: str | Path, *, bands: Bands = 3, types: Sequence[str] = TYPES) -> FileScene:
    """Opens a file with the first of `READERS` that suits it.

    Args:
        path: File, or anything GDAL takes as one.
        bands: How many colour bands it must have, or the numbers, from 1 on, of those to read;
            None reads all colour bands.
        types: Types that its pixels may have.

    Raises:
        SceneError: No such file, not a raster, without the bands that are wanted, with pixels of
            another type than `types`, or turned (see `tiling.readers.orientation`).
    """
    check_sources(str(path))
    check_orientation(str(path))
    reader = next(reader for reader in READERS if reader.suits(str(path)))
    return reader.open(path, bands=bands, types=types)
