"""The kind of processor, as far as the bits of a result can depend on it."""

import platform
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def instruction_set() -> str:
    """Returns the widest instructions of this processor that networks are computed with.

    Returns:
        "amx" (with bfloat16), "avx512" or "avx2"; elsewhere the name of the architecture, such as
        "aarch64". An x86-64 processor of which the system tells no more is "x86_64".
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    for name, flag in (("amx", "amx_bf16"), ("avx512", "avx512f"), ("avx2", "avx2")):
        if flag in flags:
            return name
    return platform.machine()
