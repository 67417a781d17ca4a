"""Rings around the optic disc in which vessels are measured."""

import csv
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError, first_few
from tiling.scenes.names import stem_of

_LOG = logging.getLogger("rurnet")

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

    def lies_in(self, height: int, width: int) -> bool:
        """Whether its centre lies in an image of so many rows and columns."""
        return 0 <= self.x < width and 0 <= self.y < height

    def zone(self, name: str, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether places lie in one of `ZONES`."""
        away = np.hypot(rows - self.y, columns - self.x) / self.r
        begin, end = ZONES[name]
        inside: NDArray[np.bool_] = (away >= begin) & (away < end)
        return inside


def discs_of(told: str | None, images: list[str]) -> dict[str, Disc]:
    """The optic discs of images, by name.

    Args:
        told: "x,y,r" of the only image, or a CSV file with the columns image, x, y and r, as
            spreadsheets write it; None tells of none.
        images: Their names.

    Raises:
        DataError: The file cannot be read, or has none of the images, or two discs of one; or one
            disc is told for several images.
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
    found: dict[str, Disc] = {}
    for line, row in enumerate(_rows(told), start=2):
        image = (row["image"] or "").strip()
        # As results call it, or as its file is called.
        name = image if image in images else stem_of(image)
        if name in found:
            # Names of files may be those of persons, so a line is told instead.
            raise DataError(f"{told}: line {line} has an image for the second time; take one away")
        found[name] = _disc(row, told)
    without = [image for image in images if image not in found]
    if images and len(without) == len(images):
        raise DataError(
            f"{told}: its column image names none of the {len(images)} images; names are those of "
            f"the files, such as {images[0]}"
        )
    if without:
        _LOG.warning(
            "%s: has no disc of %s, so no zones are measured there", told, first_few(without)
        )
    return found


def _rows(told: str) -> list[Mapping[str, str | None]]:
    """The rows of a table of discs: its columns in lower case, numbers with a decimal point."""
    try:
        text = Path(told).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{told}: cannot be read as discs ({error}); it takes a CSV file in UTF-8 with the "
            "columns image, x, y, r"
        ) from error
    heading, *lines = text.splitlines() or [""]
    # Where a comma is in numbers, spreadsheets put semicolons between them.
    between = next((mark for mark in ";\t" if mark in heading), ",")
    columns = [name.strip().lower() for name in next(csv.reader([heading], delimiter=between), [])]
    if not {"image", *"xyr"} <= set(columns):
        raise DataError(
            f"{told}: has the columns {', '.join(columns) or 'of nothing'}; it takes a CSV file "
            "with the columns image, x, y, r"
        )
    rows = csv.DictReader(filter(str.strip, lines), columns, delimiter=between)
    return [
        {name: row[name] if between == "," else (row[name] or "").replace(",", ".")
         for name in "xyr"} | {"image": row["image"]}
        for row in rows
    ]  # fmt: skip


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
