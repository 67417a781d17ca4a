"""How much faster a Dask cluster of two workers is than one of a single worker.

`python -m benchmarks.cluster` starts a scheduler and workers by Dask's own commands, on loopback,
predicts the same drawn scenes with one worker and with two (each with one thread), in turn,
`--rounds` times, and prints seconds, tiles per second and the ratio within each round (median and
range), with the load of the machine before each run. Imports and the first tiles of each worker are
not timed: a scene of its own comes first, in parts that are shared out among all.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.config.inference import PredictionSettings
from pipelines.datasets.synthetic import write_road_scene
from pipelines.inference.batch import run_batch
from pipelines.inputs.discovery import road_inputs
from pipelines.models.weights import Model, load
from pipelines.results.progress import Silence


@contextmanager
def cluster_of(workers: int, folder: Path) -> Iterator[str]:
    """Starts a scheduler and workers, and gives the scheduler's address."""
    contact = folder / f"contact-{workers}.json"
    # One thread for torch too: a worker alone must not use the core of the second one.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:

        def start(kind: str, *words: str) -> None:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words],
                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)

        start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(contact),
        )  # fmt: skip
        while not contact.exists() or not contact.stat().st_size:
            time.sleep(0.1)
        address = str(json.loads(contact.read_text())["address"])
        for _ in range(workers):
            start(
                "worker", address, "--no-nanny", "--nthreads", "1", "--memory-limit", "0",
                "--no-dashboard", "--local-directory", str(folder),
            )  # fmt: skip
        from distributed import Client

        with Client(address) as client:
            client.wait_for_workers(workers, timeout=300)
        yield address


def seconds_with(
    workers: int, scenes: Sequence[Path], first: Path, model: Model, folder: Path, tile: int
) -> tuple[float, int]:
    """Returns the seconds that so many workers take for all scenes, and their tiles."""
    with cluster_of(workers, folder) as address:
        settings = PredictionSettings(
            scheduler=address, device="cpu", tile=tile, overlap=tile // 4, part_size=4 * tile
        )
        # In small parts, so that every worker gets some.
        small = settings.model_copy(update={"part_size": tile})
        run_batch(
            road_inputs([str(first)], None), [model], small, folder / f"w{workers}", Silence()
        )
        items = road_inputs([str(one) for one in scenes], None)
        start = time.perf_counter()
        outcomes = run_batch(items, [model], settings, folder / f"o{workers}", Silence())
        seconds = time.perf_counter() - start
    done = [one.prediction for one in outcomes if one.prediction is not None]
    if len(done) < len(outcomes):
        raise SystemExit(next(one.error for one in outcomes if one.error is not None))
    return seconds, sum(one.tiles for one in done)


def main() -> None:
    """Runs the benchmark and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=12, help="scenes")
    parser.add_argument("--side", type=int, default=900, help="their side in pixels")
    parser.add_argument("--tile", type=int, default=256, help="side of a tile in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    model = load("roads-dru4")
    table = Table(box=None, pad_edge=False)
    for title in ("workers", "scenes", "tiles", "seconds", "tiles/s", "times one", "load before"):
        table.add_column(title, justify="right")
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        scenes = [Path(name) / f"{n}.tif" for n in range(asked.scenes)]
        first = Path(name) / "first.tif"
        for seed, path in enumerate((first, *scenes)):
            write_road_scene(path, None, size=asked.side, seed=seed)
        for number in range(asked.rounds):
            folder = Path(name) / str(number)
            folder.mkdir()
            alone = 0.0
            for workers in (1, 2):
                load_before = os.getloadavg()[0]
                seconds, tiles = seconds_with(workers, scenes, first, model, folder, asked.tile)
                alone = alone or seconds
                table.add_row(
                    str(workers), str(asked.scenes), str(tiles), f"{seconds:.1f}",
                    f"{tiles / seconds:.2f}", f"{alone / seconds:.2f}", f"{load_before:.1f}",
                )  # fmt: skip
            ratios.append(alone / seconds)
    console = Console()
    console.print(table)
    console.print(
        f"two workers: {statistics.median(ratios):.2f} times one "
        f"({min(ratios):.2f} to {max(ratios):.2f}, {asked.rounds} rounds)"
    )


if __name__ == "__main__":
    main()
