#!/usr/bin/env bash
# Extending lines turns those around that are not extended, and doubles a vertex.
#
# Expected: neatnet.extend_lines(lines, tolerance) lengthens loose ends that come near another line;
#   a line with nothing within the tolerance comes back as it was.
# Happens: every line with two loose ends is turned around, and its new first vertex is there
#   twice, though nothing was near and its length is the same. Where one end is extended, the line
#   is turned around too. geom_equals() says that nothing happened, as it ignores order and
#   repeated vertices.
# Why it matters: the direction of a line is that of one-way roads, of blood flow in vessels, of
#   measurements along it (chainage), and of its left and right side. After one call about half of
#   them may be wrong, and headings of segments meet one of length 0 (nan).
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

LINES = {
    "alone": LineString([(0, 0), (10, 2), (20, 0)]),
    "far from all": LineString([(0, 90), (20, 90)]),
    "reaches a road": LineString([(52, 10), (70, 10)]),
    "that road": LineString([(50, 0), (50, 10), (50, 20)]),
}
given = geopandas.GeoDataFrame(geometry=list(LINES.values()), crs=32632)
after = neatnet.extend_lines(given, 5).geometry
print(f"neatnet {neatnet.__version__}, shapely {shapely.__version__}")
seen = {}
for (name, line), found in zip(LINES.items(), after, strict=True):
    coordinates = [tuple(round(float(value), 3) for value in point) for point in found.coords]
    first, last = line.coords[0], line.coords[-1]
    turned = found.distance(shapely.Point(last)) == 0 and coordinates[0] == last
    repeated = len(coordinates) - len(set(coordinates))
    seen[name] = turned, repeated, bool(found.equals(line))
    print(f"{name:14}: turned {turned}, repeated {repeated}, 'equal' {seen[name][2]}: {coordinates}")
# Printed on the date above:
#   neatnet 0.1.6, shapely 2.2.0
#   alone         : turned True, repeated 1, 'equal' True: [(20.0, 0.0), (20.0, 0.0), (10.0, 2.0), (0.0, 0.0)]
#   far from all  : turned True, repeated 1, 'equal' True: [(20.0, 90.0), (20.0, 90.0), (0.0, 90.0)]
#   reaches a road: turned True, repeated 1, 'equal' False: [(70.0, 10.0), (70.0, 10.0), (52.0, 10.0), (50.0, 10.0)]
#   that road     : turned True, repeated 1, 'equal' True: [(50.0, 20.0), (50.0, 20.0), (50.0, 10.0), (50.0, 0.0)]
#   Lines that were not extended run the other way.
if any(seen[name] != (True, 1, True) for name in ("alone", "far from all", "that road")):
    sys.exit("CHANGED: lines that are not extended come back otherwise")
if seen["reaches a road"] != (True, 1, False):
    sys.exit("CHANGED: the line that is extended comes back otherwise")
print("Lines that were not extended run the other way.")
PY
