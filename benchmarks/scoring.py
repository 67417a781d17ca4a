"""`python -m benchmarks.scoring [SIZE ...]`: time and memory of scoring, at SIZE x SIZE pixels.

- *read*: only reading the probability raster and the label from disk, once.
- *scores*: strict and relaxed scores at all thresholds (rho 3).
- *scores and topology*: also clDice, APLS, components and loops.

Each measurement runs in its own process, `--rounds` times. The label is a drawn road map, the
prediction a blurred and noisy copy. Memory is the peak of the whole process.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from pipelines.config.scoring import ScoringSettings
from pipelines.datasets.synthetic import draw_road_scene
from pipelines.evaluation.scoring import AT_ONCE, count
from pipelines.inputs.labels import Labelling, open_label
from pipelines.results.levels import open_levels
from pipelines.runtime.memory import peak_memory
from tiling.window import split

DRAWN = 2000
"""Side in pixels of the drawn scene; larger scenes repeat it."""

KINDS = ("read", "scores", "scores and topology")


def write_pair(folder: Path, size: int) -> tuple[Path, Path]:
    """Writes a prediction and its label as tiled, deflated rasters; returns their paths."""
    _, label, _ = draw_road_scene(DRAWN, DRAWN, seed=3)
    noise = np.random.default_rng(0).normal(0, 25, label.shape)
    levels = gaussian_filter(label * 300.0, 1.5) + noise
    levels = np.where(levels < 40, 0, levels).clip(0, 254).astype(np.uint8)
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "height": size, "width": size,
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1,
        "crs": "EPSG:26986", "transform": rasterio.Affine(1, 0, 2e5, 0, -1, 9e5),
    }  # fmt: skip
    paths = folder / "prediction.tif", folder / "label.tif"
    for path, pixels in zip(paths, (levels, label.astype(np.uint8)), strict=True):
        with rasterio.open(path, "w", **profile) as raster:
            if pixels is levels:
                raster.nodata, raster.scales = 255, [1 / 254]
            for window in split(size, size, DRAWN):
                raster.write(
                    pixels[: window.height, : window.width], 1, window=window.as_rasterio()
                )
    return paths


def measure(kind: str, prediction: Path, label: Path) -> dict[str, float]:
    """Measures one run in this process; returns seconds and peak memory in bytes."""
    settings = ScoringSettings(topology=kind == KINDS[2])
    with open_levels(prediction) as levels, open_label(label, Labelling()) as drawn:
        assert drawn is not None
        start = time.perf_counter()
        if kind == KINDS[0]:
            for window in split(levels.height, levels.width, AT_ONCE):
                levels.read(window)
                drawn.read(window)
        else:
            count([levels], drawn, None, settings)
        return {"seconds": time.perf_counter() - start, "bytes": peak_memory()}


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring")
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, prediction, label = arguments.one
        print(json.dumps(measure(kind, Path(prediction), Path(label))))
        return
    table = Table(title=f"Scoring, {platform.processor() or platform.machine()}")
    for title in ("pixels", "what", "seconds (least to most)", "Mpx/s", "of reading", "memory MB"):
        table.add_column(title, justify="right", no_wrap=True)
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            paths = write_pair(Path(folder), size)
            found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
            for _ in range(arguments.rounds):
                for kind in KINDS:  # In turn, so that other work on the machine affects all alike.
                    command = [sys.executable, "-m", "benchmarks.scoring", "--one", kind]
                    done = subprocess.run(
                        [*command, *map(str, paths)], check=True, capture_output=True, text=True
                    )
                    found[kind].append(json.loads(done.stdout))
        read = statistics.median(run["seconds"] for run in found[KINDS[0]])
        for kind, runs in found.items():
            seconds = sorted(run["seconds"] for run in runs)
            middle = statistics.median(seconds)
            table.add_row(
                f"{size} x {size}", kind,
                f"{middle:.1f} ({seconds[0]:.1f} to {seconds[-1]:.1f})",
                f"{size * size / 1e6 / middle:.1f}", f"{middle / read:.1f}",
                f"{max(run['bytes'] for run in runs) / 1e6:.0f}",
            )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
