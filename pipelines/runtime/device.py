"""Devices that networks run on: choosing one, its threads, and what lack of memory looks like."""

import os

import torch

from pipelines.errors import PipelineError


def cpu_threads() -> int:
    """How many tiles a CPU works on side by side: OMP_NUM_THREADS, or else its cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else len(os.sched_getaffinity(0))


def choose_device(name: str) -> torch.device:
    """The device a name stands for; "auto" is the first GPU, or else the CPU.

    Raises:
        PipelineError: No such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise PipelineError(
            f"device {name}: not usable here ({first}); give --device auto"
        ) from error
    return device


def out_of_memory(error: BaseException) -> bool:
    """Whether a device, or torch on the CPU, found no memory."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def device_kind(name: str) -> str:
    """What results are the same bytes on: the kind of device and what computes there.

    Raises:
        PipelineError: No such device.
    """
    device = choose_device(name)
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{kind}, torch {torch.__version__}"
