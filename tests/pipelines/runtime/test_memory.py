"""Memory that is freed goes back to the system."""

import os
import subprocess
import sys

import pytest

# Large blocks come and go between small ones that stay, as tiles do between other things.
USED = """
import gc
import numpy as np
from pipelines.runtime import memory

def resident():
    gc.collect()
    status = open("/proc/self/status").read()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024

print(memory.give_back_large_blocks() if {asked} else None)
before, kept = resident(), []
np.ones(30_000_000, np.uint8)  # So that glibc keeps blocks of this size.
for turn in range(4):
    blocks = []
    for _ in range(10):
        blocks.append(np.ones(10_000_000, np.uint8))
        kept.append(np.ones(100_000, np.uint8))
    del blocks
print(resident() - before)
if {trimmed}:
    memory.give_back_freed()
    print(resident() - before)
"""


def run(asked=False, trimmed=False, **environment):
    """What the program prints."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    own.pop("GLIBC_TUNABLES", None)
    done = subprocess.run(
        [sys.executable, "-c", USED.format(asked=asked, trimmed=trimmed)],
        capture_output=True, text=True, env=own | environment, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_large_blocks_are_given_back_when_they_are_freed():
    done, left = run(asked=True)
    if done == "False":
        pytest.skip("the C library is not glibc, or there are no huge pages")
    assert int(left) < 20_000_000  # 4 MB are still used.
    assert int(run()[1]) > 60_000_000


def test_what_is_free_can_be_given_back_at_any_time():
    _, left, then = run(trimmed=True)
    if int(left) < 60_000_000:
        pytest.skip("the C library is not glibc")
    assert int(then) < 20_000_000


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_user_has_set_is_kept(name):
    value = "glibc.malloc.arena_max=4" if name == "GLIBC_TUNABLES" else "4"
    done, *_ = run(asked=True, **{name: value})
    assert done == "False"
