#!/usr/bin/env bash
# Counting the operations of one addition loads torch's compiler, and keeps it.
#
# Expected: a dispatch mode (FlopCounterMode, or one's own TorchDispatchMode that counts bytes) looks
#   at operations as they pass. Nothing is compiled, so nothing of torch.compile is needed.
# Happens: the first operation under any such mode imports torch._dynamo, and with it FSDP and sympy:
#   824 modules on top of 1,118, and 75 MB that stay. It is imported to be told that it should leave
#   the mode's method alone. A mode whose class method _should_skip_dynamo, which is in no manual,
#   returns False is not announced to it, and loads nothing.
# Why it matters: modes are what memory, operations and devices of a network are counted with before
#   a run. A command that only wants to print an estimate takes seconds longer, and each of many
#   workers holds the compiler in memory though it never compiles.
# Versions: torch 2.13.0 (its CPU build where the index has it), Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check torch==2.13.0 numpy==2.3.4
cat > "$work/count.py" <<'PY'
import sys

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


class Counting(TorchDispatchMode):
    seen = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        self.seen += 1
        return function(*arguments, **(named or {}))


class Unannounced(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls):
        return False

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        return function(*arguments, **(named or {}))


def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 // 10**6


modes = {"none": None, "FlopCounterMode": FlopCounterMode, "own": Counting, "unannounced": Unannounced}
mode = modes[sys.argv[1]]
one = torch.ones(3) + 1
modules, before = len(sys.modules), held()
if mode is None:
    one + 1
else:
    with mode(**({"display": False} if mode is FlopCounterMode else {})):
        one + 1
loaded = [name for name in ("torch._dynamo", "torch.distributed.fsdp", "sympy") if name in sys.modules]
print(f"{sys.argv[1]:16} {modules:5} modules, then {len(sys.modules):5};"
      f" {held() - before:4} MB more; there now: {', '.join(loaded) or 'none of them'}")
wanted = sys.argv[1] in ("FlopCounterMode", "own")
if ("torch._dynamo" in loaded) != wanted:
    sys.exit("CHANGED: whether a dispatch mode loads torch's compiler")
PY
echo "torch 2.13.0, before and after one addition under a mode:"
for mode in none FlopCounterMode own unannounced; do
  "$work/venv/bin/python" -W ignore "$work/count.py" "$mode"
done
