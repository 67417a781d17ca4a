#!/usr/bin/env bash
# MONAI's generalized Dice loss asks nothing for false alarms in a tile without roads.
#
# Expected: all Dice losses punish roads that are predicted where there are none: DiceLoss and
#   TverskyLoss are 1 for such a tile. The generalized loss weights classes by their size, so rare
#   ones count for more, not for less.
# Happens: the weight of a class is one over its squared area in the label, which is infinite for an
#   empty class and is replaced by the largest finite weight of the same tile. With one channel, or
#   without the background's, there is none, so the weight is 0: the loss of a tile without roads is
#   exactly 0 and so is its gradient, whether nothing or all of it is predicted as road. A
#   background channel that takes part, batch=True or w_type="uniform" makes false alarms count.
# Why it matters: most tiles of a large scene are empty. Training on one channel with a sigmoid, as
#   is usual for roads and vessels, learns nothing from them: nothing holds back false alarms on
#   fields, and the mean loss is the lower the more empty tiles a batch holds.
# Versions: monai 1.6.1, torch 2.13.0, numpy 2.4.6, Python 3.11.
# Seen: 2026-11-29.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    torch==2.13.0 monai==1.6.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import monai
import torch
from monai.losses import DiceLoss, GeneralizedDiceLoss, TverskyLoss

EMPTY = torch.zeros(1, 1, 64, 64)
ROAD = EMPTY.clone()
ROAD[..., 30:34] = 1


def measured(loss, label, logit, *, background=False):
    """Loss of a tile that has this logit of "road" everywhere, and its largest gradient."""
    logits = torch.full_like(label, logit)
    if background:
        logits, label = (
            torch.cat([torch.zeros_like(logits), logits], 1),
            torch.cat([1 - label, label], 1),
        )
    logits.requires_grad_()
    value = loss(logits, label)
    value.backward()
    return round(value.item(), 3), float(logits.grad.abs().max())


print(f"monai {monai.__version__}, torch {torch.__version__.split('+')[0]}")
generalized = GeneralizedDiceLoss(sigmoid=True)
cases = {
    "Dice": (DiceLoss(sigmoid=True), {}),
    "Tversky": (TverskyLoss(sigmoid=True), {}),
    "generalized, one channel": (generalized, {}),
    "generalized, without background": (
        GeneralizedDiceLoss(softmax=True, include_background=False),
        {"background": True},
    ),
    "generalized, with background": (GeneralizedDiceLoss(softmax=True), {"background": True}),
}
seen = {}
for name, (loss, given) in cases.items():
    nothing, half, everything = (measured(loss, EMPTY, v, **given) for v in (-8.0, 0.0, 8.0))
    learns = "a gradient" if half[1] else "no gradient"
    seen[name] = nothing[0], half[0], everything[0], learns
    print(f"{name}: empty tile, p = 0, 0.5, 1: {nothing[0]}, {half[0]}, {everything[0]}; {learns}")
with_road = measured(generalized, ROAD, 8.0)[0]
print(f"generalized, one channel, p = 1: {with_road} if the tile holds a road")
# Printed on the date above:
#   monai 1.6.1, torch 2.13.0
#   Dice: empty tile, p = 0, 0.5, 1: 1.0, 1.0, 1.0; a gradient
#   Tversky: empty tile, p = 0, 0.5, 1: 1.0, 1.0, 1.0; a gradient
#   generalized, one channel: empty tile, p = 0, 0.5, 1: 0.0, 0.0, 0.0; no gradient
#   generalized, without background: empty tile, p = 0, 0.5, 1: 0.0, 0.0, 0.0; no gradient
#   generalized, with background: empty tile, p = 0, 0.5, 1: 0.0, 0.49, 0.98; a gradient
#   generalized, one channel, p = 1: 0.882 if the tile holds a road
#   A tile that is all false alarm costs nothing.
for name in ("Dice", "Tversky"):
    if seen[name] != (1, 1, 1, "a gradient"):
        sys.exit(f"CHANGED: {name} loss of an empty tile is another")
if seen["generalized, with background"] != (0, 0.49, 0.98, "a gradient") or with_road != 0.882:
    sys.exit("CHANGED: the generalized loss is another where it should punish")
for name in ("generalized, one channel", "generalized, without background"):
    if seen[name] != (0, 0, 0, "no gradient"):
        sys.exit(f"CHANGED: false alarms in an empty tile count ({name})")
print("A tile that is all false alarm costs nothing.")
PY
