"""Rank and number of the training processes, from the environment that `torchrun` sets."""

import os


def process() -> int:
    """Returns the rank of this process, from 0. Process 0 writes the files."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """Returns the number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_here() -> int:
    """Returns the number of these processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def machines() -> int:
    """Returns the number of machines that they run on."""
    return processes() // processes_here()
