#!/usr/bin/env bash
# The same tensors with the same metadata give other bytes in each process.
#
# Expected: safetensors is known for a plain, sorted layout, and numpy arrays and a dict keep their
#   order: the same content saved twice has the same SHA-256.
# Happens: with two metadata keys or more the header lists them in an order that is drawn anew for
#   each save, so two saves differ within one process too. Tensors are in a fixed order.
# Why it matters: a hash of a weights file names the weights in caches, manifests and lock files.
#   The same training saved again, or a file converted twice, looks like other weights: a resumed
#   batch job refuses to go on, or a cache computes everything again.
# A way round: put all metadata into one key (as one JSON text), or hash the tensors instead.
# Versions: safetensors 0.8.0, numpy 2.4.6, Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    safetensors==0.8.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import hashlib
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

tensors = {"weight": np.arange(6, dtype=np.float32), "bias": np.zeros(2, np.float32)}
card = {"classes": "2", "mean": "0.5", "network": "unet", "seed": "7", "std": "0.2", "steps": "3"}


def files(metadata: dict[str, str]) -> int:
    saved = [save(tensors, metadata=metadata) for _ in range(50)]
    assert all(np.array_equal(load(each)["weight"], tensors["weight"]) for each in saved)
    return len({hashlib.sha256(each).hexdigest() for each in saved})


several, one = files(card), files({"card": str(card)})
print(f"safetensors {safetensors.__version__}, numpy {np.__version__}")
print(f"different files among 50 saves with six metadata keys: {several}")
print(f"different files among 50 saves with one metadata key:  {one}")
# Printed on the date above:
#   safetensors 0.8.0, numpy 2.4.6
#   different files among 50 saves with six metadata keys: 48
#   different files among 50 saves with one metadata key:  1
#   A hash of a safetensors file is no hash of its content.
if one != 1:
    sys.exit("CHANGED: a file with one metadata key is not always the same either")
if several < 2:
    sys.exit("CHANGED: the same content now gives the same bytes")
print("A hash of a safetensors file is no hash of its content.")
PY
