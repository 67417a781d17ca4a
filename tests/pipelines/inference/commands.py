"""The command of an inference in a process of its own, and what it left on the disk."""

import multiprocessing
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

RASTERS = ("probability.tif", "mask.tif")
SMALL = ("--tile", "64", "--overlap", "16", "--steps", "1", "--device", "cpu")
CUT = ("--part-size", "128")
PARTS = 36
"""Of the scene of 560 x 560 pixels, so cut."""
PART_BYTES = 50_000
"""More than a part takes, and less than a raster."""
GUARD_S = 120
"""Only so that a hung process ends a test."""
# What a command imports takes longer than what it does here: imported once, then forked.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["flows.command", "flows.cli.direct", "flows.cli.printed", "pipelines.inference.job"]
)


class Ended(AssertionError):
    """A command ended before what was waited for."""


class Command:
    """`python -m flows.infer_roads` in a process of its own; a context, which it does not outlive.

    Args:
        folder: Where it is run.
        words: What follows on the command line.
        afresh: Start Python anew instead of forking one that has imported what it needs.
        largest_file: The system's limit on the size of a file, in bytes.
        marker: What tells it, and what it starts, from other processes; see `marked`.
        patience: Seconds that a cluster is waited for, if not the usual.
        absence: Seconds that a scheduler may be away, if not the usual.
    """

    def __init__(
        self,
        folder: Path,
        *words: object,
        afresh: bool = False,
        largest_file: int | None = None,
        marker: str = "",
        patience: float | None = None,
        absence: float | None = None,
    ) -> None:
        self.folder = folder
        self._process = FORKS.Process(
            target=_infer_roads,
            args=(
                folder,
                [str(word) for word in words],
                (afresh, largest_file, marker, patience, absence),
            ),
        )

    def __enter__(self) -> "Command":
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    @property
    def errors(self) -> str:
        return (self.folder / "errors.txt").read_text()

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.errors.splitlines() if line.startswith("error: ")]

    def send(self, number: int) -> int:
        """Sends a signal, and waits for the end."""
        os.kill(self._process.pid, number)
        return self.end()

    def end(self) -> int:
        """Waits for the end; the exit status, or the signal, negative."""
        self._process.join(GUARD_S)
        assert not self.running, self.errors
        return int(self._process.exitcode)

    def wait_until(self, moment: Callable[[], bool], look: Callable[[], None] = lambda: None):
        """Waits for something to be seen while it runs, looking at something else meanwhile."""
        end = time.monotonic() + GUARD_S
        while not moment():
            look()
            if not self.running:
                raise Ended(self.errors)
            assert time.monotonic() < end, self.errors
            time.sleep(0.001)


def _infer_roads(folder, words, options):
    afresh, largest_file, marker, patience, absence = options
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "PYTEST_"))]:
        del os.environ[name]
    os.environ |= {"PREFECT_HOME": str(folder / "home"), "RURNET_TEST_MARKER": marker}
    for stream, name in ((1, "output.txt"), (2, "errors.txt")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    if afresh:
        os.execv(sys.executable, [sys.executable, "-m", "flows.infer_roads", *words])

    from flows.command import command
    from flows.table import FLOWS
    from pipelines.inference.cluster import connection

    if patience is not None:
        connection.WAIT_FOR_A_WORKER_S = patience
    if absence is not None:
        connection.WAIT_FOR_THE_SCHEDULER_S = absence
    command(FLOWS["infer-roads"], "python -m flows.infer_roads", words)


def marked(marker: str) -> dict[int, str]:
    """The command lines of processes that a command of this marker started, itself among them."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"RURNET_TEST_MARKER={marker}\0".encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def run(folder: Path, *words: object, **options) -> Command:
    """A command that has come to its end well."""
    with Command(folder, *words, **options) as command:
        status = command.end()
    assert status == 0, command.errors
    return command


def run_killed(folder: Path, result: Path, counts: Sequence[int], *words: object) -> Command:
    """A command that is killed when so many parts are whole, each time, and then comes to its end.

    What was whole is not written again. An update may find more parts there than it was killed at:
    it takes over those in which nothing changed.
    """
    before: dict[str, tuple[int, int]] = {}
    for count in counts:
        with Command(folder, *words) as command:
            command.wait_until(lambda count=count: len(parts(result)) >= count)
            assert command.send(signal.SIGKILL) == -signal.SIGKILL
        assert before.items() <= parts(result).items()
        before = parts(result)
    done = run(folder, *words)
    found = re.findall(r"(\d+) of \d+ parts were there already", done.errors)
    assert max(map(int, found)) >= len(before)
    return done


def written(folder: Path, pattern: str) -> dict[str, tuple[int, int]]:
    """Inode and time of files: they change where one is written again."""
    found = {}
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):
            stat = path.stat()
            found[path.name] = stat.st_ino, stat.st_mtime_ns
    return found


def parts(result: Path) -> dict[str, tuple[int, int]]:
    """What was `written` of the parts of a result."""
    return written(result / ".parts", "*.npz")


def rasters(result: Path) -> dict[str, bytes]:
    """The rasters of a result that are visible."""
    return {path.name: path.read_bytes() for path in result.glob("*.tif")}


def finished(result: Path, expected: dict[str, bytes]) -> bool:
    """Whether a result is complete, its bytes are those expected, and nothing else lies there."""
    return rasters(result) == expected and {path.name for path in result.iterdir()} == {
        *expected, *(name.replace(".tif", ".qml") for name in expected), "manifest.json",
    }  # fmt: skip
