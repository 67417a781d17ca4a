"""Pictures that viewers turn: a note in the file says which way up their pixels are.

GDAL leaves the note aside. An image and its label may then lie differently, though a viewer shows
them alike, so such files are refused.
"""

import shlex
import struct
from pathlib import Path
from typing import BinaryIO

import rasterio

from tiling.errors import SceneError
from tiling.readers.raster import GDAL_ERRORS, without_georeferencing_warning
from tiling.scenes.names import is_local

_TAG = 274
"""Number of the orientation's entry, in EXIF and in TIFF."""

_PLACED = {33550, 33922, 34264}
"""Entries of a TIFF that say where it lies on the ground: its rows and columns count, not views."""

_TURNED = range(2, 9)
"""Orientations that are not upright, and known."""

_HEADER = 12

_SMALL, _BIG = (4, "I", "H", "HHIHH"), (8, "Q", "Q", "HHQHHI")
"""Where a TIFF, or a BigTIFF, tells of its first directory; the codes of its place, of the number
of entries, and of an entry: tag, type, count, and a value that is a short, with what follows it."""

_EXIF, _PIXELS_FOLLOW = 0xE1, 0xDA
"""Markers of a JPEG: of its EXIF, and the one after which there is none any more."""


def check_orientation(name: str) -> None:
    """Checks that the pixels of a picture lie as viewers show them.

    Args:
        name: Path, or anything GDAL takes as one.

    Raises:
        SceneError: They do not.
    """
    orientation = _orientation(name)
    if orientation in _TURNED:
        lossless = Path(name).suffix.lower() not in (".jpg", ".jpeg")
        made = str(Path(name) if lossless else Path(name).with_suffix(".png"))
        # Two files of one stem would be one scene, or two labels of one.
        advice = "" if lossless else " as PNG (then take the JPEG away)"
        program = (
            "from PIL import Image, ImageOps; "
            f"ImageOps.exif_transpose(Image.open({name!r})).save({made!r})"
        )
        raise SceneError(
            f"{name}: viewers turn this picture, as its EXIF orientation is {orientation}, but its "
            "pixels lie otherwise; give it with its pixels as they are shown, which this "
            f"writes{advice}: python -c {shlex.quote(program)}"
        )


def _orientation(name: str) -> int | None:
    """The orientation that a file notes, 1 being upright; None where it notes none."""
    if not is_local(name):
        return _of_remote(name)
    try:
        with Path(name).open("rb") as file:
            start = file.read(_HEADER)
            if start[:2] == b"\xff\xd8":
                return _of_jpeg(file)
            if start[:8] == b"\x89PNG\r\n\x1a\n":
                return _of_png(file)
            if start[:4] in (b"II*\0", b"MM\0*"):
                return _of_tiff(file, 0)
            if start[:4] in (b"II+\0", b"MM\0+"):
                return _of_tiff(file, 0, _BIG)
    except (OSError, struct.error):
        pass  # Whoever reads the file says what is wrong with it.
    return None


def _of_remote(name: str) -> int | None:
    """As GDAL tells it of a JPEG that it has to fetch or unpack."""
    if not name.lower().endswith((".jpg", ".jpeg")):
        return None
    try:
        with without_georeferencing_warning(), rasterio.open(name) as dataset:
            noted = dataset.tags().get("EXIF_Orientation", "")
    except GDAL_ERRORS:
        return None
    return int(noted) if noted.isdecimal() else None


def _of_jpeg(file: BinaryIO) -> int | None:
    place = 2
    while True:
        file.seek(place)
        marker, kind, length = struct.unpack(">BBH", file.read(4))
        if marker != 0xFF or kind == _PIXELS_FOLLOW:
            return None
        if kind == _EXIF and file.read(6) == b"Exif\0\0":
            return _of_tiff(file, place + 10)
        place += 2 + length


def _of_png(file: BinaryIO) -> int | None:
    place = 8
    while True:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"eXIf":
            return _of_tiff(file, place + 8)
        if kind == b"IEND":
            return None
        place += 12 + length


def _of_tiff(file: BinaryIO, start: int, layout: tuple[int, str, str, str] = _SMALL) -> int | None:
    """The orientation in the first directory of a TIFF that starts somewhere in a file."""
    told, place, number, entry = layout
    file.seek(start)
    order = "<" if file.read(2) == b"II" else ">"

    def unpacked(code: str) -> int:
        value: int = struct.unpack(order + code, file.read(struct.calcsize(order + code)))[0]
        return value

    file.seek(start + told)
    file.seek(start + unpacked(place))
    count = unpacked(number)
    size = struct.calcsize(order + entry)
    found = {one[0]: one[3] for one in struct.iter_unpack(order + entry, file.read(size * count))}
    return None if _PLACED & found.keys() else found.get(_TAG)
