"""Which of several training processes this is, as `torchrun` tells in the environment."""

import os


def process() -> int:
    """The number of this process, from 0; 0 is the one that writes files."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_here() -> int:
    """How many of them run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def machines() -> int:
    """How many machines they run on."""
    return processes() // processes_here()
