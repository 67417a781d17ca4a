"""Where pixels come from: anything with a size, bands and windows to read."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from tiling.errors import SceneError
from tiling.scenes.control import GroundControl
from tiling.scenes.eye import Eye
from tiling.scenes.mosaic import Gap
from tiling.scenes.names import without_secrets
from tiling.window import Window

Pixels = NDArray[Any]
"""[bands, h, w], of a scene's dtype."""

Valid = NDArray[np.bool_]
"""[h, w], True where a scene has a pixel."""


class Raster(Protocol):
    """Name, size and place of a raster: enough to compare it with another one."""

    @property
    def name(self) -> str:
        """Path or URL; messages call it so."""
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
    """All that prediction needs of an input. Several threads may read it at once."""

    @property
    def files(self) -> Sequence[str]:
        """Files it is read from, as far as they are known: itself, a VRT's sources, a mask, ..."""
        ...

    @property
    def bands(self) -> int:
        """Bands that `read` returns."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels that `read` returns: one of `tiling.readers.bands.TYPES`."""
        ...

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """Pixels [bands, h, w] of a window inside the scene, and which of them are there [h, w].

        A pixel is the same in whatever window it is read. Pixels that are not there have any
        value, but a finite one.

        Raises:
            SceneError: The pixels cannot be read.
        """
        ...


class FileScene(Scene, Protocol):
    """An open file: what is asked of every reader (see `tiling.readers.files.READERS`).

    Use it as a context, which closes it.
    """

    @property
    def gap(self) -> Gap | None:
        """What no source of a mosaic covers."""
        ...

    @property
    def control(self) -> GroundControl | None:
        """What tells where its pixels lie, where that is no transform."""
        ...

    @property
    def nodata(self) -> float | None:
        """The value of pixels that are not there, where the file declares one."""
        ...

    @property
    def palette(self) -> Mapping[int, tuple[int, ...]]:
        """Red, green and blue (0 to 255) of each value of the first band; empty without one."""
        ...

    @property
    def descriptions(self) -> Sequence[str]:
        """What the file calls each band that is read; empty texts where it says nothing."""
        ...

    @property
    def scales(self) -> Sequence[tuple[float, float]]:
        """Scale and offset that the file declares for each band that is read, by default 1, 0."""
        ...

    @property
    def bits(self) -> int | None:
        """How many bits of its type the file says that it uses; None where it says nothing."""
        ...

    @property
    def pages(self) -> int:
        """How many pictures the file holds, of which the first is read."""
        ...

    @property
    def doubtful(self) -> Sequence[int]:
        """Numbers of bands that the file calls alpha, but that are read as colours."""
        ...

    @property
    def eye(self) -> Eye | None:
        """What the file says of the eye that it shows; None of files that say nothing of eyes."""
        ...

    def overview(self, longest: int) -> tuple[Pixels, Valid]:
        """The whole scene as `read` gives it, decimated so that no side is over `longest` pixels.

        Raises:
            SceneError: The pixels cannot be read.
        """
        ...

    def close(self) -> None:
        """Closes the file, in every thread that read it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class BaseFileScene:
    """What readers have in common: a context that closes the file, and what most files lack."""

    crs: CRS | None = None
    transform: Affine = Affine.identity()
    gap: Gap | None = None
    control: GroundControl | None = None
    nodata: float | None = None
    palette: Mapping[int, tuple[int, ...]] = MappingProxyType({})
    bits: int | None = None
    pages: int = 1
    doubtful: Sequence[int] = ()
    eye: Eye | None = None

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
        """See `FileScene`."""
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
    """The error to raise where a file that could be opened cannot be read."""
    cause = first_line(error.__cause__ or error)
    if cause.endswith(": No such file or directory"):
        missing = cause.removesuffix(": No such file or directory")
        return SceneError(
            f"{missing}: no such file, but {name} is made of it; put it back, or make {name} anew"
        )
    return SceneError(
        f"{name}: pixels cannot be read ({first_line(error.__cause__ or error)}); "
        "the file seems damaged or cut off: copy it again"
    )


def first_line(error: BaseException) -> str:
    """An error in one line, without what is secret in a URL."""
    return without_secrets(str(error).splitlines()[0]) if str(error) else type(error).__name__
