#!/usr/bin/env bash
# The same file has other zonal means by its path than by rioxarray's array of it.
#
# Expected: exact_extract takes a path, a rasterio dataset or an xarray array, and the mean of a zone
#   does not depend on which. As rasterstats does, it takes the numbers that are stored; or else
#   those that they stand for, each time.
# Happens: by its path, or as an open rasterio dataset, a band with a scale in its header is scaled
#   first (RasterioRasterSource multiplies, rasterio itself never does). An array of
#   rioxarray.open_rasterio keeps the scale among its attributes, where it is not looked for, so the
#   stored numbers are taken, also with masked=True.
# Why it matters: probabilities, reflectances and heights are often stored as integers with a scale.
#   A threshold for the mean of a zone that was found with rasterstats or with an array (0.5 is 127)
#   finds nothing when a path is given, with no message.
# Versions: exactextract 0.3.0, rasterstats 0.21.0, rioxarray 0.19.0, rasterio 1.4.4, numpy 2.4.6,
#   Python 3.11.
# Seen: 2026-11-29.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    exactextract==0.3.0 rasterstats==0.21.0 rioxarray==0.19.0 rasterio==1.4.4 \
    geopandas==1.1.1 xarray==2026.9.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import geopandas
import numpy as np
import rasterio
import rioxarray
from exactextract import exact_extract
from rasterio.transform import from_origin
from rasterstats import zonal_stats
from shapely.geometry import box

# Probabilities of one half in uint8, with a pixel of nodata.
stored = np.full((4, 4), 127, np.uint8)
stored[0, 0] = 255
profile = {"driver": "GTiff", "height": 4, "width": 4, "count": 1, "dtype": "uint8", "nodata": 255}
with rasterio.open(
    "p.tif", "w", **profile, crs="EPSG:32619", transform=from_origin(0, 4, 1, 1)
) as file:
    file.write(stored, 1)
    file.scales = [1 / 254]
zones = geopandas.GeoDataFrame(geometry=[box(0, 0, 4, 4)], crs="EPSG:32619")


def mean(source):
    found = exact_extract(source, zones, ["mean", "count"])[0]["properties"]
    assert found["count"] == 15
    return round(found["mean"], 6)


with rasterio.open("p.tif") as file:
    means = {
        "exactextract, path": mean("p.tif"),
        "exactextract, rasterio": mean(file),
        "exactextract, rioxarray": mean(rioxarray.open_rasterio("p.tif", masked=True)),
        "rasterstats": zonal_stats(zones, "p.tif", stats=["mean"])[0]["mean"],
        "rasterio itself": float(file.read(1, masked=True).mean()),
    }
names = ("exactextract", "rasterstats", "rioxarray", "rasterio", "numpy")
print(", ".join(f"{name} {version(name)}" for name in names))
for name, value in means.items():
    print(f"{name}: {value}")
# Printed on the date above:
#   exactextract 0.3.0, rasterstats 0.21.0, rioxarray 0.19.0, rasterio 1.4.4, numpy 2.4.6
#   exactextract, path: 0.5
#   exactextract, rasterio: 0.5
#   exactextract, rioxarray: 127.0
#   rasterstats: 127.0
#   rasterio itself: 127.0
if list(means.values()) != [0.5, 0.5, 127.0, 127.0, 127.0]:
    sys.exit("CHANGED: the means of one zone are others")
PY
