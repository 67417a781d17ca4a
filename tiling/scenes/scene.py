"""Where pixels come from: anything with a size, bands and windows to read."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from tiling.errors import SceneError
from tiling.window import Window

Pixels = NDArray[Any]
"""[bands, h, w], of a scene's dtype."""

Valid = NDArray[np.bool_]
"""[h, w], True where a scene has a pixel."""


class Raster(Protocol):
    """A raster, so far as it can be laid on another one."""

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
    def crs(self) -> CRS | None:
        """Coordinate reference system, where there is one."""
        ...

    @property
    def transform(self) -> Affine:
        """From pixels to coordinates; the identity where there is none."""
        ...


class Scene(Raster, Protocol):
    """What the engine needs of an input. Several threads may read it at once."""

    @property
    def files(self) -> Sequence[str]:
        """What it is read from, so far as that is known: a VRT's sources, a mask beside, ..."""
        ...

    @property
    def bands(self) -> int:
        """Bands that `read` returns."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels that `read` returns: one of `tiling.scenes.bands.TYPES`."""
        ...

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """Pixels [bands, h, w] of a window inside the scene, and which of them are there [h, w].

        A pixel is the same in whatever window it is read. Pixels that are not there have any
        value, but a finite one.

        Raises:
            SceneError: The pixels cannot be read.
        """
        ...


class FileScene:
    """A scene that holds a file open; use it as a context."""

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
        """Closes the file."""
        raise NotImplementedError


class WrappedRaster:
    """A raster made from another one, which stays the caller's to close.

    Args:
        raster: The other one.
    """

    def __init__(self, raster: Raster) -> None:
        self._raster = raster

    @property
    def name(self) -> str:
        """See `Raster`."""
        return self._raster.name

    @property
    def height(self) -> int:
        """See `Raster`."""
        return self._raster.height

    @property
    def width(self) -> int:
        """See `Raster`."""
        return self._raster.width

    @property
    def crs(self) -> CRS | None:
        """See `Raster`."""
        return self._raster.crs

    @property
    def transform(self) -> Affine:
        """See `Raster`."""
        return self._raster.transform


class WrappedScene(WrappedRaster):
    """A scene made from another one; `read` is its own.

    Args:
        scene: The other one.
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.scene = scene

    @property
    def files(self) -> Sequence[str]:
        """See `Scene`."""
        return self.scene.files

    @property
    def bands(self) -> int:
        """See `Scene`."""
        return self.scene.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Scene`."""
        return self.scene.dtype


def unreadable(name: str, error: BaseException) -> SceneError:
    """What to raise where a file that could be opened cannot be read."""
    return SceneError(
        f"{name}: pixels cannot be read ({first_line(error.__cause__ or error)}); "
        "the file seems damaged or cut off: copy it again"
    )


def first_line(error: BaseException) -> str:
    """An error in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
