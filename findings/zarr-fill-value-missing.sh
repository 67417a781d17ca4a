#!/usr/bin/env bash
# One array call, two Zarr formats: xarray reads the background as missing in one, as 0 in the
# other.
#
# Expected: zarr_format=2 or 3 is a matter of files. A uint8 mask written by zarr-python comes back
#   from xarray as that mask; if fill_value=0 meant "missing", it would for both.
# Happens: in format 2 the array's fill_value is taken for a nodata value: the mask turns to
#   float32, every background pixel is NaN, and the mean is that of the rest. In format 3 it is
#   uint8 with its zeros. GDAL takes format 2 the same way: nodata is 0.
# Why it matters: fill_value=0 is what chunks start with, no statement about pixels. Foreground
#   shares, IoU and class counts of a mask come out of the foreground alone, and an upgrade from
#   format 2 to 3 changes them, with and without a value that does mean nodata (255 is no longer
#   NaN in format 3).
# A way round: open with mask_and_scale=False, or say use_zarr_fill_value_as_mask.
# Versions: zarr 3.1.6, xarray 2026.9.0, numpy 2.4.6, Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    zarr==3.1.6 xarray==2026.9.0 rasterio==1.4.4 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import rasterio
import xarray
import zarr

mask = np.zeros((64, 64), np.uint8)
mask[:, 30] = 1
mask[0] = 255
print(f"zarr {zarr.__version__}, xarray {xarray.__version__}, GDAL {rasterio.__gdal_version__}")
seen = {}
for version in (2, 3):
    for fill in (0, 255):
        path = f"format{version}-fill{fill}.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=version)
        named = {"dimension_names": ("y", "x")} if version == 3 else {}
        array = group.create_array(
            "mask", shape=mask.shape, chunks=(32, 32), dtype="uint8", fill_value=fill, **named
        )
        array[:] = mask
        if version == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = ["y", "x"]
        read = xarray.open_zarr(path, consolidated=False).mask
        seen[version, fill] = str(read.dtype), int(read.isnull().sum()), round(float(read.mean()), 3)
        print(
            f"format {version}, fill_value {fill:3}: dtype {read.dtype}, missing"
            f" {seen[version, fill][1]} of 4096, mean {seen[version, fill][2]}"
        )
with rasterio.open('ZARR:"format2-fill0.zarr":/mask') as raster:
    nodata = raster.nodata
print(f"GDAL, format 2, fill_value 0: nodata {nodata}")
# Printed on the date above:
#   zarr 3.1.6, xarray 2026.9.0, GDAL 3.10.3
#   format 2, fill_value   0: dtype float32, missing 3969 of 4096, mean 129.0
#   format 2, fill_value 255: dtype float32, missing 64 of 4096, mean 0.016
#   format 3, fill_value   0: dtype uint8, missing 0 of 4096, mean 4.0
#   format 3, fill_value 255: dtype uint8, missing 0 of 4096, mean 4.0
#   GDAL, format 2, fill_value 0: nodata 0.0
#   Whether 0 is a class or a hole depends on the format's number.
if seen[2, 0][:2] != ("float32", 3969) or seen[2, 255][:2] != ("float32", 64):
    sys.exit("CHANGED: the fill value of format 2 is no longer read as missing")
if {seen[3, 0][:2], seen[3, 255][:2]} != {("uint8", 0)}:
    sys.exit("CHANGED: the fill value of format 3 is read as missing")
if nodata != 0:
    sys.exit("CHANGED: GDAL no longer takes the fill value of format 2 for nodata")
print("Whether 0 is a class or a hole depends on the format's number.")
PY
