"""Finds out what a run was made with: command, versions, machine."""

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import rasterio

from pipelines.results.report import MadeWith
from pipelines.runtime.device import gpu_name
from tiling.scenes.names import shown

_PACKAGES = ("rurnet", "torch", "numpy", "scipy", "scikit-image", "rasterio")


def made_with(seconds: float | None, backends: Sequence[str]) -> MadeWith:
    """The command, versions and machine of this process.

    Args:
        seconds: Wall time of the run, where it is known.
        backends: See `MadeWith`.
    """
    return MadeWith(
        command=shlex.join(["python", *map(_shown, sys.orig_argv[1:])]),
        python=platform.python_version(),
        platform=platform.platform(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        device=gpu_name(),
        packages={name: version(name) for name in _PACKAGES} | {"GDAL": rasterio.__gdal_version__},
        seconds=None if seconds is None else round(seconds, 1),
        backends=backends,
    )


def _shown(word: str) -> str:
    """A word of a command as it may be shown: also of the kind `--scenes=FILE`."""
    option, equals, value = word.partition("=")
    return f"{option}={shown(value)}" if option.startswith("--") and equals else shown(word)


def _processor() -> str:
    try:
        # platform.processor() is empty, or names the architecture only.
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
