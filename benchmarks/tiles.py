"""`python -m benchmarks.tiles SCENES LABELS`: tile and overlap by cost and score.

Each pair of a tile and an overlap predicts the same scenes. Cost is how many pixels the network
computes for one pixel of a large scene: tiles that overlap compute some of them several times. A
second table shows the edge effect: how far a tile's probabilities are from those of a tile four
times as large around it, by the distance to the tile's border. What is in --output already is not
predicted again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipelines.config.inference import InferRoads, PredictionSettings
from pipelines.inference.predictor import NetworkPredictor, predictor_for
from pipelines.inference.run import infer_roads
from pipelines.inputs.discovery import expanded, rasters_in
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.scores.scores import score_at
from tiling.blend import ONE
from tiling.readers.files import open_scene
from tiling.window import Window

SCORES = {"F1": "foreground.f1", "break-even": "break_even.value", "relaxed": "relaxed.break_even",
          "clDice": "topology.cldice", "APLS": "topology.apls"}  # fmt: skip
DISTANCES = (0, 4, 8, 16, 32, 48, 64, 96, 128)
"""Where the bins of the edge effect begin, in pixels from the tile's border."""


def scored(scenes: str, labels: Path, model: str, pairs: Sequence[str], output: Path) -> Table:
    """Predicts and scores with each pair, such as 512/128; returns a table with a row for each."""
    table = Table("tile", "overlap", "cost", *SCORES, box=None)
    for pair in pairs:
        tile, overlap = map(int, pair.split("/"))
        report = infer_roads(
            InferRoads(scenes=[scenes], labels=labels, model=[model], tile=tile, overlap=overlap,
                       measurements=False, output=output / f"{tile}-{overlap}"),
            Silence(),
        ).report  # fmt: skip
        assert report is not None
        table.add_row(
            f"{tile}", f"{overlap}", f"{(tile / (tile - overlap)) ** 2:.2f}",
            *(f"{score_at(report.pooled, path):.4f}" for path in SCORES.values()),
        )  # fmt: skip
    return table


def edge_effect(scenes: Sequence[str], model: str, tile: int) -> Table:
    """Mean difference of probabilities from those of a larger tile, by distance to the border."""
    predictor = predictor_for([load(model)], PredictionSettings(device="cpu"))
    row, column = np.indices((tile, tile))
    distance = np.minimum.reduce([row, column, tile - 1 - row, tile - 1 - column])
    differences = []
    for path in scenes:
        with open_scene(path) as scene:
            height, width = (min(2 * tile, side) for side in (scene.height, scene.width))
            window = Window((scene.height - height) // 2, (scene.width - width) // 2, height, width)
            pixels, valid = scene.read(window)
        top, left = (height - tile) // 2, (width - tile) // 2
        inner = np.s_[..., top : top + tile, left : left + tile]
        wide = _probability(predictor, pixels, valid)[inner]
        alone = _probability(predictor, pixels[inner], valid[inner])
        differences.append(np.abs(alone - wide))
    mean = np.mean(differences, axis=0)
    table = Table("from", "to", f"difference, tile {tile}", box=None)
    ends = (*DISTANCES[1:], tile // 2)
    for start, end in zip(DISTANCES, ends, strict=True):
        inside = (distance >= start) & (distance < end)
        table.add_row(f"{start}", f"{end}", f"{mean[inside].mean():.4f}")
    return table


def _probability(
    predictor: NetworkPredictor, pixels: NDArray[np.generic], valid: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Probability of the foreground [h, w] of one tile."""
    found: NDArray[np.float64] = predictor(pixels[None], valid[None])[0, 0] / ONE
    return found


def main() -> None:
    """Reads the command line and prints both tables."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.tiles", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("scenes", help="a folder of scenes")
    parser.add_argument("labels", type=Path)
    parser.add_argument("--model", default="roads-dru4")
    parser.add_argument("--pairs", nargs="+", default=["512/128"], help="TILE/OVERLAP")
    parser.add_argument("--edges", nargs="*", type=int, default=[], help="tiles of the second")
    parser.add_argument("--output", type=Path, default=Path("out/tiles"))
    options = parser.parse_args()
    console = Console(soft_wrap=True)
    for tile in options.edges:
        paths = expanded([options.scenes], rasters_in)
        console.print(edge_effect(paths, options.model, tile))
    console.print(
        scored(options.scenes, options.labels, options.model, options.pairs, options.output)
    )


if __name__ == "__main__":
    main()
