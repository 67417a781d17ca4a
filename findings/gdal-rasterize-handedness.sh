#!/usr/bin/env bash
# The same polygon in pixel coordinates burns one row more under a north-up grid than without one.
#
# Expected: rasterize() takes a polygon to pixel coordinates and fills it there. Pixel coordinates
#   without a transform, and the same corners in map coordinates with a north-up transform, are one
#   polygon: the same pixels. For centres right on an edge there is one rule, half-open or closed.
# Happens: the sense of the grid enters the fill. Where corners lie at pixel centres, a 10 x 10
#   square burns 10 rows without a transform (or with both axes flipped) and 11 rows with a
#   north-up or a mirrored one. Columns are half-open in each. The direction of the ring does not
#   matter.
# Why it matters: corners at pixel centres are common (contours traced between centres, vectors
#   drawn on a grid of twice the resolution). Labels burnt from pixel coordinates differ from those
#   burnt from the GIS layer; small objects gain a tenth of their area; neighbours in a column
#   overlap by a row, which sums count twice, and neighbours in a row do not.
# Versions: rasterio 1.4.4 (with GDAL 3.10.3), shapely 2.2.0, affine 2.4.0, numpy 2.4.6, Python
#   3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    rasterio==1.4.4 shapely==2.2.0 affine==2.4.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import MergeAlg
from rasterio.features import rasterize
from shapely import Polygon

GRIDS = {
    "no transform": Affine.identity(),
    "north-up": Affine(1, 0, 500_000, 0, -1, 5_300_000),
    "mirrored": Affine(-1, 0, 40, 0, 1, 0),
    "both flipped": Affine(-1, 0, 40, 0, -1, 40),
}


def square(grid, row, column):
    """Ten pixels on a side; the first corner is given in pixel coordinates."""
    corners = [(column, row), (column + 10, row), (column + 10, row + 10), (column, row + 10)]
    return Polygon([grid * corner for corner in corners])


def burnt(grid, *squares):
    return rasterize(squares, (40, 40), transform=grid, merge_alg=MergeAlg.add, dtype="uint8")


print(f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}, numpy {np.__version__}")
seen = {}
for name, grid in GRIDS.items():
    one = burnt(grid, square(grid, 10.5, 10.5))
    if not np.array_equal(one, burnt(grid, square(grid, 10.5, 10.5).reverse())):
        sys.exit("CHANGED: the direction of the ring matters")
    if burnt(grid, square(grid, 10, 10)).sum() != 100:
        sys.exit("CHANGED: a square on pixel corners is no longer 100 pixels")
    column = burnt(grid, square(grid, 10.5, 10.5), square(grid, 20.5, 10.5))
    row = burnt(grid, square(grid, 10.5, 10.5), square(grid, 10.5, 20.5))
    counts = one.sum(), one.any(1).sum(), one.any(0).sum(), (column > 1).sum(), (row > 1).sum()
    seen[name] = tuple(int(count) for count in counts)
    pixels, rows, columns, below, beside = seen[name]
    print(
        f"{name:12}: {pixels} pixels, {rows} rows x {columns} columns; twice: {below} with the next"
        f" below, {beside} with the next beside"
    )
# Printed on the date above:
#   rasterio 1.4.4, GDAL 3.10.3, numpy 2.4.6
#   no transform: 100 pixels, 10 rows x 10 columns; twice: 0 with the next below, 0 with the next beside
#   north-up    : 110 pixels, 11 rows x 10 columns; twice: 10 with the next below, 0 with the next beside
#   mirrored    : 110 pixels, 11 rows x 10 columns; twice: 10 with the next below, 0 with the next beside
#   both flipped: 100 pixels, 10 rows x 10 columns; twice: 0 with the next below, 0 with the next beside
#   The same square in pixels has another row when north is up.
if {seen["no transform"], seen["both flipped"]} != {(100, 10, 10, 0, 0)}:
    sys.exit("CHANGED: without a transform the square is no longer 10 x 10")
if {seen["north-up"], seen["mirrored"]} != {(110, 11, 10, 10, 0)}:
    sys.exit("CHANGED: under a north-up grid the square is no longer 11 rows of 10")
print("The same square in pixels has another row when north is up.")
PY
