"""What is made of a scene window by window, put aside on disk until it is needed again."""

import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tiling.disk import refusals_named
from tiling.window import Window


class Spool:
    """Bytes of windows, compressed, in a file that goes with the process.

    Reading a window back costs next to nothing beside making it again. Memory holds one window
    at a time. Use it as a context.

    Args:
        folder: Where the file lies; it has no name there.

    Attributes:
        size: Bytes on the disk.

    Raises:
        SinkError: The disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with refusals_named(folder):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._places: dict[Window, tuple[int, int]] = {}
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        # What a full disk did not take is said again; nobody needs it any more.
        with suppress(OSError):
            self._file.close()

    def write(self, window: Window, planes: NDArray[np.uint8]) -> None:
        """Puts planes [n, h, w] of a window aside, in place of any that were put aside before.

        Raises:
            SinkError: The disk refuses.
        """
        packed = zlib.compress(np.ascontiguousarray(planes).data, level=1)
        with refusals_named(self._folder):
            place = self._file.seek(self.size)
            self._file.write(packed)
        self.size = place + len(packed)
        self._places[window] = place, len(packed)

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The planes [n, h, w] of a window that was put aside; they cannot be written to.

        Raises:
            SinkError: The disk refuses.
        """
        place, length = self._places[window]
        with refusals_named(self._folder):
            self._file.seek(place)
            packed = self._file.read(length)
        planes = np.frombuffer(zlib.decompress(packed), np.uint8)
        return planes.reshape(-1, window.height, window.width)
