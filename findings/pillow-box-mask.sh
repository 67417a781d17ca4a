#!/usr/bin/env bash
# Halving a 0/1 mask with Pillow's BOX filter is a logical OR, and reduce(2) is not the same.
#
# Expected: BOX at an exact factor of two is the mean of each 2 x 2 block, rounded once. A block
#   with one pixel set has mean 0.25 and gives 0; resize() and reduce() agree.
# Happens: resize() works along rows, rounds to 8 bits, then along columns, and rounds again, each
#   time upwards at one half. One pixel of four gives round(round(0.5) / 2) = 1: every block that
#   holds any pixel is set. reduce(2) rounds once and sets blocks with two pixels or more.
# Why it matters: a label mask with classes 0 and 1 triples its foreground in one halving (noise)
#   and lines get thicker, while the call beside it, which should be the same, drops single pixels.
#   On 8-bit grey images the mean brightness rises by half a level for each halving.
# A way round: convert to mode "F" first, or store the mask as 0/255 and set a threshold.
# Versions: Pillow 13.0.0, numpy 2.4.6, Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    pillow==13.0.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import PIL
from PIL import Image

mask = (np.random.default_rng(0).random((512, 512)) < 0.1).astype(np.uint8)
in_block = mask.reshape(256, 2, 256, 2).sum((1, 3))
image = Image.fromarray(mask)
resized = np.asarray(image.resize((256, 256), Image.Resampling.BOX))
reduced = np.asarray(image.reduce(2))
exact = np.asarray(image.convert("F").resize((256, 256), Image.Resampling.BOX))
grey = np.random.default_rng(1).integers(0, 256, (512, 512), dtype=np.uint8)
brighter = np.asarray(Image.fromarray(grey).resize((256, 256), Image.Resampling.BOX)).mean()

print(f"Pillow {PIL.__version__}, numpy {np.__version__}")
print(f"foreground of the mask            {mask.mean():.3f}")
print(f"after resize(BOX) to half         {resized.mean():.3f}")
print(f"after reduce(2)                   {reduced.mean():.3f}")
print(f"mean of resize(BOX) in mode F     {exact.mean():.3f}")
print(f"blocks with any pixel             {(in_block > 0).mean():.3f}")
print(f"grey image: mean rises by         {brighter - grey.mean():.3f}")
# Printed on the date above:
#   Pillow 13.0.0, numpy 2.4.6
#   foreground of the mask            0.101
#   after resize(BOX) to half         0.346
#   after reduce(2)                   0.053
#   mean of resize(BOX) in mode F     0.101
#   blocks with any pixel             0.346
#   grey image: mean rises by         0.501
#   A box mean of a 0/1 mask is an OR in resize() and a majority in reduce().
if not np.array_equal(resized, in_block > 0):
    sys.exit("CHANGED: resize(BOX) to half is no longer the OR of each block")
if not np.array_equal(reduced, in_block >= 2):
    sys.exit("CHANGED: reduce(2) no longer sets the blocks with two pixels or more")
if not 0.45 < brighter - grey.mean() < 0.55:
    sys.exit("CHANGED: halving a grey image no longer adds half a level")
print("A box mean of a 0/1 mask is an OR in resize() and a majority in reduce().")
PY
