"""From a scene to its blended parts: read, predict, blend and write, all at the same time.

Rows of tiles are read ahead, batches are predicted in as many threads as the predictor asks
for, and finished parts are written in a thread of their own. Sums are whole numbers, so the
order in which tiles come back does not matter. What predicts is handed in.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiling.blend import Accumulator, BlendWeights
from tiling.digests import COLD, REFINED, TAKEN, Digests, tile_digest
from tiling.grid import Grid
from tiling.part import Part
from tiling.scenes.scene import Scene
from tiling.window import Window

Pixel = TypeVar("Pixel", bound=np.generic)

_ROWS_AHEAD = 2
"""Rows of tiles that each reading thread may be ahead."""

_READERS = 4
"""Threads that read where nothing else is done."""


class TilePredictor(Protocol):
    """What turns tiles into probabilities.

    A tile's result must not depend on its place in the batch, the batch's size or the thread.
    """

    @property
    def bands(self) -> int:
        """Bands it returns: foreground classes, times the steps that are kept."""
        ...

    @property
    def batch(self) -> int:
        """Tiles it takes at once."""
        ...

    @property
    def lanes(self) -> int:
        """Threads that may call it at the same time."""
        ...

    @property
    def readers(self) -> int:
        """Threads that read, so that it need not wait."""
        ...

    def __call__(self, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """From pixels [b, bands, t, t] and validity [b, t, t] to probabilities [b, bands, t, t].

        They are in 16-bit fixed point, see `tiling.blend.quantise`.
        """
        ...

    def refined(
        self, pixels: NDArray[Any], valid: NDArray[np.bool_], starts: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """The same from earlier masks on, in levels [b, classes, t, t].

        Returns:
            Probabilities, and of which tiles the earlier mask was of no use [b].
        """
        ...


class Known(Protocol):
    """What an earlier result says of tiles; threads may ask at the same time."""

    @property
    def refines(self) -> bool:
        """Whether tiles that are predicted start from earlier masks."""
        ...

    def taken(self, tile: Window) -> NDArray[np.uint16] | None:
        """Probabilities [bands, h, w] of a tile that is taken over; None of one to be predicted."""
        ...

    def start(self, tile: Window) -> NDArray[np.uint8]:
        """The levels [classes, h, w] that a tile starts from."""
        ...


@dataclass
class _Work:
    """A part on its way: its sums, how many tiles they lack, and hashes of what was read."""

    sums: Accumulator
    lacking: int
    digest: str = ""
    tiles: dict[Window, bytes] = field(default_factory=dict)
    ways: dict[Window, int] = field(default_factory=dict)

    @property
    def digests(self) -> Digests:
        """Of the part, all of whose tiles are done."""
        tiles = list(self.sums.part.tiles())
        ways = bytes(self.ways.get(tile, COLD) for tile in tiles)
        return Digests(self.digest, b"".join(self.tiles[tile] for tile in tiles), ways)


@dataclass(frozen=True)
class _Tile:
    """A tile as it was read: pixels [bands, h, w], valid [h, w]."""

    work: _Work
    window: Window
    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class _ReadTile:
    """A tile of a part as it was read, and the hash of the part as far as it was read."""

    part: Part
    window: Window
    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    digest: str


@dataclass(frozen=True)
class _Rows:
    """The pixels that a row of tiles adds to those of the row above, and their hash."""

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    digest: bytes


def stitch(
    scene: Scene,
    grid: Grid,
    parts: Sequence[Part],
    predict: TilePredictor,
    write: Callable[[Accumulator, Digests], None],
    *,
    known: Known | None = None,
    progress: Callable[[int], None] = lambda tiles: None,
) -> None:
    """Predicts parts of a scene, and writes each when its last tile has been blended.

    Two parts are held at a time: while one is written or has its last tiles predicted, the next
    has its first ones; more only where they have so few tiles that a batch holds several.

    Args:
        scene: Where pixels come from.
        grid: Its tiles.
        parts: What is to be predicted.
        predict: What turns tiles into probabilities.
        write: Takes the sums of a part and its digests; called in a thread of its own, for one
            part at a time.
        known: What an earlier result says of tiles; None without one.
        progress: Told how many tiles were done or skipped, each time some were.

    Raises:
        SceneError: Pixels cannot be read.
    """
    weights = BlendWeights(grid)
    with (
        _threads(predict.readers, "read") as reading,
        _threads(predict.lanes, "lane") as predicting,
        _threads(1, "write") as writing,
    ):
        running: deque[Future[list[_Work]]] = deque()
        writes: deque[Future[None]] = deque()
        unfinished = 0

        def done(work: _Work) -> None:
            nonlocal unfinished
            work.lacking -= 1
            if not work.lacking:
                unfinished -= 1
                while writes:
                    writes.popleft().result()
                writes.append(writing.submit(write, work.sums, work.digests))

        def settle(most: int) -> None:
            """Waits until at most so many batches are under way."""
            while len(running) > most:
                finished = running.popleft().result()
                for work in finished:
                    done(work)
                progress(len(finished))

        def predicted(tiles: list[_Tile]) -> list[_Work]:
            pixels = np.stack([reflected(tile.pixels, grid.tile) for tile in tiles])
            valid = np.stack([reflected(tile.valid, grid.tile) for tile in tiles])
            inside = slice(grid.tile_height), slice(grid.tile_width)
            for tile, seen, there in zip(tiles, pixels, valid, strict=True):
                # Not of the tile as it was read: these pixels lie together already.
                tile.work.tiles[tile.window] = tile_digest(seen[:, *inside], there[inside])
            if known is not None and known.refines:
                starts = [reflected(known.start(tile.window), grid.tile) for tile in tiles]
                found, cold = predict.refined(pixels, valid, np.stack(starts))
                for tile, was_cold in zip(tiles, cold, strict=True):
                    tile.work.ways[tile.window] = COLD if was_cold else REFINED
            else:
                found = predict(pixels, valid)
            for tile, fixed in zip(tiles, found, strict=True):
                tile.work.sums.add(tile.window, fixed, tile.valid)
            return [tile.work for tile in tiles]

        def submit(tiles: list[_Tile]) -> None:
            # One batch in work and one waiting for each lane, so that none ever waits.
            settle(2 * predict.lanes - 1)
            running.append(predicting.submit(predicted, tiles))

        def begin(part: Part) -> _Work:
            nonlocal unfinished
            while unfinished + len(writes) > 1 and (writes or running):
                if writes:
                    writes.popleft().result()
                else:
                    settle(len(running) - 1)
            unfinished += 1
            return _Work(Accumulator(weights, part, predict.bands), part.tile_count)

        batch: list[_Tile] = []
        work: _Work | None = None
        rows = _rows(scene, grid, parts, reading, predict.readers)
        for read in _tiles(grid, parts, rows):
            if work is None or work.sums.part is not read.part:
                work = begin(read.part)
            # Before its last tile is on its way the part cannot be finished.
            work.digest = read.digest
            taken = None if known is None else known.taken(read.window)
            if taken is not None or not read.valid.any():
                work.tiles[read.window] = tile_digest(read.pixels, read.valid)
                if taken is not None:
                    work.ways[read.window] = TAKEN
                    work.sums.add(read.window, taken, read.valid)
                done(work)
                progress(1)
                continue
            tile = _Tile(work, read.window, read.pixels, read.valid)
            batch.append(tile)
            if len(batch) == predict.batch:
                submit(batch)
                batch = []
        if batch:
            submit(batch)
        settle(0)
        while writes:
            writes.popleft().result()


def part_digest(scene: Scene, grid: Grid, part: Part) -> str:
    """A hash of the pixels of a part and of which of them are there: SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    for window in _windows(grid, part):
        digest.update(_read(scene, window).digest)
    return digest.hexdigest()


