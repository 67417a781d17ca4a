#!/usr/bin/env bash
# The 128th instance is not counted if it is the outermost one.
#
# Expected: a copy of the reference scores n true positives for each n; int32 labels leave room for
#   thousands of millions.
# Happens: both arrays are first narrowed to the smallest type that holds the largest label, uint8
#   up to 255 whatever was given, and cropped to where their sum is not zero. Labels that add up to
#   256 sum to zero, so 128 on 128 does not count for the crop. Of 128 houses in a row a perfect
#   prediction of the last one is cut off with the house; if it misses the near end of the house,
#   all but two rows of the overlap are cut off, and a match of 0.7 becomes a miss. With 127 or 129
#   houses all is right. From 256 labels on it is 32768 on 32768, in uint16.
# Why it matters: label() numbers row by row, so a tile or a slide with 128 objects has number 128
#   at its lower edge. Counts, and means over objects, are wrong with no message; neither a wider
#   type nor a margin of zeros helps. Semantic masks of 0 and 1 are safe: they are labelled after
#   the crop.
# Versions: panoptica 2.1.7, scipy 1.17.1, numpy 2.2.6, Python 3.11.
# Seen: 2026-11-29.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    panoptica==2.1.7 scipy==1.17.1 numpy==2.2.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from panoptica import InputType, NaiveThresholdMatching, Panoptica_Evaluator
from panoptica.utils.citation_reminder import disable_citation_reminder
from scipy.ndimage import label

disable_citation_reminder()
evaluator = Panoptica_Evaluator(
    expected_input=InputType.UNMATCHED_INSTANCE,
    instance_matcher=NaiveThresholdMatching(matching_threshold=0.5),
)


def houses(count, missing=0):
    """Labels of a column of houses of 10 x 10 pixels; the last lacks its first `missing` rows."""
    mask = np.zeros((20 * count + 40, 20), bool)
    for start in range(20, 20 * count + 20, 20):
        mask[start : start + 10, 5:15] = True
    mask[start : start + missing] = False
    return label(mask)[0].astype(np.int32)


def counts(prediction, reference):
    """True positives, false positives, false negatives."""
    result = evaluator.evaluate(prediction, reference, verbose=False)["ungrouped"]
    return result.tp, result.fp, result.fn


print(f"panoptica {version('panoptica')}, scipy {version('scipy')}, numpy {np.__version__}")
seen = {}
for count in (127, 128, 129):
    reference = houses(count)
    assert reference.max() == houses(count, missing=3).max() == count
    copy, partly = counts(reference, reference), counts(houses(count, missing=3), reference)
    print(f"{count} houses: a copy {copy}; the last one matched by 0.7 {partly}")
    seen[count] = copy, partly
# Printed on the date above (true positives, false positives, false negatives):
#   panoptica 2.1.7, scipy 1.17.1, numpy 2.2.6
#   127 houses: a copy (127, 0, 0); the last one matched by 0.7 (127, 0, 0)
#   128 houses: a copy (127, 0, 0); the last one matched by 0.7 (127, 1, 1)
#   129 houses: a copy (129, 0, 0); the last one matched by 0.7 (129, 0, 0)
#   Of 128 houses the last one is not counted.
for count in (127, 129):
    if seen[count] != ((count, 0, 0), (count, 0, 0)):
        sys.exit(f"CHANGED: {count} houses are counted otherwise")
if seen[128] != ((127, 0, 0), (127, 1, 1)):
    sys.exit("CHANGED: 128 houses are counted, or otherwise")
print("Of 128 houses the last one is not counted.")
PY
