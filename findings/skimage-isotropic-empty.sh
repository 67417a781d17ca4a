#!/usr/bin/env bash
# isotropic_dilation() of an empty mask is not empty, and a full mask loses a corner by erosion.
#
# Expected: dilating nothing gives nothing; eroding a mask without background keeps it whole.
# Happens: both are thresholds on SciPy's Euclidean distance transform, which for an array without
#   background measures to a point just above the first pixel. A quarter disk is set (or cut out)
#   at the top left corner, as large as the radius.
# Why it matters: most tiles of a scene with roads or vessels are empty. A tolerance band, a buffer
#   or a relaxed score made with isotropic_dilation() gets a blob in the corner of every empty
#   tile, some hundred pixels for a radius of 20, and none in the tiles that hold a pixel.
#   skimage.morphology.dilation with a disk gives nothing, as it should.
# Versions: scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6, Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import scipy
import skimage
from scipy.ndimage import distance_transform_edt
from skimage.morphology import dilation, disk, isotropic_dilation, isotropic_erosion

empty = np.zeros((256, 256), bool)
print(f"scikit-image {skimage.__version__}, scipy {scipy.__version__}, numpy {np.__version__}")
seen = {}
for radius in (2, 5, 20):
    grown = isotropic_dilation(empty, radius)
    cut = ~isotropic_erosion(~empty, radius)
    seen[radius] = int(grown.sum())
    print(
        f"radius {radius:2}: dilation of an empty mask sets {grown.sum()} pixels, erosion of a full"
        f" one removes {cut.sum()}, dilation with a disk sets {dilation(empty, disk(radius)).sum()}"
    )
    if grown.any() and not grown[0, 0]:
        sys.exit("CHANGED: the pixels that an empty mask gains are not at the top left")
    if not np.array_equal(grown, cut):
        sys.exit("CHANGED: erosion of a full mask and dilation of an empty one no longer agree")
print("distances in a row without background:", distance_transform_edt(~empty)[0, :4].round(3))
# Printed on the date above:
#   scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6
#   radius  2: dilation of an empty mask sets 3 pixels, erosion of a full one removes 3, dilation with a disk sets 0
#   radius  5: dilation of an empty mask sets 20 pixels, erosion of a full one removes 20, dilation with a disk sets 0
#   radius 20: dilation of an empty mask sets 314 pixels, erosion of a full one removes 314, dilation with a disk sets 0
#   distances in a row without background: [1.    1.414 2.236 3.162]
#   An empty mask has pixels after isotropic_dilation().
if not all(seen.values()):
    sys.exit("CHANGED: dilating an empty mask gives an empty mask")
print("An empty mask has pixels after isotropic_dilation().")
PY
