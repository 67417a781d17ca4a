"""`python -m benchmarks.loader [ROADS]`: measures whether the network waits for its crops.

- *crops*: only making the batches: windows read from scenes on disk, augmented, with initial masks.
- *network*: only training iterations (forward, backward, optimizer) on batches already in memory.
- *training*: both together, as in `flows.train_roads`.
- *other layout*: *network* with channels last in memory on a CPU, and first on a GPU.
- *other precision*: *network* in 32 bits where `--precision auto` is bf16, and the other way round.

Speeds are in pixels per second on batches of the same kind. If crops are faster than the network,
it never waits. ROADS is a folder of Massachusetts Roads; without it scenes are drawn.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.iterations import Batch, iteration
from pipelines.config.training import TrainRoads
from pipelines.datasets.massachusetts import road_pairs
from pipelines.datasets.synthetic import write_roads_folder
from pipelines.runtime.device import fastest_precision, training_layout
from pipelines.runtime.processor import instruction_set
from pipelines.sampling.sources import SceneSource
from pipelines.sampling.statistics import contents_of
from pipelines.training.loaders import crop_loader
from pipelines.training.objective import objective_of
from rurnet.registry import create


def per_second(batches: Iterator[Batch], use: Callable[[Batch], None], count: int) -> float:
    """Returns megapixels per second over `count` batches."""
    start, pixels = time.perf_counter(), 0
    for batch in itertools.islice(batches, count):
        use(batch)
        pixels += batch["label"].numel()
    return pixels / 1e6 / (time.perf_counter() - start)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.loader")
    parser.add_argument("roads", nargs="?", type=Path)
    parser.add_argument("--model", default="dru-4")
    parser.add_argument(
        "--workers", type=int, help="number of crop processes; by default as in training"
    )
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        roads = given.roads or write_roads_folder(Path(folder), train=4, valid=0, size=1500)
        sources = [SceneSource(pair.scene_input()) for pair in road_pairs(roads, "train")]
        settings = TrainRoads(model=given.model, workers=given.workers)
        contents = [contents_of(source, 2) for source in sources]
        objective = objective_of(settings, "roads", 2, contents)
        usual, mixed = training_layout(device), fastest_precision() == "bf16-mixed"
        (other,) = {torch.channels_last, torch.contiguous_format} - {usual}
        kinds = {
            "network": (usual, mixed), "other layout": (other, mixed),
            "other precision": (usual, not mixed),
        }  # fmt: skip
        networks = {
            kind: iteration(
                create(given.model, **objective.arguments), device, layout, mixed=in_bf16
            )
            for kind, (layout, in_bf16) in kinds.items()
        }
        loader = crop_loader(settings, objective, sources, [1.0] * len(sources), lambda: 0)
        batches = iter(loader)
        there = [next(batches) for _ in range(given.batches)]
        for trained in networks.values():
            trained(there[0])
        found: dict[str, list[float]] = {kind: [] for kind in ("crops", "training", *networks)}
        for _ in range(given.rounds):
            found["crops"].append(per_second(batches, lambda _: None, given.batches))
            found["training"].append(per_second(batches, networks["network"], given.batches))
            for kind, trained in networks.items():
                found[kind].append(per_second(iter(there), trained, given.batches))
    table = Table(
        "", "Mpx/s (least to most)", "of the network's",
        title=f"{given.model}, crop processes: {loader.num_workers}, {device.type} "
        f"{instruction_set()}, {'bf16' if mixed else '32 bits'}",
    )  # fmt: skip
    for name, values in found.items():
        ratios = [a / b for a, b in zip(values, found["network"], strict=True)]
        table.add_row(name, _spread(values, 2), _spread(ratios, 2))
    Console(width=100).print(table)


def _spread(values: list[float], digits: int) -> str:
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
