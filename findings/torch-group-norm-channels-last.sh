#!/usr/bin/env bash
# Group norm is ten thousand times less exact in channels_last, for values far from 0.
#
# Expected: the memory format changes the speed, and at most the last bits. torch's guide calls
#   channels_last another order of the same numbers.
# Happens: on a CPU, group norm of a contiguous float32 tensor is exact to six digits. In
#   channels_last the error grows with the square of a group's mean, as if the variance were the
#   difference of two large sums: with a mean a hundred times the deviation it is 0.1, in results
#   that have a deviation of 1.
# Why it matters: channels_last is what speeds convolutions up on CPUs, and a feature map with an
#   offset is common (behind a ReLU, a bias, or in images that are not centred). A network that was
#   trained in one format gives other masks in the other, and neither warns. Comparisons with
#   exported networks fail, though the export is right.
# Versions: torch 2.13.0 (its CPU build where the index has it), Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check torch==2.13.0 numpy==2.3.4
"$work/venv/bin/python" - <<'PY'
import sys

import torch
from torch.nn.functional import group_norm

torch.manual_seed(0)
noise = torch.randn(1, 8, 256, 256)
print(f"torch {torch.__version__.split('+')[0]}, largest error against float64:")
worst = {}
for offset in (0, 10, 100):
    values = noise + offset
    exact = group_norm(values.double(), 8)
    for name, layout in (
        ("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)
    ):
        result = group_norm(values.contiguous(memory_format=layout), 8)
        worst[offset, name] = float((result - exact).abs().max())
    print(
        f"  mean {offset:3}, deviation 1: contiguous {worst[offset, 'contiguous']:.1e}, "
        f"channels_last {worst[offset, 'channels_last']:.1e}"
    )
# Printed on the date above (digits depend on the processor):
#   torch 2.13.0, largest error against float64:
#     mean   0, deviation 1: contiguous 5.3e-07, channels_last 1.4e-05
#     mean  10, deviation 1: contiguous 1.4e-06, channels_last 3.4e-03
#     mean 100, deviation 1: contiguous 8.3e-06, channels_last 1.6e-01
#   The memory format decides how exact group norm is.
if worst[100, "contiguous"] > 1e-3:
    sys.exit("CHANGED: contiguous group norm is no longer exact")
if worst[100, "channels_last"] < 1e-3:
    sys.exit("CHANGED: group norm in channels_last is exact now")
print("The memory format decides how exact group norm is.")
PY
