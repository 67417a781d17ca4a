#!/usr/bin/env bash
# In "mode" overviews a thin line lives or dies by the parity of its column.
#
# Expected: "mode" is the safe choice for class rasters; a line of one pixel, half of each 2 x 2
#   block, is either kept everywhere or lost everywhere.
# Happens: with two against two the class wins that reaches two first in reading order, whatever
#   its number. A vertical line in an even column is kept, in an odd one it is gone from the first
#   overview on; so are rows. A gap of one pixel fares like a line. A line is at 1/2^k only if its
#   column is a multiple of 2^k: of 64 parallel lines 32, 16, 8, 4, 2 remain. Reads with a smaller
#   out_shape and reprojections with "mode" use the same rule.
# Why it matters: a road mask looks broken or whole in a GIS by where the scene starts; share of
#   foreground at a level is no thinned share, a crop by one pixel swaps which roads are seen, and
#   quick looks or areas taken from overviews are wrong for one-pixel lines only.
# Versions: rasterio 1.4.4 (with GDAL 3.10.3), numpy 2.4.6, Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    rasterio==1.4.4 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import from_origin


def levels(mask):
    height, width = mask.shape
    grid = {"height": height, "width": width, "transform": from_origin(0, height, 1, 1)}
    with rasterio.open("a.tif", "w", driver="GTiff", count=1, dtype="uint8", **grid) as raster:
        raster.write(mask, 1)
    with rasterio.open("a.tif", "r+") as raster:
        raster.build_overviews([2, 4, 8, 16, 32], Resampling.mode)
    overviews = []
    for level in range(5):
        with rasterio.open("a.tif", overview_level=level) as raster:
            overviews.append(raster.read(1))
    return overviews


print(f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}, numpy {np.__version__}")
kept = {}
for column in (64, 65, 66, 68):
    mask = np.zeros((256, 256), np.uint8)
    mask[:, column] = 1
    kept[column] = [bool(each.any()) for each in levels(mask)]
    print(f"line in column {column}: there at 1/2, 1/4, ... 1/32: {kept[column]}")
    if [bool(each.any()) for each in levels(mask.T)] != kept[column]:
        sys.exit("CHANGED: rows behave unlike columns")
    if [bool((each == 0).any()) for each in levels(1 - mask)] != kept[column]:
        sys.exit("CHANGED: a gap of one pixel behaves unlike a line")
lines = np.zeros((256, 6400), np.uint8)
lines[:, [100 * line + line for line in range(64)]] = 1
remaining = [int(each[0].sum()) for each in levels(lines)]
print(f"of 64 lines in columns 0, 101, 202, ... remain {remaining}")
# Printed on the date above:
#   rasterio 1.4.4, GDAL 3.10.3, numpy 2.4.6
#   line in column 64: there at 1/2, 1/4, ... 1/32: [True, True, True, True, True]
#   line in column 65: there at 1/2, 1/4, ... 1/32: [False, False, False, False, False]
#   line in column 66: there at 1/2, 1/4, ... 1/32: [True, False, False, False, False]
#   line in column 68: there at 1/2, 1/4, ... 1/32: [True, True, False, False, False]
#   of 64 lines in columns 0, 101, 202, ... remain [32, 16, 8, 4, 2]
#   Every overview drops the lines in odd columns and keeps those in even ones.
if kept != {64: [True] * 5, 65: [False] * 5, 66: [True] + [False] * 4, 68: [True] * 2 + [False] * 3}:
    sys.exit("CHANGED: which lines survive no longer goes by the column")
if remaining != [32, 16, 8, 4, 2]:
    sys.exit("CHANGED: other lines remain")
print("Every overview drops the lines in odd columns and keeps those in even ones.")
PY
