"""Memory use of this process."""

import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """Returns the peak memory of this process, in bytes."""
    try:
        # Not resource.getrusage: on Linux its peak includes the parent's memory at the fork.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
