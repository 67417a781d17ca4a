"""Rings around the optic disc in which vessels are measured."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError

ZONES: Mapping[str, tuple[float, float]] = {"A": (1.0, 2.0), "B": (2.0, 3.0), "C": (2.0, 5.0)}
"""Distance from the disc's centre at which each zone begins and ends, in radii of the disc."""


@dataclass(frozen=True)
class Disc:
    """An optic disc, in pixels of the image.

    Attributes:
        x: Of its centre, from the left.
        y: Of its centre, from the top.
        r: Its radius.
    """

    x: float
    y: float
    r: float

    def zone(self, name: str, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether places lie in one of `ZONES`."""
        away = np.hypot(rows - self.y, columns - self.x) / self.r
        begin, end = ZONES[name]
        inside: NDArray[np.bool_] = (away >= begin) & (away < end)
        return inside


def discs_of(told: str | None, images: list[str]) -> dict[str, Disc]:
    """The optic discs of images, by name.

    Args:
        told: "x,y,r" of the only image, or a CSV file with the columns image, x, y and r; None
            tells of none.
        images: Their names.

    Raises:
        DataError: The file cannot be read, or one disc is told for several images.
    """
    if told is None:
        return {}
    if not told.lower().endswith(".csv"):
        if len(images) > 1:
            raise DataError(
                f"--disc {told}: the place of one disc, but there are {len(images)} images; give "
                "a CSV file with the columns image, x, y, r"
            )
        return dict.fromkeys(images, _disc(dict(zip("xyr", told.split(","), strict=True)), told))
    try:
        with Path(told).open(encoding="utf-8-sig", newline="") as file:
            return {str(row["image"]): _disc(row, told) for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise DataError(
            f"{told}: cannot be read as discs ({error!r}); it takes a CSV file with the columns "
            "image, x, y, r"
        ) from error


def _disc(row: Mapping[str, str | None], told: str) -> Disc:
    try:
        disc = Disc(*(float(row[name] or "") for name in "xyr"))
    except ValueError:
        raise DataError(
            f"{told}: {row['x']},{row['y']},{row['r']} is no disc; give x and y of its centre and "
            "its radius in pixels, for example 512,480,60"
        ) from None
    if not disc.r > 0:
        raise DataError(f"{told}: a disc's radius is more than 0, not {disc.r:g}")
    return disc
