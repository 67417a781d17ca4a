#!/usr/bin/env bash
# A predictor that returns a view of its window makes MONAI's sliding window overwrite the image.
#
# Expected: sliding_window_inference() blends what a predictor returns and leaves its input alone;
#   for a predictor that picks a channel the blend is that channel again, whatever the weights.
# Happens: with mode="gaussian" and sw_batch_size=1 the predictor is given a view of the input and
#   its result is multiplied in place by the weights. A result that shares that memory takes the
#   weights into the image itself. The next window, which overlaps, reads the faded pixels. With
#   sw_batch_size=2, or one more arithmetic operation in the predictor, all is right.
# Why it matters: baselines ("the green channel is the vessel map"), identity networks in a test of
#   the stitching, and networks that hand back their input as the state of step 0 come out wrong by
#   up to the whole range, and the image that is scored or drawn afterwards is damaged. Changing
#   the batch size changes the result, so it looks like a fault of the network.
# Versions: monai 1.6.1, torch 2.13.0, numpy 2.4.6, Python 3.11.
# Seen: 2026-11-28.

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
from monai.inferers import sliding_window_inference

image = torch.rand(1, 3, 100, 100, generator=torch.Generator().manual_seed(0))
green = image[:, 1:2].clone()
print(f"monai {monai.__version__}, torch {torch.__version__.split('+')[0]}")


def errors(batch: int, predictor, mode: str = "gaussian") -> tuple[float, float]:
    given = image.clone()
    blended = sliding_window_inference(given, (32, 32), batch, predictor, overlap=0.5, mode=mode)
    return float((blended - green).abs().max()), float((given - image).abs().max())


cases = {
    "gaussian, batch 1, view": errors(1, lambda window: window[:, 1:2]),
    "gaussian, batch 2, view": errors(2, lambda window: window[:, 1:2]),
    "gaussian, batch 1, copy": errors(1, lambda window: window[:, 1:2] * 1),
    "constant, batch 1, view": errors(1, lambda window: window[:, 1:2], "constant"),
}
for name, (result, damage) in cases.items():
    print(f"{name}: result off by up to {result:.3f}, image changed by up to {damage:.3f}")
# Printed on the date above:
#   monai 1.6.1, torch 2.13.0
#   gaussian, batch 1, view: result off by up to 0.998, image changed by up to 1.000
#   gaussian, batch 2, view: result off by up to 0.000, image changed by up to 0.000
#   gaussian, batch 1, copy: result off by up to 0.000, image changed by up to 0.000
#   constant, batch 1, view: result off by up to 0.000, image changed by up to 0.000
#   sliding_window_inference() multiplied its own input by the blending weights.
broken, *right = cases.values()
if min(broken) < 0.5:
    sys.exit("CHANGED: a predictor that returns a view no longer damages the image")
if max(max(pair) for pair in right) > 1e-5:
    sys.exit("CHANGED: another case than a view in a batch of one goes wrong")
print("sliding_window_inference() multiplied its own input by the blending weights.")
PY
