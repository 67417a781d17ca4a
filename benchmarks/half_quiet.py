"""`python -m benchmarks.half_quiet MASSACHUSETTS_ROADS --output DIR`: a scene half without roads.

Writes `DIR/images/half.tif` and `DIR/labels/half.tif`, 3,000 x 4,500 pixels: on the left the three
scenes that `roads-dru4` held out, on the right squares of other `train` scenes whose labels have
next to no road: woods, water, marsh, fields, beaches. For `--steps auto`, which saves steps there.
The right half was trained on, so scores are of the left one above all.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from pipelines.models.weights import card_of

HELD_OUT: list[str] = card_of("roads-dru4").training["held_out"]
_SIDE = 1500
_SQUARE = 500
_LOOKED_AT = 512
_EVERY = 38
_MOST_ROAD = 0.002
_MOST_WHITE = 0.001
_WHITE = 250

Pixels = NDArray[np.uint8]


def read(folder: Path, name: str) -> tuple[Pixels, Pixels]:
    """A scene [3, h, w] and its label [h, w], 0 or 255."""
    with rasterio.open(folder / "sat" / f"{name}.tiff") as file:
        image = file.read()
    with rasterio.open(folder / "map" / f"{name}.tif") as file:
        return image, np.where(file.read(1) > 0, 255, 0).astype(np.uint8)


def quiet(image: Pixels, label: Pixels) -> Iterator[tuple[float, Pixels, Pixels]]:
    """Squares apart from each other that have next to no road, with the share that is road."""
    sums = [
        np.pad(what.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        for what in (label > 0, image.min(axis=0) > _WHITE)
    ]
    taken = np.zeros(label.shape, bool)
    places = range(0, _SIDE - _LOOKED_AT + 1, _EVERY)
    for row in places:
        for column in places:
            end_row, end_column = row + _LOOKED_AT, column + _LOOKED_AT
            road, white = (
                (one[end_row, end_column] - one[row, end_column] - one[end_row, column]
                 + one[row, column]) / _LOOKED_AT**2
                for one in sums
            )  # fmt: skip
            looked_at = taken[row:end_row, column:end_column]
            if road < _MOST_ROAD and white < _MOST_WHITE and not looked_at.any():
                looked_at[:] = True
                cut = slice(row, row + _SQUARE), slice(column, column + _SQUARE)
                yield float(road), image[:, *cut], label[cut]


def main() -> None:
    """Reads the command line and writes the scene and its label."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.half_quiet", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("roads", type=Path)
    parser.add_argument("--output", type=Path, default=Path("out/half-quiet"))
    options = parser.parse_args()
    folder = options.roads / "train"
    names = sorted({path.stem for path in (folder / "sat").iterdir()} - {*HELD_OUT})
    squares = [one for name in names for one in quiet(*read(folder, name))]
    squares.sort(key=lambda one: one[0])
    height = _SIDE * len(HELD_OUT)
    image = np.zeros((3, height, 2 * _SIDE), np.uint8)
    label = np.zeros((height, 2 * _SIDE), np.uint8)
    for index, name in enumerate(HELD_OUT):
        rows = slice(index * _SIDE, (index + 1) * _SIDE)
        image[:, rows, :_SIDE], label[rows, :_SIDE] = read(folder, name)
    across = _SIDE // _SQUARE
    for index, (_, pixels, road) in enumerate(squares[: across * height // _SQUARE]):
        row, column = _SQUARE * (index // across), _SIDE + _SQUARE * (index % across)
        cut = slice(row, row + _SQUARE), slice(column, column + _SQUARE)
        image[:, *cut], label[cut] = pixels, road
    for kind, pixels in (("images", image), ("labels", label[None])):
        path = options.output / kind / "half.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            path, "w", driver="GTiff", height=height, width=2 * _SIDE, count=len(pixels),
            dtype="uint8", crs="EPSG:26986", transform=from_origin(0, height, 1, 1), tiled=True,
            compress="deflate",
        ) as file:  # fmt: skip
            file.write(pixels)


if __name__ == "__main__":
    main()
