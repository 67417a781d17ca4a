"""Memory use of this process, and how the C library keeps what was freed."""

import ctypes
import os
import resource
import sys
from pathlib import Path

_LARGE = 8 << 20
"""Bytes from which on a block is taken from the system and given back by itself. numpy asks for
huge pages for such blocks, without which that would be slow; half of it took a tenth more time."""

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
"""Numbers of glibc's `mallopt`, from its `malloc.h`."""

_SETTINGS = {_ARENA_MAX: 1, _MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: 4 * _LARGE}

_TORCH_HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""Environment variable by which torch asks for huge pages as well."""

_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def peak_memory() -> int:
    """Returns the peak memory of this process, in bytes."""
    try:
        # Not resource.getrusage: on Linux its peak includes the parent's memory at the fork.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def give_back_large_blocks() -> bool:
    """Has large blocks of memory given back to the system as soon as they are freed.

    By default glibc keeps blocks of up to 32 MB for later ones, in several heaps. Tiles, rows and
    parts have so many sizes that these seldom fit: after a while a third of a process was such
    blocks (`docs/speed.md`). torch is to be imported afterwards, as it reads its setting once.

    Returns:
        Whether it is so now. It is not where the C library is another one, where the user has set
        how it allocates (`MALLOC_...` and `GLIBC_TUNABLES` in the environment), or where the system
        has no huge pages, so that new blocks are slow.
    """
    own = [name for name in os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"]
    if own or sys.platform != "linux" or not _has_huge_pages():
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    os.environ.setdefault(_TORCH_HUGE_PAGES, "1")
    return all(mallopt(name, value) for name, value in _SETTINGS.items())


def give_back_freed() -> None:
    """Gives all memory that is free back to the system, where the C library can do that."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _has_huge_pages() -> bool:
    try:
        return "[never]" not in _HUGE_PAGES.read_text(encoding="ascii")
    except OSError:
        return False
