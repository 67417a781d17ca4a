"""Photographs in DICOM files, as scenes."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tiling.dicom.header import header_of
from tiling.dicom.names import FRAME, parted, pseudonym_of
from tiling.dicom.pixels import decoded, dtype_of
from tiling.errors import SceneError
from tiling.readers.bands import TYPES, Bands, chosen_bands, pixel_type
from tiling.readers.sources import check_size
from tiling.scenes.scene import BaseFileScene, Pixels, Valid
from tiling.window import Window


class DicomScene(BaseFileScene):
    """A photograph in a DICOM file, or a frame of one: RGB or grey, all pixels there.

    It is called by its pseudonym, see `tiling.dicom.names`. It is decoded when it is first read,
    whole: a photograph fits into memory.

    Args:
        path: File, or `DICOM_FRAME:2:FILE` for a frame of it.
        bands: How many colour bands it must have, or the numbers, from 1 on, of those to read;
            None reads all colour bands.
        types: Types that its pixels may have.

    Raises:
        CodecError: There is no pydicom.
        SceneError: No such file, no photograph, of several frames without saying which, without
            the bands that are wanted, or with pixels of another type than `types`.
    """

    def __init__(self, path: str | Path, *, bands: Bands = 3, types: Sequence[str] = TYPES) -> None:
        self._source = str(path)
        file, frame = parted(self._source)
        self.name = pseudonym_of(self._source) or self._source
        self.files = [file]
        self._header = header = header_of(self._source, self.name)
        self.eye = header.eye
        if frame is None and header.frames > 1:
            raise SceneError(
                f"{self.name}: holds {header.frames} frames; give the name {FRAME}:1:FILE for the "
                "first of them, or infer_drive the file, which takes each for an image"
            )
        if frame is not None and not 1 <= frame <= header.frames:
            raise SceneError(f"{self.name}: there are only {header.frames} frames; choose another")
        self.height, self.width = header.rows, header.columns
        check_size(self.name, self.height, self.width)
        if header.bands == 1 and isinstance(bands, int) and bands > 1:
            repeated = ",".join("1" * bands)
            raise SceneError(
                f"{self.name}: grey, but the network wants {bands} bands; to give it grey for "
                f"each colour, in a run of grey ones: --bands {repeated}"
            )
        self._bands = chosen_bands(self.name, bands, range(1, header.bands + 1), header.bands)
        self.bands = len(self._bands)
        self.dtype: np.dtype[Any] = pixel_type(self.name, [str(dtype_of(header))], types)
        self.descriptions = [""] * self.bands
        self.scales = [(1.0, 0.0)] * self.bands
        self._pixels: Pixels | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """See `FileScene.close`."""
        with self._lock:
            self._pixels = None

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`."""
        rows, columns = window.slices()
        pixels = self._picture()[:, rows, columns]
        return pixels, np.ones(pixels.shape[1:], bool)

    def overview(self, longest: int) -> tuple[Pixels, Valid]:
        """See `FileScene.overview`."""
        step = -(-max(self.height, self.width) // longest)
        pixels = self._picture()[:, ::step, ::step]
        return pixels, np.ones(pixels.shape[1:], bool)

    def _picture(self) -> Pixels:
        with self._lock:
            if self._pixels is None:
                every = decoded(self._source, self.name, self._header)
                self._pixels = every[[band - 1 for band in self._bands]]
            return self._pixels
