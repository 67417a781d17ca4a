"""A rectangle of pixels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import rasterio.windows


@dataclass(frozen=True, order=True)
class Window:
    """Rows `row` to `row + height`, columns `column` to `column + width`, in pixels."""

    row: int
    column: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below."""
        return self.row + self.height

    @property
    def right(self) -> int:
        """First column to the right."""
        return self.column + self.width

    @property
    def pixels(self) -> int:
        """How many pixels it holds."""
        return self.height * self.width

    def meets(self, other: "Window") -> bool:
        """Whether the two share a pixel."""
        return (
            self.row < other.bottom
            and other.row < self.bottom
            and self.column < other.right
            and other.column < self.right
        )

    def intersection(self, other: "Window") -> "Window":
        """The pixels both hold; of height and width 0 where there are none."""
        row, column = max(self.row, other.row), max(self.column, other.column)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Window(row, column, max(0, bottom - row), max(0, right - column))

    def grown(self, margin: int) -> "Window":
        """The same with `margin` pixels more on each side; it may reach outside the scene."""
        return Window(
            self.row - margin,
            self.column - margin,
            self.height + 2 * margin,
            self.width + 2 * margin,
        )

    def slices(self, origin: "Window | None" = None) -> tuple[slice, slice]:
        """Rows and columns as slices of an array that starts at `origin`, or at 0, 0."""
        row, column = (origin.row, origin.column) if origin else (0, 0)
        return (
            slice(self.row - row, self.bottom - row),
            slice(self.column - column, self.right - column),
        )

    def as_rasterio(self) -> rasterio.windows.Window:
        """The same for rasterio."""
        return rasterio.windows.Window(self.column, self.row, self.width, self.height)


def spread(height: int, width: int, side: int, count: int) -> Iterator[Window]:
    """Windows of at most `side` by `side`, evenly over [height, width].

    Args:
        height: Rows to spread them over.
        width: Columns.
        side: Of a window, in pixels.
        count: How many each way; fewer where they would overlap.
    """

    def starts(length: int) -> list[int]:
        many = max(1, min(count, length // side))
        free = length - many * min(side, length)
        # As much is left out before the first and after the last as between two.
        return [free * (n + 1) // (many + 1) + n * min(side, length) for n in range(many)]

    for row in starts(height):
        for column in starts(width):
            yield Window(row, column, min(side, height), min(side, width))


def split(height: int, width: int, size: int) -> Iterator[Window]:
    """Cuts [height, width] into windows of at most `size` by `size`, row by row."""
    for row in range(0, height, size):
        for column in range(0, width, size):
            yield Window(row, column, min(size, height - row), min(size, width - column))


def split_near(
    height: int, width: int, size: int, areas: Iterable[Window], margin: int = 0
) -> list[Window]:
    """The windows of `split` that come within `margin` pixels of one of `areas`.

    Takes no time for the others, of which there may be millions.
    """
    scene = Window(0, 0, height, width)
    corners = set()
    for area in areas:
        near = area.grown(margin).intersection(scene)
        corners |= {
            (row, column)
            for row in range(near.row // size * size, near.bottom, size)
            for column in range(near.column // size * size, near.right, size)
        }
    return [
        Window(row, column, min(size, height - row), min(size, width - column))
        for row, column in sorted(corners)
    ]
