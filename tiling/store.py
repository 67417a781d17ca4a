"""Finished parts on disk: each is a file that appears whole, and any window can be read back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tiling.blend import NODATA, Accumulator, BlendWeights
from tiling.digests import Digests
from tiling.disk import appearing, refusals_named
from tiling.errors import SinkError
from tiling.grid import Grid
from tiling.part import Part
from tiling.rows import StoredArray, stored_arrays
from tiling.window import Window

SUFFIX = ".npz"


@dataclass(frozen=True)
class Blended:
    """What was predicted of a window.

    Attributes:
        levels: Levels [bands, h, w], 0 to 254, 255 where no pixel is.
        probability: The same before they were rounded [bands, h, w], 0 to 1, nan where no pixel
            is; None where only levels are kept.
    """

    levels: NDArray[np.uint8]
    probability: NDArray[np.float32] | None


@dataclass(frozen=True)
class PartStore:
    """The parts of one scene, in a folder.

    A part's file holds the final levels of its core, the sums of its rims, to which its
    neighbours' are added when they are read, and a hash of the pixels it was made from.
    Several processes may write to one folder.

    Attributes:
        folder: Where the files lie; it exists.
        grid: The scene's tiles.
        parts: All parts of the scene.
        bands: Bands of every part.
        raw: Whether probabilities are kept besides their levels.
    """

    folder: Path
    grid: Grid
    parts: Sequence[Part]
    bands: int
    raw: bool = False

    def path(self, part: Part) -> Path:
        """The file of a part."""
        return self.folder / f"{part.name}{SUFFIX}"

    def missing(self) -> list[Part]:
        """The parts that are still to be written."""
        return [part for part in self.parts if not self.path(part).exists()]

    def write(self, blended: Accumulator, digests: Digests) -> None:
        """Writes a part.

        Args:
            blended: Sums of all its tiles.
            digests: Hashes of the pixels it was made from.

        Raises:
            SinkError: The disk refuses; no part of the file is left.
        """
        part, weights = blended.part, blended.weights
        arrays: dict[str, NDArray[np.generic]] = {
            "digest": np.array(digests.part),
            "tiles": np.frombuffer(digests.tiles, np.uint8),
            "ways": np.frombuffer(digests.ways, np.uint8),
        }
        rows, columns = part.core.slices(part.extent)
        valid, sums = blended.valid[rows, columns], blended.sums[:, rows, columns]
        levels = weights.levels(sums, part.core)
        levels[:, ~valid] = NODATA
        arrays["levels"] = levels
        if self.raw:
            probability = weights.probability(sums, part.core)
            probability[:, ~valid] = np.nan
            arrays["probability"] = probability
        for index, rim in enumerate(part.rims):
            rows, columns = rim.slices(part.extent)
            arrays[f"sums{index}"] = blended.sums[:, rows, columns]
            arrays[f"valid{index}"] = blended.valid[rows, columns]
        path = self.path(part)
        with refusals_named(path), appearing(path) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def digests(self, part: Part) -> Digests:
        """Hashes of the pixels that a written part was made from."""
        with self._opened(part) as file, np.load(file) as arrays:
            # Earlier releases have kept none of the tiles.
            tiles, ways = (
                arrays[name].tobytes() if name in arrays else b"" for name in ("tiles", "ways")
            )
            return Digests(str(arrays["digest"]), tiles, ways)

    def read(self, window: Window) -> Blended:
        """Blends a window.

        All parts that meet the window have been written.

        Raises:
            SinkError: A part cannot be read.
        """
        shape = self.bands, window.height, window.width
        levels = np.full(shape, NODATA, np.uint8)
        probability = np.full(shape, np.nan, np.float32) if self.raw else None
        sums, valid = np.zeros(shape, self.weights.dtype), np.zeros(shape[1:], bool)
        rims = []
        for part in self._meeting(window):
            with self._opened(part) as file:
                arrays = self._arrays(part, file)
                if (core := part.core.intersection(window)).pixels:
                    here, there = core.slices(window), core.slices(part.core)
                    levels[:, *here] = arrays["levels"].read(file, *there)
                    if probability is not None:
                        probability[:, *here] = arrays["probability"].read(file, *there)
                for index, rim in enumerate(part.rims):
                    if (shared := rim.intersection(window)).pixels:
                        here, there = shared.slices(window), shared.slices(rim)
                        sums[:, *here] += arrays[f"sums{index}"].read(file, *there)
                        valid[here] |= arrays[f"valid{index}"].read(file, *there)
                        rims.append(shared)
        # Neighbours have most of their rims in common.
        for rim in dict.fromkeys(rims):
            here = rim.slices(window)
            levels[:, *here] = np.where(
                valid[here], self.weights.levels(sums[:, *here], rim), np.uint8(NODATA)
            )
            if probability is not None:
                probability[:, *here] = np.where(
                    valid[here], self.weights.probability(sums[:, *here], rim), np.float32(np.nan)
                )
        return Blended(levels, probability)

    @cached_property
    def weights(self) -> BlendWeights:
        """Blend weights of the grid."""
        return BlendWeights(self.grid)

    def _meeting(self, window: Window) -> Iterator[Part]:
        """The parts that share a pixel with a window; of a large scene they are a few of many."""
        top, left, bottom, right = self._extents
        meets = (top < window.bottom) & (left < window.right)
        meets &= (window.row < bottom) & (window.column < right)
        return (self.parts[place] for place in np.flatnonzero(meets).tolist())

    @cached_property
    def _extents(self) -> NDArray[np.int64]:
        """First row and column of each part, and the ones after its last [4, parts]."""
        extents = [part.extent for part in self.parts]
        ends = [(one.row, one.column, one.bottom, one.right) for one in extents]
        return np.array(ends, np.int64).reshape(-1, 4).T

    def _arrays(self, part: Part, file: IO[bytes]) -> Mapping[str, StoredArray]:
        """Where the arrays of a part lie in its file, which is checked the first time."""
        if part not in self._known:
            self._known[part] = stored_arrays(file)
        return self._known[part]

    @cached_property
    def _known(self) -> dict[Part, Mapping[str, StoredArray]]:
        """Parts whose files were found to be whole."""
        return {}

    @contextmanager
    def _opened(self, part: Part) -> Iterator[IO[bytes]]:
        path = self.path(part)
        try:
            with path.open("rb") as file:
                yield file
        except Exception as error:  # Of a damaged file zipfile, zlib and numpy say all sorts.
            raise SinkError(
                f"{path}: cannot be read back ({' '.join(str(error).split())}); "
                "delete it and run again"
            ) from error
