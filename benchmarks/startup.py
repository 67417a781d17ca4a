"""How long commands take to answer, here and in another checkout.

    python -m benchmarks.startup [--beside FOLDER] [--times 3]

Prints the least of a few runs: wall time, and processor time, which other work on the machine
changes less. `--beside` names another checkout of this project, whose commands are timed in turn.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.datasets.synthetic import write_road_scene

HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Case:
    """What is timed.

    Attributes:
        title: What it is called.
        words: The command, after `rurnet`.
        until: The line that is waited for has this in it; None waits for the end.
    """

    title: str
    words: tuple[str, ...]
    until: str | None = None


_SCENE = ("infer-roads", "scene.tif", "--tile", "128", "--overlap", "32", "--output", "out")

CASES = (
    Case("rurnet --help", ("--help",)),
    Case("infer-roads --help", ("infer-roads", "--help")),
    Case("train-drive --help", ("train-drive", "--help")),
    Case("a wrong path", ("infer-roads", "nowhere.tif")),
    Case("a missing folder of labels", (*_SCENE, "--labels", "nowhere")),
    Case("unknown weights", (*_SCENE, "--model", "nothing")),
    Case("first line of inference", (*_SCENE, "--overwrite"), ""),
    Case("first tile of inference", (*_SCENE, "--overwrite"), "scene: 9 tiles"),
    Case(
        "first tile with OpenVINO",
        (*_SCENE, "--overwrite", "--backend", "openvino", "--device", "cpu"),
        "scene: 9 tiles",
    ),
    Case("dry run", (*_SCENE, "--dry-run")),
)


def timed(case: Case, checkout: Path, folder: Path) -> tuple[float, float]:
    """Returns seconds of wall and of processor time until a command's end, or until its line."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PREFECT_HOME": str(folder)}
    environment.pop("PREFECT_API_URL", None)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *case.words], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    with process, process.stdout as lines:
        for line in lines:
            if case.until is not None and case.until in line:
                process.kill()
                break
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--beside", type=Path, help="another checkout")
    parser.add_argument("--times", type=int, default=3, help="runs of each command")
    options = parser.parse_args()
    checkouts = {"here": HERE}
    if options.beside is not None:
        checkouts["beside"] = options.beside.resolve()
    table = Table(box=None, pad_edge=False)
    table.add_column("seconds to")
    for name in checkouts:
        for what in ("wall", "processor"):
            table.add_column(f"{what}, {name}", justify="right")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_road_scene(folder / "scene.tif", None, size=300, seed=3)
        for case in CASES:
            row = []
            for checkout in checkouts.values():
                # The first run fills the system's cache of files.
                runs = [timed(case, checkout, folder) for _ in range(options.times + 1)][1:]
                row += [f"{min(values):.2f}" for values in zip(*runs, strict=True)]
            table.add_row(case.title, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
