"""The device that a network runs on: its choice, its threads, its memory errors."""

import os

import torch

from pipelines.errors import PipelineError


def cpu_threads() -> int:
    """Returns how many tiles a CPU predicts in parallel: OMP_NUM_THREADS, or else its cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else len(os.sched_getaffinity(0))


def choose_device(name: str) -> torch.device:
    """Returns the device of a name; "auto" is the first GPU, or the CPU if there is none.

    Raises:
        PipelineError: This machine has no such device.
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


def training_layout(device: torch.device) -> torch.memory_format:
    """Returns how a network lies in memory while it is trained: channels are last on GPUs only.

    On CPUs torch's gradient of group norm takes twelve times as long where channels are last, which
    is more than its convolutions gain there (`python -m benchmarks.loader`).
    """
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def out_of_memory(error: BaseException) -> bool:
    """Returns whether torch raised this error because a GPU or the CPU ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def device_lost(error: BaseException) -> bool:
    """Returns whether torch raised this error because a GPU failed or is gone.

    The process can use none any more: CUDA says the same of all that follows.
    """
    return isinstance(error, torch.AcceleratorError) and not out_of_memory(error)


def device_kind(name: str) -> str:
    """Returns the model of the device and the version of torch: equal results need both equal.

    Raises:
        PipelineError: This machine has no such device.
    """
    device = choose_device(name)
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{kind}, torch {torch.__version__}"