def digests_of(scene: Scene, grid: Grid, parts: Sequence[Part]) -> dict[Part, Digests]:
    """Hashes of parts and of their tiles, which are read for that alone."""
    found: dict[Part, Digests] = {}
    with _threads(_READERS, "read") as reading:
        for read in _tiles(grid, parts, _rows(scene, grid, parts, reading, _READERS)):
            before = found[read.part].tiles if read.part in found else b""
            found[read.part] = Digests(read.digest, before + tile_digest(read.pixels, read.valid))
    return found


def _windows(grid: Grid, part: Part) -> Iterator[Window]:
    """For each row of tiles, the pixels that the row above has not read yet."""
    extent = part.extent
    top = extent.row
    for origin in part.rows.origins:
        bottom = origin + grid.tile_height
        yield Window(top, extent.column, bottom - top, extent.width)
        top = bottom


def _read(scene: Scene, window: Window) -> _Rows:
    pixels, valid = scene.read(window)
    digest = hashlib.sha256(np.ascontiguousarray(pixels).data)
    digest.update(np.packbits(valid).data)
    return _Rows(pixels, valid, digest.digest())


def _rows(
    scene: Scene, grid: Grid, parts: Sequence[Part], pool: ThreadPoolExecutor, readers: int
) -> Iterator[_Rows]:
    """Reads all rows of tiles in order, some of them ahead."""
    coming: deque[Future[_Rows]] = deque()
    for part in parts:
        for window in _windows(grid, part):
            coming.append(pool.submit(_read, scene, window))
            if len(coming) > readers * _ROWS_AHEAD:
                yield coming.popleft().result()
    while coming:
        yield coming.popleft().result()


def _tiles(grid: Grid, parts: Sequence[Part], rows: Iterator[_Rows]) -> Iterator[_ReadTile]:
    """The tiles of all parts, cut out of the rows."""
    for part in parts:
        digest, extent = hashlib.sha256(), part.extent
        strip: _Rows | None = None
        for origin, window in zip(part.rows.origins, _windows(grid, part), strict=True):
            new = next(rows)
            digest.update(new.digest)
            strip = new if strip is None else _joined(strip, new, origin - window.row)
            for column in part.columns.origins:
                across = slice(column - extent.column, column - extent.column + grid.tile_width)
                tile = Window(origin, column, grid.tile_height, grid.tile_width)
                pixels, valid = strip.pixels[:, :, across], strip.valid[:, across]
                yield _ReadTile(part, tile, pixels, valid, digest.hexdigest())


def _joined(above: _Rows, new: _Rows, start: int) -> _Rows:
    """The next row of tiles: what it shares with the one above (`start` is negative), and more."""
    if start == 0:
        return new
    return _Rows(
        np.concatenate([above.pixels[:, start:], new.pixels], axis=1),
        np.concatenate([above.valid[start:], new.valid]),
        new.digest,
    )


def reflected(array: NDArray[Pixel], tile: int) -> NDArray[Pixel]:
    """Fills an array [..., h, w] up to [..., tile, tile] by reflection below and to the right."""
    height, width = array.shape[-2:]
    if height == tile and width == tile:
        return array
    margins = [(0, 0)] * (array.ndim - 2) + [(0, tile - height), (0, tile - width)]
    return np.pad(array, margins, mode="symmetric")


@contextmanager
def _threads(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """A pool that in the end waits for what runs, and drops what does not run yet."""
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
