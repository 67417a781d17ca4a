"""The memory of tensors, counted."""

import subprocess
import sys

import torch

from pipelines.runtime.tensor_memory import most_held


def test_what_is_held_at_once_counts_and_what_is_gone_does_not():
    def compute():
        first = torch.zeros(1000)
        del first
        second = torch.zeros(500)
        return second + torch.ones(500)

    assert most_held(compute) == 3 * 500 * 4


def test_counting_does_not_load_the_compiler():
    """It takes longer to load than all the rest of a dry run."""
    program = (
        "import sys, torch\n"
        "from pipelines.runtime.tensor_memory import most_held\n"
        "assert most_held(lambda: torch.zeros(3) + 1) == 24\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
