"""`python -m benchmarks.device`: everything that one device is asked, in one table.

On a GPU it takes some minutes, without one it measures the CPU (`--size 600 --seconds 1` is enough
to see that it works). It imports what a worker imports: torch, numpy, rasterio, pydantic,
safetensors, scipy and pillow. The scene is drawn; `--scene FILE` takes one of your own.

- *like the CPU's*: the largest difference of a probability, and how many pixels of a mask differ,
  over tiles of the scene.
- *same bytes*: whether two part sizes and two batches give the same `probability.tif`.
- *file to file*: the scene from its GeoTIFF to checked COGs, in megapixels of the scene.
- *bare network*: tiles in memory, nothing else; the best of some batches, in megapixels of tiles.
- *frames*: 230 x 306 px as in the variable-budget paper (61 a second on a Titan X), three steps.
- *training*: iterations of forward, backward and optimizer on 131,072 px.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import rasterio
import torch
from torch import Tensor

from benchmarks.drawn import write_scene
from benchmarks.iterations import iteration
from pipelines.config.inference import PredictionSettings
from pipelines.inference.predictor import predictor_for
from pipelines.inference.scene import predict_scene
from pipelines.inference.workers import ThisProcess
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.weights import load
from pipelines.runtime.device import choose_device, device_kind, training_layout
from rurnet.registry import create
from tiling.blend import ONE
from tiling.readers.raster import RasterScene
from tiling.window import Window

STEPS = (1, 2, 3)
TILE, OVERLAP = 512, 128
FRAME = (230, 306)
BATCHES = (1, 4, 16, 64)
COMPARED = 4
"""Tiles that the CPU computes too."""

Row = tuple[str, str]


def synchronised(device: torch.device) -> float:
    """The time, once the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def rate(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """How often something is done in a second, measured over some seconds after a first time."""
    work()
    begun, count = synchronised(device), 0
    while not count or synchronised(device) - begun < seconds:
        work()
        count += 1
    return count / (synchronised(device) - begun)


def like_the_cpus(model: str, scene: Path, device: str) -> Iterator[Row]:
    """Compares probabilities of some tiles with those that the CPU computes."""
    with RasterScene(scene) as opened:
        side = min(TILE, opened.height // 2, opened.width // 2)
        tiles = [
            opened.read(Window(row * side, column * side, side, side))
            for row in (0, 1)
            for column in (0, 1)
        ]
    pixels, valid = (np.stack(one) for one in zip(*tiles[:COMPARED], strict=True))
    found = [
        predictor_for([load(model)], PredictionSettings(device=name)).scaled_from(None)(
            pixels, valid
        )
        for name in ("cpu", device)
    ]
    cpu, other = (levels.astype(np.int64) for levels in found)
    half = ONE // 2
    yield "like the CPU's: largest difference", f"{np.abs(cpu - other).max() / ONE:.5f}"
    differ = int(((cpu >= half) != (other >= half)).sum())
    yield "like the CPU's: mask pixels that differ", f"{differ} of {cpu.size}"


def predicted(model: str, scene: Path, settings: PredictionSettings) -> tuple[bytes, float]:
    """Predicts a scene from file to file; returns `probability.tif` and the seconds."""
    loaded = load(model)
    with RasterScene(scene) as opened, tempfile.TemporaryDirectory(dir=scene.parent) as out:
        predictor = predictor_for([loaded], settings)
        workers = ThisProcess(device_kind(settings.device), lambda backend: predictor)
        both = OpenedScene(opened, opened)
        item = SceneInput(str(scene), scene.stem, lambda: nullcontext(both))
        begun = time.perf_counter()
        predict_scene(item, both, [loaded], settings, Path(out), workers)
        seconds = time.perf_counter() - begun
        return (Path(out) / "probability.tif").read_bytes(), seconds


def file_to_file(model: str, scene: Path, device: str, batch: int) -> Iterator[Row]:
    """Throughput for each number of steps, and whether the cut and the batch can be seen."""
    with rasterio.open(scene) as raster:
        megapixels = raster.width * raster.height / 1e6
        half = max(64, raster.width // 2)
    usual = PredictionSettings(tile=TILE, overlap=OVERLAP, batch=batch, device=device)
    predicted(model, scene, usual)  # The first time is slower: kernels are chosen and loaded.
    bytes_of = {}
    for steps in STEPS:
        bytes_of[steps], seconds = predicted(
            model, scene, usual.model_copy(update={"steps": steps})
        )
        yield f"file to file, steps: {steps}", f"{megapixels / seconds:.2f} Mpx/s"
    for what, other in (
        (f"parts of {half} px", {"part_size": half}),
        (f"batches of {batch + 3}", {"batch": batch + 3}),
    ):
        again, _ = predicted(model, scene, usual.model_copy(update={"steps": STEPS[-1], **other}))
        yield f"same bytes: {what}", "yes" if again == bytes_of[STEPS[-1]] else "NO"


def bare(model: str, device: torch.device, seconds: float) -> Iterator[Row]:
    """Throughput of the network alone, and frames a second."""
    network = load(model).network.to(device).channels_last().eval()

    def passes(batch: int, size: tuple[int, int], steps: int) -> float:
        image = torch.randn(batch, network.in_channels, *size, device=device)
        image = image.contiguous(memory_format=torch.channels_last)

        def work() -> Tensor:
            with torch.inference_mode():
                logits: list[Tensor] = network(image, steps)
                return logits[-1].softmax(dim=1)

        return batch * rate(work, device, seconds)

    for steps in STEPS:
        best, batch = max((passes(batch, (TILE, TILE), steps), batch) for batch in _fitting(device))
        yield (
            f"bare network, steps: {steps}",
            f"{best * TILE**2 / 1e6:.2f} Mpx/s of tiles (batch {batch})",
        )
    yield "frames of 230 x 306, batch 1", f"{passes(1, FRAME, STEPS[-1]):.1f} a second"
    best, batch = max((passes(batch, FRAME, STEPS[-1]), batch) for batch in _fitting(device))
    yield "frames of 230 x 306, best", f"{best:.1f} a second (batch {batch})"


def _fitting(device: torch.device) -> tuple[int, ...]:
    return BATCHES if device.type == "cuda" else BATCHES[:2]


def training(device: torch.device, seconds: float, model: str) -> Iterator[Row]:
    """Iterations a second, in 32 bits and, on a GPU that has it, in bf16."""
    card, layout = load(model).card, training_layout(device)
    network = create(card.network, **card.arguments)
    batch = {
        "image": torch.randn(2, network.in_channels, 256, 256, device=device),
        "label": torch.randint(0, network.classes, (2, 1, 256, 256), device=device),
    }

    def iterations(mixed: bool) -> str:
        run = iteration(network, device, layout, mixed=mixed)
        return f"{rate(lambda: run(batch), device, seconds):.2f} iterations a second"

    yield "training, 32 bits", iterations(False)
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        yield "training, bf16", iterations(True)


def rows(
    model: str, scene: Path, device: torch.device, batch: int, seconds: float
) -> Iterator[Row]:
    """All rows of the table, each as soon as it is known."""
    yield "device", device_kind(str(device))
    yield from like_the_cpus(model, scene, str(device))
    yield from file_to_file(model, scene, str(device), batch)
    yield from bare(model, device, seconds)
    yield from training(device, seconds, model)
    if device.type == "cuda":
        yield "peak memory of the device", f"{torch.cuda.max_memory_reserved() / 1e6:.0f} MB"


def main() -> None:
    """Reads the command line and prints the table, row by row."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.device", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="cuda, cuda:1, cpu")
    parser.add_argument("--model", default="roads-dru4")
    parser.add_argument("--scene", type=Path, help="three bands; drawn by default")
    parser.add_argument("--size", type=int, default=6000, help="of the drawn scene, in pixels")
    parser.add_argument("--batch", type=int, default=16, help="tiles at once, file to file")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each rate")
    known = parser.parse_args()
    device = choose_device(known.device)
    print(f"torch {torch.__version__}, Python {platform.python_version()}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        scene = known.scene
        if scene is None:
            scene = Path(folder) / "drawn.tif"
            write_scene(scene, known.size)
        print("| what | measured |\n|---|---|")
        for name, value in rows(known.model, scene, device, known.batch, known.seconds):
            print(f"| {name} | {value} |", flush=True)


if __name__ == "__main__":
    main()
