"""`python -m benchmarks.adaptation IMAGES LABELS`: what a few labelled tiles of a new region gain.

Some tiles are put aside to be scored. Of the others the first 3, 5 and 10 are trained on, from
weights that ship and from fresh ones, as `rurnet train-folder --start-from` does it (a part of them
is held out to choose). F1 at one half and break-even are those of the tiles put aside, together;
minutes are of the processor and of the clock.
"""

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.config.inference import InferRoads
from pipelines.config.training_folder import TrainFolder
from pipelines.inference.run import infer_roads
from pipelines.results.progress import Silence
from pipelines.training.run import train_folder

FRESH = "none"
"""In place of the name of weights: those of a network that was not trained."""


@dataclass(frozen=True)
class Pair:
    """An image and its label."""

    image: Path
    label: Path


def pairs_of(images: Path, labels: Path, seed: int) -> list[Pair]:
    """The images of a folder that have a label of the same name, in an order that is drawn."""
    of_names = {path.stem: path for path in labels.iterdir()}
    found = [
        Pair(path, of_names[path.stem])
        for path in sorted(images.iterdir())
        if path.stem in of_names
    ]
    random.Random(seed).shuffle(found)
    return found


def _put(pairs: Sequence[Pair], folder: Path) -> Path:
    """Copies pairs into `images` and `labels` of a folder, which it returns."""
    for pair in pairs:
        for kind, path in (("images", pair.image), ("labels", pair.label)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / kind / path.name)
    return folder


def _scores(model: str, test: Path, output: Path, told: Mapping[str, Any]) -> tuple[str, str]:
    """F1 and break-even of weights on the tiles put aside."""
    config = InferRoads(
        scenes=[str(test / "images")], labels=test / "labels", model=[model], output=output,
        topology=False, overwrite=True, **told,
    )  # fmt: skip
    pooled = infer_roads(config, Silence()).report.pooled
    assert pooled is not None, "every tile has a label"
    return f"{pooled.foreground.f1:.3f}", f"{pooled.break_even.value:.3f}"


def _trained(
    start: str, tiles: Path, output: Path, told: Mapping[str, Any]
) -> tuple[Path, str, float, float]:
    """Weights, how the training ended, and its minutes: of the processor and of the clock."""
    clock, processor = time.perf_counter(), time.process_time()
    config = TrainFolder(
        images=tiles / "images", labels=tiles / "labels", output=output,
        start_from=None if start == FRESH else start, **told,
    )  # fmt: skip
    result = train_folder(config, Silence())
    assert result.weights is not None
    (end,) = result.endings
    minutes = (time.process_time() - processor) / 60, (time.perf_counter() - clock) / 60
    return result.weights, end.said, *minutes


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.adaptation", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--starts", nargs="+", default=["roads-dru4", FRESH])
    parser.add_argument("--tiles", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--aside", type=int, default=10, help="tiles that are only scored")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[1e-3])
    parser.add_argument("--pixel-size", type=float)
    parser.add_argument("--gsd", type=float)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    pairs = pairs_of(given.images, given.labels, given.seed)
    told = {"pixel_size": given.pixel_size, "gsd": given.gsd, "white_is_nodata": True}
    how = {"pixel_size": given.pixel_size, "classes": "road", "scorings": 3, "seed": given.seed}
    console = Console(width=160)
    table = Table(
        "tiles", "start", "rate", "F1", "break-even", "min of processor", "min", "ended", box=None
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        test = _put(pairs[: given.aside], folder / "aside")
        for start in given.starts:
            if start != FRESH:
                table.add_row("0", start, "", *_scores(start, test, folder / "before", told))
        for count in given.tiles:
            tiles = _put(pairs[given.aside :][:count], folder / f"tiles-{count}")
            for start in given.starts:
                for rate in given.learning_rates:
                    output = folder / f"{count}-{start}-{rate}"
                    more = {"iterations": given.iterations, "learning_rate": rate}
                    weights, said, *minutes = _trained(start, tiles, output, {**how, **more})
                    found = _scores(str(weights), test, output / "scored", told)
                    table.add_row(
                        str(count), start, f"{rate:g}", *found,
                        *(f"{one:.1f}" for one in minutes), said.partition("; ")[2],
                    )  # fmt: skip
        console.print(table)
        console.print("put aside:", *(pair.image.stem for pair in pairs[: given.aside]))


if __name__ == "__main__":
    main()
