#!/usr/bin/env bash
# A torch module that divides its weights by a mean is computed upside down, until it is saved.
#
# Expected: weight / (image.mean((2, 3), keepdim=True) + 1) is what it says, in whatever runs it.
# Happens: convert_model and compile_model give (mean + 1) / weight on a CPU. The division is taken
#   into the reduction before it, with its operands swapped. No error, no warning. The same model
#   saved with save_model and read again is computed right, and so is weight * (1 / ...).
# Why it matters: a mean over height and width is what normalisation and squeeze-and-excitation begin
#   with, and weight / sqrt(variance + eps) is how group norm is often written. The network runs, and
#   its masks are wrong; who tests the saved file sees nothing of it.
# Versions: openvino 2026.4.1, torch 2.13.0, Python 3.11; x86-64 with AVX2.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check openvino==2026.4.1 torch==2.13.0
cd "$work"
HOME="$work" "$work/venv/bin/python" -W ignore - <<'PY'
import sys

sys.modules["openvino_telemetry"] = None  # Its import reports to its makers otherwise.
import openvino as ov
import torch
from torch import nn


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 4.0, 8.0])[:, None, None])

    def forward(self, image):
        return self.weight / (image.mean((2, 3), keepdim=True) + 1)


class Multiplied(Scaled):
    def forward(self, image):
        return self.weight * (1 / (image.mean((2, 3), keepdim=True) + 1))


torch.manual_seed(1)
image = torch.rand(1, 4, 32, 32)


def run(model):
    compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return torch.from_numpy(compiled([image.numpy()])[0])


def show(what, values):
    print(f"{what:38}", *(f"{value:.4f}" for value in values.flatten().tolist()))


with torch.no_grad():
    truth = Scaled()(image)
    converted = ov.convert_model(Scaled(), example_input=image)
    found = run(converted)
    ov.save_model(converted, "saved.xml", compress_to_fp16=False)
    saved = run("saved.xml")
    multiplied = run(ov.convert_model(Multiplied(), example_input=image))
print(f"openvino {ov.__version__.split('-')[0]}, torch {torch.__version__.split('+')[0]}")
show("torch     weight / (mean + 1)", truth)
show("openvino  weight / (mean + 1)", found)
show("          its inverse", 1 / found)
show("openvino  the same, saved and read", saved)
show("openvino  weight * (1 / (mean + 1))", multiplied)
wrong = torch.allclose(1 / found, truth, rtol=1e-4)
right = torch.allclose(saved, truth, rtol=1e-4) and torch.allclose(multiplied, truth, rtol=1e-4)
if not (wrong and right):
    sys.exit("CHANGED: the converted model is no longer the inverse of the saved one")
PY
