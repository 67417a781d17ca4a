"""Memory that this process takes."""

import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """Bytes that this process has held at most."""
    try:
        # Not what the kernel counts for resource.getrusage: that begins with the parent's.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
