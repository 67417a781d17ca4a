"""The device that a network runs on: its choice, its threads, its memory errors.

torch is imported where a device is used: that takes seconds.
"""

import os
import runpy
import sys
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipelines.errors import PipelineError
from pipelines.runtime.processor import instruction_set

if TYPE_CHECKING:
    import torch

TrainingPrecision = Literal["32-true", "bf16-mixed"]
"""Numbers that a network is trained in: 32 bits, or bfloat16 where it is safe."""

_OF_GPUS = ("cuda", "hip", "xpu")
"""Names in `torch.version`, one of which a build for GPUs sets."""


_OF_DRIVERS = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvmap", "/dev/dxg", "/dev/kfd")
"""What CUDA or ROCm opens: of NVIDIA's driver, of that of its Tegra, under WSL, of AMD's."""

_MAKERS = ("0x10de", "0x1002")
"""NVIDIA and AMD, as PCI numbers makers of devices."""


def cpu_threads() -> int:
    """Returns how many tiles a CPU predicts in parallel: OMP_NUM_THREADS, or else its cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else len(os.sched_getaffinity(0))


def is_a_cpu(name: str) -> bool:
    """Returns whether a device is surely the CPU, as far as is known without importing torch."""
    build = _build()
    of_gpus = [build.get(each) for each in _OF_GPUS]
    return name in ("auto", "cpu") and bool(build) and of_gpus == [None] * len(of_gpus)


def device_type(name: str) -> str:
    """Returns the type of a device, "cpu" or "cuda"; torch is imported where it may be a GPU.

    Raises:
        PipelineError: This machine has no such device.
    """
    surely = name == "cpu" or is_a_cpu(name) or (name == "auto" and not may_have_gpu())
    return "cpu" if surely else choose_device(name).type


def may_have_gpu() -> bool:
    """Returns whether this machine may have a GPU that torch can use; without one, none is."""
    # A driver may be loaded only when it is first used, so the devices themselves are looked at.
    makers = (file.read_text() for file in Path("/sys/bus/pci/devices").glob("*/vendor"))
    try:
        return any(Path(one).exists() for one in _OF_DRIVERS) or any(
            maker.strip() in _MAKERS for maker in makers
        )
    except OSError:
        return True


def torch_version() -> str:
    """Returns the version of torch, found without importing it."""
    return str(_build().get("__version__") or version("torch"))


@lru_cache(maxsize=1)
def _build() -> dict[str, Any]:
    """What `torch.version` says; empty where its file is not found."""
    spec = find_spec("torch")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "version.py"
        if path.is_file():
            return runpy.run_path(str(path))
    return {}


def choose_device(name: str) -> "torch.device":
    """Returns the device of a name; "auto" is the first GPU, or the CPU if there is none.

    Raises:
        PipelineError: This machine has no such device.
    """
    import torch

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


def gpu_name() -> str | None:
    """Returns the model of the first GPU; None where there is none."""
    if device_type("auto") == "cpu":
        return None
    import torch

    return torch.cuda.get_device_name()


def training_layout(device: "torch.device") -> "torch.memory_format":
    """Returns how a network lies in memory while it is trained: channels are last on GPUs only.

    On CPUs torch's gradient of group norm takes twelve times as long where channels are last, which
    is more than its convolutions gain there (`python -m benchmarks.loader`).
    """
    import torch

    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def fastest_precision() -> TrainingPrecision:
    """Returns in which precision a network is trained fastest here (`python -m benchmarks.loader`).

    It is bf16 on GPUs that have it and on CPUs with AMX; without AMX it is slower than 32 bits.
    """
    import torch

    if torch.cuda.is_available():
        pays = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        pays = instruction_set() == "amx"
    return "bf16-mixed" if pays else "32-true"


def identifier_of(device: "torch.device") -> str | None:
    """Returns the driver's name of a GPU, as `gpus_here` lists it; None of other devices."""
    if device.type != "cuda":
        return None
    import torch

    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return None if uuid is None else f"GPU-{uuid}"


def out_of_memory(error: BaseException) -> bool:
    """Returns whether this error was raised because a GPU or the CPU ran out of memory."""
    of_torch = _of_torch(error, "OutOfMemoryError")
    return of_torch or isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def device_lost(error: BaseException) -> bool:
    """Returns whether torch raised this error because a GPU failed or is gone.

    The process can use none any more: CUDA says the same of all that follows.
    """
    return _of_torch(error, "AcceleratorError") and not out_of_memory(error)


def _of_torch(error: BaseException, name: str) -> bool:
    """Whether an error is of a class of torch's; who has not imported it has none of them."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, getattr(torch, name))


def device_kind(name: str) -> str:
    """Returns the model of the device and the version of torch: equal results need both equal.

    Raises:
        PipelineError: This machine has no such device.
    """
    if device_type(name) == "cpu":
        return f"cpu, torch {torch_version()}"
    import torch

    device = choose_device(name)
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{kind}, torch {torch.__version__}"
