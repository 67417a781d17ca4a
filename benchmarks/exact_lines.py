"""Whether lines depend on how the work was cut and interrupted: part of `benchmarks.lines`."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyogrio
from rich.table import Table

from pipelines.config.lines import LineSettings
from pipelines.evaluation.predictions import predicted_runs
from pipelines.lines.vectorise import vectorise
from pipelines.results.levels import open_levels
from tiling.manifest import PARTS
from tiling.scenes.ground import pixel_size
from tiling.store import SUFFIX

_LAYERS = "lines", "nodes", "polygons"

_LOOK = 0.05  # Seconds between two looks at a folder.

Content = dict[str, list[tuple[str, ...]]]
"""All features of a GeoPackage by layer: geometry and columns, in the file's order."""


def content_of(path: Path) -> Content:
    """The features of a GeoPackage, as what can be compared."""
    found = {}
    for layer in _LAYERS:
        about, _, shapes, columns = pyogrio.raw.read(path, layer=layer)
        rows = zip(*(map(str, column) for column in columns), strict=True)
        found[layer] = [
            (str(about["crs"]), shape.hex(), *row) for shape, row in zip(shapes, rows, strict=True)
        ]
    return found


def of_parts(scene: str, parts: Iterable[int], workers: Iterable[int], steps: int | None) -> Table:
    """Runs `infer-roads --lines` with each part size and number of workers.

    The runs with the most workers are killed twice: when the first part is there, and when lines
    are being made.

    Args:
        scene: To predict.
        parts: Part sizes.
        workers: Numbers of worker processes.
        steps: Recurrent steps; None takes those of the training.
    """
    table = Table(
        "part", "workers", "killed", "seconds", "lines", "nodes", "polygons", "same as the first",
        box=None,
    )  # fmt: skip
    workers = list(workers)
    first: Content | None = None
    for part in parts:
        for count in workers:
            kills = [_a_part_is_there, _rasters_are_there] if count == max(workers) else []
            with tempfile.TemporaryDirectory() as name:
                options = ["--part-size", str(part), "--workers", str(count)]
                options += ["--steps", str(steps)] if steps else []
                begun = time.perf_counter()
                killed = sum(
                    _killed(_command(scene, name, options), Path(name), at) for at in kills
                )
                subprocess.run(_command(scene, name, options), check=True, stdout=subprocess.PIPE)
                seconds = time.perf_counter() - begun
                [path] = Path(name).glob("*/lines.gpkg")
                content = content_of(path)
            first = first or content
            table.add_row(
                str(part), str(count), f"{killed} times", f"{seconds:.0f}",
                *(str(len(content[layer])) for layer in _LAYERS),
                "yes" if content == first else "no",
            )  # fmt: skip
    return table


def of_windows(run: str, sides: Sequence[int]) -> Table:
    """Makes lines of a scene's rasters in windows of several sides, each in its own process."""
    table = Table(
        "windows", "CPU seconds", "peak memory", "before", "km", "lines", "same as the first",
        box=None,
    )  # fmt: skip
    first: Content | None = None
    for side in sides:
        with (
            tempfile.TemporaryDirectory() as name,
            ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
        ):
            seconds, before, most, kilometres = pool.submit(_made, run, side, Path(name)).result()
            content = content_of(Path(name) / "lines.gpkg")
        first = first or content
        table.add_row(
            f"{side} px", f"{seconds:.0f}", f"{most / 1e6:.0f} MB", f"{before / 1e6:.0f} MB",
            f"{kilometres:.1f}", str(len(content["lines"])), "yes" if content == first else "no",
        )  # fmt: skip
    return table


def _made(run: str, side: int, folder: Path) -> tuple[float, int, int, float]:
    """CPU seconds, peak memory before and in all, and kilometres."""
    [of_run] = predicted_runs([run])
    [(name, files)] = of_run.scenes.items()
    with open_levels(files["probability"]) as levels:
        pixel = pixel_size(levels)
    before, begun = _peak(), time.process_time()
    lines = vectorise(
        name, files, partial(open_levels), LineSettings(), 0.5, folder, pixel, at_once=side
    )
    return time.process_time() - begun, before, _peak(), lines.found.kilometres or 0.0


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _command(scene: str, output: str, options: Sequence[str]) -> list[str]:
    return [
        sys.executable, "-m", "flows.infer_roads", scene, "--lines", "--output", output,
        "--device", "cpu", *options,
    ]  # fmt: skip


def _killed(command: Sequence[str], folder: Path, at: Callable[[Path], bool]) -> bool:
    """Starts a command and kills it, workers and all, as soon as its folder looks so."""
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "start_new_session": True}
    with subprocess.Popen(command, **options) as process:
        while process.poll() is None and not at(folder):
            time.sleep(_LOOK)
        if process.poll() is not None:
            return False
        os.killpg(process.pid, signal.SIGKILL)
    assert not list(folder.glob("*/lines.gpkg")), "it had ended"
    return True


def _a_part_is_there(folder: Path) -> bool:
    return any(folder.glob(f"*/{PARTS}/*{SUFFIX}"))


def _rasters_are_there(folder: Path) -> bool:
    return any(folder.glob("*/mask.tif"))
