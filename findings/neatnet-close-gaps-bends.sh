#!/usr/bin/env bash
# Closing the gap between a side road and a main road bends the main road.
#
# Expected: neatnet.close_gaps(lines, tolerance) joins line ends that nearly meet: it works on pairs
#   of ends, so a main road whose own ends are far from any gap stays where it is, to the bit.
# Happens: whatever passes within the tolerance of a loose end is drawn to it. A straight main road
#   of 20 m that a side road misses by 4 m gets a corner of 4 m in its middle, or its vertex there
#   is moved; the side road keeps its length. A main road without a side road stays straight.
# Why it matters: predicted road lines have many such gaps, at junctions above all. Main roads, the
#   lines that are known best, get zigzags of up to the tolerance, and lengths and headings with
#   them. Lengthen the side road instead (extend_lines), or close gaps between ends alone.
# Versions: neatnet 0.1.6, geopandas 1.2.0, shapely 2.2.0, numpy 2.4.6, Python 3.11.
# Seen: 2026-11-29.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    neatnet==0.1.6 momepy==0.11.0 geopandas==1.2.0 shapely==2.2.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import geopandas
import neatnet
import shapely
from shapely import LineString

STRAIGHT = LineString([(0, 0), (20, 0)])
WITH_VERTEX = LineString([(0, 0), (10, 0), (20, 0)])
SIDE = LineString([(10, 4), (10, 30)])
FAR = LineString([(10, 40), (10, 60)])


def closed(*lines):
    """How far the first line is moved at most, its length, and that of the second."""
    given = geopandas.GeoDataFrame(geometry=list(lines), crs=32632)
    after = neatnet.close_gaps(given, 5).geometry
    moved = shapely.hausdorff_distance(lines[0], after.iloc[0])
    lengths = [round(float(line.length), 2) for line in after]
    return round(float(moved), 2), *lengths


print(f"neatnet {neatnet.__version__}, shapely {shapely.__version__}")
seen = {
    "no side road": closed(STRAIGHT, FAR),
    "a gap of 4 m": closed(STRAIGHT, SIDE),
    "with a vertex": closed(WITH_VERTEX, SIDE),
}
for name, (moved, main, side) in seen.items():
    print(f"{name:13}: main road moved by {moved} m, {main} m long; side road {side} m long")
# Printed on the date above:
#   neatnet 0.1.6, shapely 2.2.0
#   no side road : main road moved by 0.0 m, 20.0 m long; side road 20.0 m long
#   a gap of 4 m : main road moved by 4.0 m, 21.54 m long; side road 26.0 m long
#   with a vertex: main road moved by 4.0 m, 21.54 m long; side road 26.0 m long
#   The main road is bent to the side road's end.
if seen["no side road"] != (0, 20, 20):
    sys.exit("CHANGED: a road with no gap near it is moved")
if seen["a gap of 4 m"] != (4, 21.54, 26) or seen["with a vertex"] != (4, 21.54, 26):
    sys.exit("CHANGED: the main road is bent otherwise, or not at all")
print("The main road is bent to the side road's end.")
PY
