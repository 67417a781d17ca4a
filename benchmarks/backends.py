"""`python -m benchmarks.backends [IMAGE ...]`: what computes a network fastest on this CPU.

Each backend computes the same tiles of 512 px, by itself and with one thread, in turn, for some
rounds. Time is that of the processor, so that other work on the machine counts little. *ONNX
Runtime* runs the file that `rurnet export` writes. `--tried` adds what was tried and is not offered
by `--backend` either: torch in bf16, `torch.compile` (which needs a C++ compiler and minutes) and,
where the package `nncf` is installed, OpenVINO in 8-bit integers, whose ranges are those of the
steps of up to 24 more of the images.

- *of eager*: how many times as fast as torch in the same round, the median and the range.
- *largest difference*: of a probability from torch's.
- *mask pixels*: those that change sides of the threshold 0.5, of all.
"""

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipelines.backends.choice import Backend, openvino_here
from pipelines.backends.compiling import step_graph
from pipelines.backends.openvino import Asked, OpenVinoNetwork, config, openvino
from pipelines.datasets.synthetic import draw_road_scene
from pipelines.export.onnx_file import export_onnx
from pipelines.inference.stepping.passes import unrolled
from pipelines.models.weights import Model, load
from pipelines.report.made_with import made_with
from tiling.readers.raster import without_georeferencing_warning

TILE = 512
TOGETHER = 2
"""Tiles that torch computes at once; it needs two for the same bytes."""

_FOR_RANGES = 24
"""Tiles, at most, that tell the ranges of 8-bit integers."""

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def tiles_of(images: list[Path], count: int) -> NDArray[np.float32]:
    """Tiles [count, 3, 512, 512] from the images' top left, or drawn ones."""
    if not images:
        pixels, _, _ = draw_road_scene(TILE, TILE * count, seed=3)
        return np.stack(np.split(pixels, count, axis=2)).astype(np.float32)
    tiles = []
    for path in images[:count]:
        with without_georeferencing_warning(), rasterio.open(path) as raster:
            window = rasterio.windows.Window(0, 0, TILE, TILE)
            tiles.append(raster.read((1, 2, 3), window=window, boundless=True))
    return np.stack(tiles).astype(np.float32)


