"""Opens a file with the reader that suits it."""

from pathlib import Path

import rasterio

from tiling.errors import CodecError
from tiling.scenes.bands import Bands
from tiling.scenes.raster import GDAL_ERRORS, RasterScene, is_local, without_georeferencing_warning
from tiling.scenes.tiff import TiffScene, is_named_ome

_SUFFIXES = {".tif", ".tiff", ".btf"}
_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""What a TIFF, or a BigTIFF, starts with."""


def open_scene(path: str | Path, *, bands: Bands = 3) -> RasterScene | TiffScene:
    """Opens a scene: an OME-TIFF, or a TIFF that GDAL cannot open, with tifffile, others with GDAL.

    Args:
        path: File, or anything GDAL takes as one.
        bands: How many colour bands it must have, or the numbers, from 1 on, of those to read.

    Raises:
        SceneError: See `RasterScene` and `TiffScene`.
    """
    file = Path(path)
    if not is_local(str(path)) or file.suffix.lower() not in _SUFFIXES or not file.is_file():
        return RasterScene(path, bands=bands)
    try:
        with without_georeferencing_warning(), rasterio.Env(), rasterio.open(file) as dataset:
            # Asked of GDAL, for importing tifffile takes longer than all else.
            description = dataset.tags().get("TIFFTAG_IMAGEDESCRIPTION", "")
            in_one_page = not dataset.subdatasets
    except GDAL_ERRORS:
        with file.open("rb") as start:
            is_tiff = start.read(4) in _SIGNATURES
        return TiffScene(path, bands=bands) if is_tiff else RasterScene(path, bands=bands)
    if not (is_named_ome(file.name) or description.rstrip().endswith("OME>")):
        return RasterScene(path, bands=bands)
    try:
        return TiffScene(path, bands=bands)
    except CodecError:
        # GDAL has more codecs, and misses nothing where all samples lie in one page.
        if not in_one_page:
            raise
        return RasterScene(path, bands=bands)
