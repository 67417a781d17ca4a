"""`python -m benchmarks.in_time --output DIR`: does `--budget` keep the time that it is given?

Draws scenes and predicts them anew in each run, as a command of its own, with a budget at random
between `--least` and `--most` seconds. At a random moment of each run other processes begin to
compute, and end at a later one. The time is that of the whole command, from its start to its end.
Results at `--output` are written anew, scenes that were drawn there before are taken.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from pipelines.datasets.synthetic import write_road_scene

_LOAD = "while True: sum(range(100_000))"
"""What the other processes compute."""


@dataclass(frozen=True)
class Load:
    """Other processes, for a while.

    Attributes:
        processes: How many.
        begin: Seconds from the start of the command.
        end: The same.
    """

    processes: int
    begin: float
    end: float


@dataclass(frozen=True)
class Timed:
    """One run.

    Attributes:
        budget: Seconds that it was given.
        load: What else ran.
        seconds: That it took.
        refused: Whether it said after its first tiles that the time is too short.
        steps: On average; nan where it was refused.
    """

    budget: int
    load: Load
    seconds: float
    refused: bool
    steps: float


def timed(words: list[str], output: Path, budget: int, load: Load) -> Timed:
    """Runs the command under a load."""
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-m", "flows.infer_roads", *words, "--budget", f"{budget}s",
               "--output", str(output)]  # fmt: skip
    others: list[subprocess.Popen[bytes]] = []
    log = output.with_suffix(".log")
    with log.open("wb") as said:
        start = time.monotonic()
        run = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            for moment in (load.begin, load.end):
                with suppress(subprocess.TimeoutExpired):
                    run.wait(max(0.0, start + moment - time.monotonic()))
                if moment == load.begin and run.poll() is None:
                    others += [subprocess.Popen([sys.executable, "-c", _LOAD])
                               for _ in range(load.processes)]  # fmt: skip
                else:
                    _end(others)
            run.wait()
            seconds = time.monotonic() - start
        finally:
            _end([*others, run])
    refused = "one step on each of the" in log.read_text(encoding="utf-8")
    if run.returncode and not refused:
        raise RuntimeError(f"{log}: the run failed")
    return Timed(budget, load, seconds, refused, float("nan") if refused else _steps(output))


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    while processes:
        process = processes.pop()
        process.kill()
        process.wait()


def _steps(output: Path) -> float:
    scenes = json.loads((output / "report.json").read_text(encoding="utf-8"))["scenes"]
    return float(np.mean([scene["mean_steps"] for scene in scenes]))


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.in_time", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=int, default=40, help="shortest budget in seconds")
    parser.add_argument("--most", type=int, default=90, help="longest budget in seconds")
    parser.add_argument("--scenes", type=int, default=10)
    parser.add_argument("--size", type=int, default=600, help="side of a scene in pixels")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1,
                        help="other processes, at most")  # fmt: skip
    parser.add_argument("--backend", default="eager")
    parser.add_argument("--output", type=Path, default=Path("out/in-time"))
    options = parser.parse_args()
    scenes = options.output / "scenes"
    drawn = [scenes / f"{options.size}-{seed}.tif" for seed in range(options.scenes)]
    for seed, path in enumerate(drawn):
        if not path.exists():
            write_road_scene(path, None, options.size, seed)
    words = [*map(str, drawn), "--backend", options.backend]
    random = np.random.default_rng(options.seed)
    console = Console(width=120)
    table = Table("budget, s", "others", "from s", "to s", "took, s", "of the budget", "steps",
                  box=None)  # fmt: skip
    for _ in range(options.runs):
        budget = int(random.integers(options.least, options.most, endpoint=True))
        begin, end = np.sort(random.uniform(0.1, 0.9, 2)) * budget
        load = Load(int(random.integers(1, options.processes, endpoint=True)), begin, end)
        one = timed(words, options.output / "results", budget, load)
        table.add_row(
            str(budget), str(load.processes), f"{load.begin:.0f}", f"{load.end:.0f}",
            f"{one.seconds:.1f}", f"{one.seconds / budget:.2f}",
            "refused" if one.refused else f"{one.steps:.2f}",
        )  # fmt: skip
        print(one, file=sys.stderr, flush=True)
    console.print(table)


if __name__ == "__main__":
    main()
