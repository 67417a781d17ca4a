"""A Dask cluster in processes of its own, for tests."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.pipelines.inference.commands import GUARD_S

ROOT = Path(__file__).resolve().parents[3]


def wait_for(moment: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + GUARD_S
    while not moment():
        assert time.monotonic() < end, what
        time.sleep(0.01)


class Cluster:
    """A scheduler and workers in processes of their own; they end with the stack."""

    def __init__(self, folder: Path, stack: ExitStack, **environment: str) -> None:
        self._folder = folder
        self._stack = stack
        self._environment = {**os.environ, **environment}
        self.scheduler = self._schedule(0)
        contact = folder / "contact.json"
        wait_for(lambda: contact.exists() and contact.stat().st_size > 0, "no scheduler")
        self.address = str(json.loads(contact.read_text())["address"])

    def restart(self) -> None:
        """Kills the scheduler, and starts another at its address; workers end by themselves."""
        self.scheduler.kill()
        self.scheduler.wait()
        self.scheduler = self._schedule(int(self.address.rpartition(":")[2]))

    def _schedule(self, port: int) -> subprocess.Popen[bytes]:
        return self._start(
            "scheduler", "--host", "127.0.0.1", "--port", str(port),
            "--dashboard-address", "127.0.0.1:0",
            "--scheduler-file", str(self._folder / "contact.json"),
        )  # fmt: skip

    def add(self, name: str) -> subprocess.Popen[bytes]:
        """Starts a worker; it joins later."""
        return self._start(
            "worker", self.address, "--name", name, "--no-nanny", "--nthreads", "1",
            "--memory-limit", "0", "--no-dashboard", "--local-directory", str(self._folder),
        )  # fmt: skip

    def _start(self, kind: str, *words: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{kind}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words],
                cwd=ROOT, env=self._environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process
