"""The GPUs of this machine, found without torch: a process chooses its own before it uses any."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable that CUDA reads once, when a process first uses a GPU."""

_ANSWERS_WITHIN_S = 60.0


def gpus_here() -> list[str]:
    """Returns the identifiers of the NVIDIA GPUs that this process may use.

    They are those of the driver (`GPU-...`, or `MIG-...` where a GPU is divided): numbers would
    depend on who counts, as CUDA counts the fastest first.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        listed = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=_ANSWERS_WITHIN_S, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    return allowed(listed_gpus(listed), os.environ.get(VISIBLE))


def other_gpus(mine: str | None) -> list[str]:
    """Returns the identifiers of the GPUs that this process may use, without its own.

    Args:
        mine: Its own. If it is not among them, it is taken to be the first one.
    """
    here = gpus_here()
    return [gpu for gpu in here if gpu != mine] if mine in here else here[1:]


def listed_gpus(listing: str) -> list[str]:
    """Returns the identifiers in what `nvidia-smi -L` prints; of a divided GPU its parts'."""
    found: list[list[str]] = []
    for kind, identifier in re.findall(r"\(UUID: ((?:GPU|MIG)-)([^)]+)\)", listing):
        if kind == "GPU-":
            found.append([])
        if found:
            found[-1].append(kind + identifier)
    return [each for gpu in found for each in (gpu[1:] or gpu)]


def allowed(gpus: Sequence[str], visible: str | None) -> list[str]:
    """Returns those of the GPUs that a list allows.

    Args:
        gpus: Their identifiers, in the driver's order.
        visible: The value of `CUDA_VISIBLE_DEVICES`: numbers, or the beginnings of identifiers,
            with commas between; None allows all, and what names no GPU ends the list.
    """
    if visible is None:
        return list(gpus)
    chosen: list[str] = []
    for word in visible.split(","):
        named = word.strip()
        if named.isdecimal():
            matching = list(gpus[int(named) : int(named) + 1])
        else:
            matching = [gpu for gpu in gpus if named and gpu.startswith(named)]
        if len(matching) != 1:
            break
        chosen += matching
    return chosen
