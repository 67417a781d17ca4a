"""`python -m benchmarks.inference [SIZE ...]`: compares the bare network, ours and MONAI.

All use one network (roads-dru4), tiles of 512 px, an overlap of a quarter and batches of 4. Each
measurement runs in its own process, in turn, `--rounds` times up to 5,000 px and once above.

- *bare*: only the network, on as many tiles as the grid has; nothing is read, blended or written.
- *ours*: reads a GeoTIFF and writes two checked COGs.
- *openvino*: the same, computed as `--backend openvino` does, if it is installed.
- *monai*: `sliding_window_inference` (gaussian) on an array in memory; writes nothing.
- *free*: ours with a network that costs nothing, which gives the speed of the engine.

Memory is the peak above the imports and one batch of *bare*; for *free*, above the imports.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.drawn import write_scene
from pipelines.backends.choice import openvino_here
from pipelines.config.inference import PredictionSettings
from pipelines.inference.predictor import predictor_for
from pipelines.inference.scene import predict_scene
from pipelines.inference.workers import ThisProcess
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.weights import load
from pipelines.runtime.device import device_kind
from pipelines.runtime.memory import give_back_large_blocks, peak_memory
from tiling.blend import ONE
from tiling.grid import Grid
from tiling.readers.raster import RasterScene

TILE, OVERLAP, BATCH = 512, 128, 4
MANY_TURNS_UP_TO = 5000


class Free:
    """A predictor that costs almost nothing: bright pixels are road."""

    def scaled_from(self, value_range: tuple[float, float] | None) -> "Free":
        """Itself: it looks at bytes."""
        return self

    bands, batch, lanes, readers = 1, BATCH, 2, 1

    def __call__(self, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """See `tiling.stitch.TilePredictor`."""
        levels: NDArray[np.uint16] = (pixels[:, :1] > 180) * np.uint16(ONE)
        return levels

    def refined(
        self, pixels: NDArray[Any], valid: NDArray[np.bool_], starts: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """See `tiling.stitch.TilePredictor`."""
        return self(pixels, valid), np.zeros(len(pixels), bool)


def measure(what: str, path: Path) -> dict[str, float]:
    """Measures one method on a scene in this process; returns seconds, also of CPUs, and bytes."""
    settings = PredictionSettings(tile=TILE, overlap=OVERLAP, batch=BATCH, device="cpu")
    if what != "monai":
        give_back_large_blocks()  # As a run does.
    model = load("roads-dru4")
    network = model.network.channels_last()
    mean, std = (torch.tensor(v)[:, None, None] for v in (model.card.mean, model.card.std))

    def bare(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            laid_out = batch.contiguous(memory_format=torch.channels_last)
            logits: list[Tensor] = network(laid_out, None)
            return logits[-1].softmax(dim=1)[:, 1:]

    with RasterScene(path) as scene, tempfile.TemporaryDirectory(dir=path.parent) as out:
        grid = Grid(scene.height, scene.width, TILE, OVERLAP)
        batch = torch.randn(BATCH, 3, TILE, TILE)
        if what == "monai":
            from monai.inferers import sliding_window_inference
        if what != "free":
            bare(batch)
        before = peak_memory()
        start, begun = time.perf_counter(), time.process_time()
        if what == "bare":
            for _ in range(grid.tile_count // BATCH):
                bare(batch)
            if grid.tile_count % BATCH:
                bare(batch[: grid.tile_count % BATCH])
        elif what == "monai":
            with rasterio.open(path) as raster:
                pixels = torch.from_numpy(raster.read()).float()
            start, begun = time.perf_counter(), time.process_time()
            image = ((pixels - mean) / std)[None]
            with torch.inference_mode():
                sliding_window_inference(
                    image, TILE, BATCH, bare, overlap=OVERLAP / TILE, mode="gaussian"
                )
        else:
            backend = openvino_here() if what == "openvino" else None
            predictor = Free() if what == "free" else predictor_for([model], settings, backend)
            workers = ThisProcess(device_kind(settings.device), lambda backend: predictor)
            opened = OpenedScene(scene, scene)
            item = SceneInput(str(path), path.stem, lambda: nullcontext(opened))
            predict_scene(item, opened, [model], settings, Path(out), workers)
        seconds, processor = time.perf_counter() - start, time.process_time() - begun
    return {
        "seconds": seconds, "processor": processor,
        "memory": peak_memory() - before, "peak": peak_memory(),
    }  # fmt: skip


def _measured(what: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.inference", "--measure", what, str(path)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def compare(sizes: list[int], rounds: int, free: list[int], monai_up_to: int) -> None:
    """Measures all methods and prints the tables."""
    out = Console(soft_wrap=True, highlight=False)
    out.print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, tile {TILE}, overlap {OVERLAP}, batch {BATCH}; median (range)"
    )
    with tempfile.TemporaryDirectory() as folder:
        table = Table(
            "pixels", "", "Mpx/s", "of bare", "processor s", "memory, MB", "rounds", box=None
        )
        for size in sizes:
            path = Path(folder) / f"{size}.tif"
            write_scene(path, size)
            whats = ["bare", "ours"]
            whats += ["openvino"] if openvino_here() is not None else []
            whats += ["monai"] if size <= monai_up_to else []
            found: dict[str, list[dict[str, float]]] = {what: [] for what in whats}
            turns = rounds if size <= MANY_TURNS_UP_TO else 1
            for _ in range(turns):
                for what in whats:
                    found[what].append(_measured(what, path))
            for what in whats:
                rates = [size**2 / 1e6 / one["seconds"] for one in found[what]]
                ratios = [
                    one["seconds"] / other["seconds"]
                    for one, other in zip(found["bare"], found[what], strict=True)
                ]
                memory = max(one["memory"] for one in found[what]) / 1e6
                table.add_row(
                    f"{size} x {size}", what, _spread(rates), _spread(ratios),
                    _spread([one["processor"] for one in found[what]]), f"{memory:.0f}", str(turns),
                )  # fmt: skip
            path.unlink()
        out.print(table)
        table = Table("pixels", "", "Mpx/s", "memory, MB", "whole process, MB", box=None)
        for size in free:
            path = Path(folder) / f"{size}.tif"
            write_scene(path, size)
            result = _measured("free", path)
            table.add_row(
                f"{size} x {size}", "free", f"{size**2 / 1e6 / result['seconds']:.1f}",
                f"{result['memory'] / 1e6:.0f}", f"{result['peak'] / 1e6:.0f}",
            )  # fmt: skip
            path.unlink()
        out.print(table)


def _spread(values: list[float]) -> str:
    middle = f"{statistics.median(values):.2f}"
    return f"{middle} ({min(values):.2f}-{max(values):.2f})" if len(values) > 1 else middle


def main() -> None:
    """Reads the command line and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sizes", nargs="*", type=int, default=[3000, 12000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--free", nargs="*", type=int, default=[5000, 12000, 30000])
    parser.add_argument("--monai-up-to", type=int, default=12000)
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "SCENE"))
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]))))
    else:
        compare(options.sizes, options.rounds, options.free, options.monai_up_to)


if __name__ == "__main__":
    main()