def stepping(network: Callable[..., Any], model: Model, in_bf16: bool = False) -> Predict:
    """Normalises and takes all steps, as `pipelines.inference.predictor` does."""

    @torch.inference_mode()
    def predict(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        image = _normalised(pixels, model)
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            logits = network(image.contiguous(memory_format=torch.channels_last), None)[-1]
        found: NDArray[np.float32] = logits.float().softmax(dim=1)[:, 1].numpy()
        return found

    return predict


def _normalised(pixels: NDArray[np.float32], model: Model) -> torch.Tensor:
    """Tiles [n, bands, h, w] as the network takes them."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (model.card.mean, model.card.std))
    return (torch.from_numpy(pixels) - mean) / std


class _OfIntegers(OpenVinoNetwork):
    """OpenVINO's step in 8-bit integers, with ranges from the steps of some tiles."""

    def __init__(self, model: Model, backend: Backend, tiles: NDArray[np.float32]):
        super().__init__(model, backend, 1)
        self._network = model.network
        self._seen = _inputs_of_steps(OpenVinoNetwork(model, backend, 1), model, tiles)

    def _ready(self, asked: Asked) -> Any:
        nncf = import_module("nncf")
        with torch.no_grad():
            graph = step_graph(self._network, asked)
        graph = nncf.quantize(graph, nncf.Dataset(self._seen), subset_size=len(self._seen))
        return openvino().Core().compile_model(graph, "CPU", config(asked))


def _inputs_of_steps(
    network: OpenVinoNetwork, model: Model, tiles: NDArray[np.float32]
) -> list[list[NDArray[np.float32]]]:
    """What goes into each step of each tile."""
    found = []
    for tile in tiles:
        image = _normalised(tile[None], model).numpy()
        state = network.initial_state(image)
        for _ in range(model.network.steps):
            found.append([image, state.mask, *state.hidden])
            _, state = network.step(image, state)
    return found


def by_openvino(network: OpenVinoNetwork, model: Model) -> Predict:
    """Does what `stepping` does, with OpenVINO."""

    def predict(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        image = _normalised(pixels, model).numpy()
        found: NDArray[np.float32] = unrolled(network, image, model.network.steps)[-1][:, 0]
        return found

    return predict


def onnx_runtime(model: Model, folder: Path) -> Predict:
    """Runs the exported file with one thread."""
    import onnxruntime

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # Hints on optional packages.
    export_onnx(model, folder / "network.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        folder / "network.onnx", options, providers=["CPUExecutionProvider"]
    )

    def predict(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(None, {"image": pixels})[0][:, 0]
        return found

    return predict


def tried(model: Model, images: list[Path]) -> dict[str, Predict]:
    """Ways that `--backend` does not offer, by name."""
    network = model.network.channels_last()
    ways = {"eager (torch), bf16": stepping(network, model, in_bf16=True)}
    for precision in ("f32", "bf16"):
        compiled = torch.compile(lambda image, steps: network(image, steps))
        ways[f"torch.compile, {precision}"] = stepping(compiled, model, precision == "bf16")
    if (here := openvino_here()) is not None and find_spec("nncf") is not None and images:
        tiles = tiles_of(images, _FOR_RANGES)
        network_of_integers = _OfIntegers(model, here, tiles)
        ways[f"openvino, int8 and {here.precision}"] = by_openvino(network_of_integers, model)
    return ways


def compare(name: str, images: list[Path], count: int, rounds: int, more: bool) -> None:
    """Measures all backends that are here, and prints the table."""
    torch.set_num_threads(1)
    model = load(name)
    tiles = tiles_of(images, count)
    with tempfile.TemporaryDirectory() as folder:
        ways = {"eager (torch), f32": stepping(model.network.channels_last(), model)}
        if (here := openvino_here()) is not None:
            ways[str(here)] = by_openvino(OpenVinoNetwork(model, here, 1), model)
        if find_spec("onnxruntime") is not None:
            ways["ONNX Runtime, f32"] = onnx_runtime(model, Path(folder))
        if more:
            ways |= tried(model, images[count:])
        found = {way: _each(predict, tiles) for way, predict in ways.items()}  # Warms up, too.
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, predict in ways.items():
                start = time.process_time()
                _each(predict, tiles)
                seconds[way].append(time.process_time() - start)
    eager = next(iter(ways))
    out = Console(soft_wrap=True, highlight=False)
    out.print(
        f"{made_with(None, ()).processor}, torch {torch.__version__}; {name}, {len(tiles)} tiles "
        f"{'of images' if images else 'drawn'}, {rounds} rounds; median (range)"
    )
    table = Table("backend", "s per Mpx", "of eager", "largest difference", "mask pixels", box=None)
    for way, taken in seconds.items():
        ratios = [ours / theirs for ours, theirs in zip(seconds[eager], taken, strict=True)]
        changed = int(((found[way] >= 0.5) != (found[eager] >= 0.5)).sum())
        table.add_row(
            way,
            f"{statistics.median(taken) / (tiles[:, 0].size / 1e6):.2f}",
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            f"{np.abs(found[way] - found[eager]).max():.5f}",
            f"{changed} of {found[way].size}",
        )
    out.print(table)


def _each(predict: Predict, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of all tiles, of which two are computed at a time."""
    starts = range(0, len(tiles), TOGETHER)
    return np.concatenate([predict(tiles[start : start + TOGETHER]) for start in starts])


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--model", default="roads-dru4")
    parser.add_argument("--tiles", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tried", action="store_true", help="what was tried and is not offered")
    options = parser.parse_args()
    compare(options.model, options.images, options.tiles, options.rounds, options.tried)


if __name__ == "__main__":
    main()
