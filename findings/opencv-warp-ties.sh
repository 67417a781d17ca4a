#!/usr/bin/env bash
# A shift by half a pixel moves a mask of two channels, and tears one of one channel.
#
# Expected: cv2.warpAffine() with INTER_NEAREST takes the nearest pixel, and ties go one way: a
#   shift by half a pixel is a shift by one pixel or by none, and enlarging by two makes each line
#   of one pixel two wide. Type and number of channels play no part. OpenCV 4 does just that.
# Happens: OpenCV 5 warps uint8, uint16 and float32 of 1, 3 or 4 channels in new code, which rounds
#   ties to the even pixel. Other types (int32 for instance) and 2 or 5 channels still go through
#   the old code, which rounds up. In the new code a shift by half a pixel doubles lines in even
#   columns and loses those in odd ones, and enlarging by two makes the former three pixels wide
#   and the latter one.
# Why it matters: half a pixel lies between pixel centres and corners, and between odd and even
#   sizes. Thin roads and vessels are lost by where they lie, instance labels in int32 no longer fit
#   the uint8 mask that they came from, and stacking two masks to warp them at once gives another
#   result than one by one. Tests with solid blocks hardly see it.
# A way round: add a thousandth of a pixel to the offsets.
# Versions: opencv-python-headless 5.0.0.93, and 4.14.0.94 beside it; numpy 2.4.6, Python 3.11,
#   x86-64.
# Seen: 2026-11-29.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >warp.py <<'PY'
import sys

import cv2
import numpy as np

SHIFT = np.array([[1, 0, 0.5], [0, 1, 0]])
TWICE = np.array([[2.0, 0, 0], [0, 2, 0]])
OFF_TIES = np.array([[1, 0, 0.501], [0, 1, 0]])
KINDS = {"uint8": ("uint8", 1), "uint8, 2 channels": ("uint8", 2), "int32": ("int32", 1)}


def widths(matrix, dtype, channels):
    """How many columns a line in an even and in an odd column takes up after the warp."""
    after = []
    for column in (20, 21):
        mask = np.zeros((64, 64, channels), dtype)
        mask[:, column] = 1
        warped = cv2.warpAffine(mask, matrix, (64, 64), flags=cv2.INTER_NEAREST)
        after.append(int(warped.reshape(64, 64, channels)[32, :, 0].sum()))
    return tuple(after)


major = int(cv2.__version__.split(".")[0])
print(f"OpenCV {cv2.__version__}, numpy {np.__version__}")
for name, (dtype, channels) in KINDS.items():
    shift, twice, off = (widths(of, dtype, channels) for of in (SHIFT, TWICE, OFF_TIES))
    print(f"{name:17}: moved by 0.5 {shift}, enlarged by two {twice}, moved by 0.501 {off}")
    torn = major == 5 and name == "uint8"
    if off != (1, 1):
        sys.exit("CHANGED: a warp without ties loses or widens lines")
    if (shift, twice) != (((2, 0), (3, 1)) if torn else ((1, 1), (2, 2))):
        sys.exit("CHANGED: ties are rounded otherwise in this version")
PY
for version in 4.14.0.94 5.0.0.93; do
    "${PYTHON:-python3}" -m venv "venv-$version"
    "venv-$version/bin/pip" install -qq --disable-pip-version-check \
        "opencv-python-headless==$version" numpy==2.4.6
    "venv-$version/bin/python" -W ignore warp.py
done
# Printed on the date above (columns taken up by a line in an even and in an odd column):
#   OpenCV 4.14.0, numpy 2.4.6
#   uint8            : moved by 0.5 (1, 1), enlarged by two (2, 2), moved by 0.501 (1, 1)
#   uint8, 2 channels: moved by 0.5 (1, 1), enlarged by two (2, 2), moved by 0.501 (1, 1)
#   int32            : moved by 0.5 (1, 1), enlarged by two (2, 2), moved by 0.501 (1, 1)
#   OpenCV 5.0.0, numpy 2.4.6
#   uint8            : moved by 0.5 (2, 0), enlarged by two (3, 1), moved by 0.501 (1, 1)
#   uint8, 2 channels: moved by 0.5 (1, 1), enlarged by two (2, 2), moved by 0.501 (1, 1)
#   int32            : moved by 0.5 (1, 1), enlarged by two (2, 2), moved by 0.501 (1, 1)
#   In OpenCV 5 the line in the odd column is gone.
echo "In OpenCV 5 the line in the odd column is gone."
