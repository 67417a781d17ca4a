"""The rasters of several scenes as those of one: where a line goes on in a neighbour, it is one.

Scenes lie on one grid if their pixels do. Where several have a pixel, that of the first counts, in
the order of their names.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from pipelines.lines.features import Layer
from pipelines.lines.source import Rasters, opened, within_mask
from pipelines.results.layout import STEP, steps_in
from pipelines.results.outcome import OpenRaster
from tiling.blend import NODATA
from tiling.window import Window

_OFF = 0.01
"""Pixels by which scenes of one grid may be off."""

_OPEN = 64
"""Scenes that are kept open: more than a row of windows meets, of most batches."""


@dataclass(frozen=True)
class Piece:
    """A scene of a mosaic.

    Attributes:
        name: Of the scene.
        files: Its rasters by what they are.
        open_raster: Opens one.
        threshold: The lowest level that is in its mask.
        crs: Of its coordinates.
        transform: From its pixels to coordinates.
        height: Rows.
        width: Columns.
        graded: Whether it has probabilities.
    """

    name: str
    files: Mapping[str, Path | str]
    open_raster: OpenRaster
    threshold: int
    crs: CRS | None
    transform: Affine
    height: int
    width: int
    graded: bool

    @property
    def placed(self) -> bool:
        """Whether its coordinates are known."""
        return self.crs is not None and not self.transform.is_identity

    def window(self, origin: Affine) -> Window | None:
        """Its pixels on the grid of a transform; None where they lie between those of the grid."""
        column, row = ~origin @ (self.transform.c, self.transform.f)
        far_column, far_row = ~origin @ (self.transform @ (self.width, self.height))
        found = Window(round(row), round(column), self.height, self.width)
        off = (
            row - found.row, column - found.column,
            far_row - found.bottom, far_column - found.right,
        )  # fmt: skip
        return found if max(map(abs, off)) <= _OFF else None


def on_one_grid(pieces: Iterable[Piece]) -> tuple[list[Piece], list[Piece]]:
    """The scenes of the grid that has most of them, and all others; both sorted by name."""
    groups: list[list[Piece]] = []
    others = []
    for piece in sorted(pieces, key=lambda piece: piece.name):
        if not piece.placed:
            others.append(piece)
            continue
        for group in groups:
            if piece.crs == group[0].crs and piece.window(group[0].transform) is not None:
                group.append(piece)
                break
        else:
            groups.append([piece])
    if not groups:
        return [], others
    most = max(groups, key=len)
    others += [piece for group in groups if group is not most for piece in group]
    return most, sorted(others, key=lambda piece: piece.name)


class Mosaic:
    """Scenes of one grid: a `pipelines.lines.source.Source`.

    Args:
        pieces: The scenes, sorted by name.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        import shapely

        first = pieces[0].transform
        found = [piece.window(first) for piece in pieces]
        windows = [window for window in found if window is not None]
        assert len(windows) == len(pieces), "not of one grid"
        row, column = min(one.row for one in windows), min(one.column for one in windows)
        self.name = pieces[0].name
        self.graded = any(piece.graded for piece in pieces)
        self.crs = pieces[0].crs
        self.transform = first @ Affine.translation(column, row)
        self.height = max(window.bottom for window in windows) - row
        self.width = max(window.right for window in windows) - column
        # Of scenes that each chose their own, the mean.
        self.threshold = round(sum(piece.threshold for piece in pieces) / len(pieces))
        steps = {len(steps_in(piece.files)) for piece in pieces}
        self._steps = steps.pop() if len(steps) == 1 else 0
        self._pieces = pieces if self._steps else [_without_steps(piece) for piece in pieces]
        self.areas = [replace(one, row=one.row - row, column=one.column - column)
                         for one in windows]  # fmt: skip
        self._tree = shapely.STRtree([_box(window) for window in self.areas])
        self._open: OrderedDict[int, tuple[Rasters, ExitStack]] = OrderedDict()

    def foreground(self, window: Window) -> NDArray[np.bool_]:
        """See `Source`."""
        inside = np.zeros((window.height, window.width), bool)
        for number, shared, own in self._meeting(window):
            rasters = self._opened(number)
            levels = rasters.masked(own)
            of_shared = inside[shared.slices(window)]
            found = within_mask(levels, rasters.threshold)
            np.copyto(of_shared, found, where=levels != NODATA)
        return inside

    def levels(self, window: Window) -> NDArray[np.uint8]:
        """See `Source`."""
        every = np.full((1 + self._steps, window.height, window.width), NODATA, np.uint8)
        for number, shared, own in self._meeting(window):
            levels = self._opened(number).levels(own)
            np.copyto(every[:, *shared.slices(window)], levels, where=levels != NODATA)
        return every

    def with_scenes(self, layer: Layer) -> Layer:
        """A layer whose features say which scenes they touch."""
        import shapely

        names: list[list[str]] = [[] for _ in layer.geometries]
        boxes = shapely.transform(self._tree.geometries, self._placed)
        pairs = shapely.STRtree(boxes).query(layer.geometries, predicate="intersects")
        for feature, piece in sorted(zip(*pairs.tolist(), strict=True)):
            names[feature].append(self._pieces[piece].name)
        scenes = [", ".join(touched) for touched in names]
        return replace(layer, columns={**layer.columns, "scene": scenes})

    def close(self) -> None:
        """Closes all scenes."""
        while self._open:
            self._open.popitem()[1][1].close()

    def _placed(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        column, row = points.T
        t = self.transform
        return np.column_stack([t.a * column + t.b * row + t.c, t.d * column + t.e * row + t.f])

    def _meeting(self, window: Window) -> list[tuple[int, Window, Window]]:
        """The scenes that share pixels with a window, the first by name last.

        Each with these pixels, and with the same counted from its own upper left corner.
        """
        found = []
        for number in sorted(self._tree.query(_box(window)).tolist(), reverse=True):
            own = self.areas[number]
            if own.meets(window):
                shared = own.intersection(window)
                moved = replace(shared, row=shared.row - own.row, column=shared.column - own.column)
                found.append((number, shared, moved))
        return found

    def _opened(self, number: int) -> Rasters:
        if number not in self._open:
            if len(self._open) >= _OPEN:
                self._open.popitem(last=False)[1][1].close()
            piece, files = self._pieces[number], ExitStack()
            rasters = files.enter_context(opened(piece.files, piece.open_raster, piece.threshold))
            self._open[number] = rasters, files
        self._open.move_to_end(number)
        return self._open[number][0]


def _without_steps(piece: Piece) -> Piece:
    files = {kind: path for kind, path in piece.files.items() if not kind.startswith(STEP)}
    return replace(piece, files=files)


def _box(window: Window) -> object:
    import shapely

    return shapely.box(window.column, window.row, window.right, window.bottom)
