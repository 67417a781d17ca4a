"""What is measured along lines, in whole numbers: sums do not depend on the order of adding."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MISSING = -1
"""Stands for a value that is not known."""


@dataclass(frozen=True)
class Measures:
    """Values of cells along a line: how many are known, their sums and the least of each.

    Attributes:
        count: Cells whose value is known [values].
        total: Their sum [values].
        least: The least of them; what is larger than any value where none is known [values].
    """

    count: NDArray[np.int64]
    total: NDArray[np.int64]
    least: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[np.int64]) -> "Measures":
        """Of the values of cells [n, values]; `MISSING` is not known."""
        known = values != MISSING
        return cls(
            known.sum(axis=0),
            np.where(known, values, 0).sum(axis=0),
            np.where(known, values, NONE).min(axis=0, initial=NONE),
        )

    def __add__(self, other: "Measures") -> "Measures":
        return Measures(
            self.count + other.count,
            self.total + other.total,
            np.minimum(self.least, other.least),
        )

    def mean(self, value: int) -> float | None:
        """The mean of one of the values; None where none is known."""
        count = int(self.count[value])
        return int(self.total[value]) / count if count else None

    def lowest(self, value: int) -> int | None:
        """The least of one of the values; None where none is known."""
        return int(self.least[value]) if self.count[value] else None


NONE = np.iinfo(np.int64).max
"""Larger than any value."""


def joined(parts: Iterable[Measures]) -> Measures:
    """Measures of several runs of cells as those of one."""
    first, *others = parts
    for other in others:
        first = first + other
    return first
