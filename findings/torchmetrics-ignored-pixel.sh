#!/usr/bin/env bash
# One ignored pixel decides whether torchmetrics takes all predictions for logits.
#
# Expected: with ignore_index the pixels so labelled are left out, whatever the prediction says
#   there; probabilities below the threshold stay background.
# Happens: "is any value outside 0..1?" is asked before the ignored pixels are removed. If the
#   prediction holds a nodata value (255, -9999) where the label says ignore, a sigmoid is put over
#   every pixel: each probability becomes more than 0.5, all is foreground.
# Why it matters: predictions read from a raster carry nodata exactly where labels are ignored.
#   Scores of the scenes with a nodata border collapse and those without one are right.
# A way round: fill ignored pixels of the prediction with 0 before the update.
# Versions: torchmetrics 1.9.0, torch 2.13.0, Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import torch
import torchmetrics
from torchmetrics.classification import BinaryF1Score, BinaryStatScores

random = torch.Generator().manual_seed(0)
label = (torch.rand(100, 100, generator=random) < 0.1).long()
sure = torch.rand(100, 100, generator=random) * 0.4
probability = torch.where(label == 1, 1 - sure, sure)
label[0, 0] = 255
print(f"torchmetrics {torchmetrics.__version__}, torch {torch.__version__.split('+')[0]}")
seen = {}
for there in (0.0, 1.0, 255.0, -9999.0):
    probability[0, 0] = there
    f1, counts = BinaryF1Score(ignore_index=255), BinaryStatScores(ignore_index=255)
    f1.update(probability, label)
    counts.update(probability, label)
    seen[there] = float(f1.compute())
    hits, false, *_ = counts.compute().tolist()
    print(f"ignored pixel {there:7}: F1 {seen[there]:.3f}, {hits} hits, {false} false alarms")
# Printed on the date above:
#   torchmetrics 1.9.0, torch 2.13.0
#   ignored pixel     0.0: F1 1.000, 1035 hits, 0 false alarms
#   ignored pixel     1.0: F1 1.000, 1035 hits, 0 false alarms
#   ignored pixel   255.0: F1 0.188, 1035 hits, 8964 false alarms
#   ignored pixel -9999.0: F1 0.188, 1035 hits, 8964 false alarms
#   The value under an ignored pixel changed the F1 of all others.
if (seen[0.0], seen[1.0]) != (1.0, 1.0):
    sys.exit("CHANGED: an ignored pixel within 0..1 counts now")
if max(seen[255.0], seen[-9999.0]) > 0.3:
    sys.exit("CHANGED: an ignored pixel outside 0..1 no longer brings a sigmoid over all")
print("The value under an ignored pixel changed the F1 of all others.")
PY
