"""What a command sets in its own process, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from pipelines.datasets.synthetic import write_roads_folder


def started(*words, cwd, **environment):
    """A Python process with these arguments, that no Prefect API is configured for, at its end."""
    unset = ("PREFECT_", "OMP_WAIT_POLICY")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, capture_output=True, text=True, timeout=240,
        env=clean | {"PREFECT_HOME": str(cwd / "prefect-home")} | environment,
    )  # fmt: skip


IMPORTS = """
import atexit, os, signal
before = dict(os.environ), atexit._ncallbacks(), signal.getsignal(signal.SIGTERM)
import {0}
after = dict(os.environ), atexit._ncallbacks(), signal.getsignal(signal.SIGTERM)
assert after == before, (before, after)
"""


def test_a_process_knows_when_it_began_however_late_it_asks(tmp_path):
    late = """
import time
there = time.time()
time.sleep(0.5)
from flows.cli.process import began
assert began().timestamp() < there + 0.1, (began().timestamp(), there)
"""
    done = started("-c", late, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["flows", "flows.table", "flows.__main__", "flows.cli.process"])
def test_an_import_changes_neither_environment_nor_exit_nor_signals(module, tmp_path):
    done = started("-c", IMPORTS.format(module), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_threads_of_torch_that_wait_leave_the_processor_to_others(tmp_path):
    done = started("-m", "flows.train_drive", cwd=tmp_path, OMP_DISPLAY_ENV="verbose")
    # What the policy comes to in GNU's OpenMP, that of torch on Linux; the policy itself is said
    # to be passive where none is set, and is not.
    spins = re.findall(r"GOMP_SPINCOUNT = '(\w+)'", done.stderr)
    if sys.platform == "linux":
        assert spins
    assert set(spins) <= {"0"}


def crops(child):
    """The process that makes crops."""
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    (number,) = (
        int(number)
        for number in children
        if "spawn_main" in Path(f"/proc/{number}/cmdline").read_text()
    )
    return number


@pytest.mark.parametrize(
    ("stop", "status", "said"),
    [
        # As a terminal does: to the processes that make crops too.
        (lambda child: os.killpg(child.pid, signal.SIGINT), 130, "stopped; the same command goes"),
        pytest.param(
            lambda child: child.terminate(),
            143,
            "stopped; the same command goes",
            marks=pytest.mark.soak,
        ),
        # As a scheduler or `timeout` does.
        (lambda child: os.killpg(child.pid, signal.SIGTERM), 143, "stopped; the same command goes"),
        pytest.param(
            lambda child: os.kill(crops(child), signal.SIGKILL),
            1,
            "a process that makes crops died",
            marks=pytest.mark.soak,
        ),
    ],
    ids=["interrupted", "terminated", "all terminated", "crops killed"],
)
def test_a_training_that_is_stopped_says_so_and_goes_on(tmp_path, stop, status, said):
    write_roads_folder(tmp_path / "roads", train=3, valid=1, size=64)
    words = (
        "flows.train_roads", "--data", "roads", "--output", "out", "--crop-sizes", "32",
        "--batch-pixels", "2048", "--steps", "1", "--scorings", "250000", "--iterations",
    )  # fmt: skip
    last = tmp_path / "out" / "checkpoints" / "last.ckpt"
    with subprocess.Popen(
        [sys.executable, "-m", *words, "1000000"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PREFECT_HOME": str(tmp_path / "prefect-home")},
        # What a shell starts in the background does not hear interrupts, and hands that on.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as child:  # fmt: skip
        deadline = time.monotonic() + 240
        while not last.exists():
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        stop(child)
        _, errors = child.communicate(timeout=120)
    assert child.returncode == status
    last = errors.splitlines()[-1]
    assert last.startswith(f"error: {said}")
    assert "goes on from what is there" in last
    assert "Traceback" not in errors


STUCK = """
import os, signal, threading
from flows import command
from flows.cli import process
from flows.table import FLOWS, FlowEntry

class Late:
    def __del__(self):
        os.write(2, b"what Python's own end takes down")

late = Late()

def run(config, progress):
    threading.Thread(target=threading.Event().wait).start()
    os.kill(os.getpid(), signal.SIGTERM)

process._ORDERLY_EXIT_S = 0.5
flow = FlowEntry("infer-roads", "A flow that is stopped.", FLOWS["infer-roads"].config, run)
command.command(flow, "rurnet infer-roads", [])
"""


@pytest.mark.parametrize("stuck", [True, False], ids=["stuck", "free"])
def test_a_stopped_command_waits_neither_for_its_threads_nor_for_pythons_end(tmp_path, stuck):
    code = STUCK if stuck else STUCK.replace("target=threading.Event().wait", "")
    done = started("-c", code, cwd=tmp_path)
    assert done.returncode == 143
    assert done.stderr.splitlines()[-1].startswith("error: stopped; the same command goes")
