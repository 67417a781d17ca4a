#!/usr/bin/env bash
# After coarsen() or a step in isel(), rioxarray reports the old pixel size.
#
# Expected: rio.resolution(), rio.bounds() and rio.transform() describe the array as it is;
#   to_raster() writes the right grid, and a crop is described correctly, so they seem to follow
#   coordinates.
# Happens: the pixel size comes from the spatial_ref coordinate, which xarray carries along
#   unchanged, and only the origin is taken from the coordinates. After coarsen(x=2, y=2) the
#   resolution is still 1 m, an area is a quarter of the true one, and the bounds lose half a metre
#   on each side. recalc=True gives the right values, and the file that to_raster() writes is
#   right, so checks of it find nothing.
# Why it matters: areas and lengths of roads, "metres per pixel" for a network and the extent of a
#   tile are taken from rio.resolution() and rio.bounds(). At half resolution lengths are half,
#   areas a quarter, with no warning.
# Versions: rioxarray 0.19.0, xarray 2026.9.0, rasterio 1.4.4, numpy 2.4.6, Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    rioxarray==0.19.0 xarray==2026.9.0 rasterio==1.4.4 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import rasterio
import rioxarray
import xarray
from rasterio.transform import from_origin

grid = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_300_000, 1, 1)}
with rasterio.open(
    "a.tif", "w", driver="GTiff", height=100, width=100, count=1, dtype="uint8", **grid
) as raster:
    raster.write(np.ones((100, 100), np.uint8), 1)
scene = rioxarray.open_rasterio("a.tif")
print(f"rioxarray {rioxarray.__version__}, xarray {xarray.__version__}, numpy {np.__version__}")
seen = {}
for name, of in {
    "as read": scene,
    "crop by isel": scene.isel(x=slice(10, 60)),
    "coarsen by 2": scene.coarsen(x=2, y=2).mean(),
    "isel with step 2": scene.isel(x=slice(None, None, 2), y=slice(None, None, 2)),
}.items():
    width, height = of.rio.resolution()
    area = float(of.sum()) * abs(width * height)
    of.rio.to_raster("b.tif")
    with rasterio.open("b.tif") as raster:
        written = raster.res[0]
    seen[name] = (width, of.rio.resolution(recalc=True)[0], written, area)
    print(
        f"{name:16}: resolution {width}, recalculated {seen[name][1]}, in the file {written}; area"
        f" {area:.0f} m2, x from {of.rio.bounds()[0] - 500_000} to {of.rio.bounds()[2] - 500_000}"
    )
# Printed on the date above:
#   rioxarray 0.19.0, xarray 2026.9.0, numpy 2.4.6
#   as read         : resolution 1.0, recalculated 1.0, in the file 1.0; area 10000 m2, x from 0.0 to 100.0
#   crop by isel    : resolution 1.0, recalculated 1.0, in the file 1.0; area 5000 m2, x from 10.0 to 60.0
#   coarsen by 2    : resolution 1.0, recalculated 2.0, in the file 2.0; area 2500 m2, x from 0.5 to 99.5
#   isel with step 2: resolution 1.0, recalculated 2.0, in the file 2.0; area 2500 m2, x from 0.0 to 99.0
#   The array has 2 m pixels and says 1 m.
if seen["as read"] != (1, 1, 1, 10_000) or seen["crop by isel"] != (1, 1, 1, 5_000):
    sys.exit("CHANGED: the scene itself or a crop of it is described otherwise")
if {seen["coarsen by 2"], seen["isel with step 2"]} != {(1, 2, 2, 2_500)}:
    sys.exit("CHANGED: the pixel size after coarsen() or a step is another")
print("The array has 2 m pixels and says 1 m.")
PY
