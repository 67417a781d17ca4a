"""Some rows of the arrays in a file of `numpy.savez`, without the rest of it."""

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_LOCAL_HEADER = 30
"""Bytes that a zip file has before the name of each of its files."""


@dataclass(frozen=True)
class StoredArray:
    """Where an array lies in a file.

    Attributes:
        start: The byte that it begins with.
        dtype: Its type.
        shape: Its sizes [..., h, w].
    """

    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def read(self, file: IO[bytes], rows: slice, columns: slice) -> NDArray[Any]:
        """Some rows and columns [..., h, w]."""
        height, width = self.shape[-2:]
        count = rows.stop - rows.start
        planes = int(np.prod(self.shape[:-2], dtype=int))
        found = np.empty((planes, count, columns.stop - columns.start), self.dtype)
        for plane in range(planes):
            first = (plane * height + rows.start) * width
            file.seek(self.start + first * self.dtype.itemsize)
            whole = np.fromfile(file, self.dtype, count * width)
            found[plane] = whole.reshape(count, width)[:, columns]
        return found.reshape(*self.shape[:-2], *found.shape[1:])


def stored_arrays(file: IO[bytes]) -> Mapping[str, StoredArray]:
    """The arrays in an uncompressed file of `numpy.savez`, by name, all of which is checked.

    Raises:
        zipfile.BadZipFile: The file is damaged, or none of this kind.
    """
    found = {}
    with zipfile.ZipFile(file) as archive:
        if (bad := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"{bad} is not as it was written")
        for info in archive.infolist():
            with archive.open(info) as member:
                np.lib.format.read_magic(member)
                shape, _, dtype = np.lib.format.read_array_header_1_0(member)
                header = member.tell()
            file.seek(info.header_offset)
            name, extra = struct.unpack("<26x2H", file.read(_LOCAL_HEADER))
            start = info.header_offset + _LOCAL_HEADER + name + extra + header
            found[info.filename.removesuffix(".npy")] = StoredArray(start, dtype, shape)
    return found
