"""`python -m benchmarks.thresholds LABELS RUN ...`: F1 at one half, at own thresholds, at the best.

RUN is a folder that was inferred to. Each scene's own threshold is the one with the highest F1
that its probabilities make expect (`--threshold auto`). They may be changed before: their odds are
divided by the weight that foreground had in the loss, and their logits by a temperature, which
makes them less sure of themselves.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipelines.evaluation.predictions import predicted_runs
from pipelines.inputs.labels import IGNORE_INDEX, Labelling, open_label
from pipelines.inputs.naming import find_label
from pipelines.results.levels import open_levels
from pipelines.scores.curve import HALF, LEVELS
from pipelines.scores.expected import best_level
from pipelines.scores.histogram import Counts, Histogram, calibration, curve_of, foreground_at
from tiling.blend import TOP
from tiling.window import split

_AT_ONCE = 2048


def counts_of(run: str, labels: Path) -> list[Counts]:
    """Pixels by label and level [2, 255] of each scene of a run that has a label."""
    found = []
    for scene, rasters in predicted_runs([run])[0].scenes.items():
        label = find_label(labels, scene)
        if label is None:
            continue
        histogram = Histogram()
        with open_levels(rasters["probability"]) as levels, open_label(label, Labelling()) as drawn:
            assert drawn is not None
            for window in split(levels.height, levels.width, _AT_ONCE):
                classes = drawn.read(window)
                histogram.add(levels.read(window)[0], classes == 1, classes != IGNORE_INDEX)
        found.append(histogram.counts)
    return found


def changed(weight: float, temperature: float) -> NDArray[np.float64]:
    """The probability that each level stands for [255]."""
    levels = np.arange(LEVELS)
    # Levels of 0 and 254 are rounded; their odds are taken to be those half a level inside.
    probability = np.clip(levels / TOP, 0.5 / TOP, 1 - 0.5 / TOP)
    logit = np.log(probability / (1 - probability)) / temperature - np.log(weight)
    at_ends = np.where(levels == 0, 0.0, 1 / (1 + np.exp(-logit)))
    return at_ends


def at_own_thresholds(scenes: list[Counts], probability: NDArray[np.float64]) -> float:
    """F1 of all scenes together, each cut at its own threshold."""
    total = np.zeros((2, 2), np.int64)
    for counts in scenes:
        level = best_level(counts.sum(axis=0), probability)
        total += np.stack([counts[:, :level].sum(axis=1), counts[:, level:].sum(axis=1)], axis=1)
    return float(foreground_at(total, 1).f1)


def main() -> None:
    """Prints a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--weight", type=float, default=1.0, help="of foreground, in the loss")
    parser.add_argument("--temperature", type=float, default=1.0)
    given = parser.parse_args()
    probability = changed(given.weight, given.temperature)
    table = Table(
        "run", "F1 at 0.5", "F1 at each scene's own", "best F1", "at", "break-even", "ECE"
    )
    for run in given.runs:
        scenes = counts_of(run, given.labels)
        pooled = np.sum(scenes, axis=0)
        curve = curve_of(pooled)
        numbers = (
            foreground_at(pooled, HALF).f1, at_own_thresholds(scenes, probability),
            curve.best().f1, curve.best().threshold, curve.break_even().value,
        )  # fmt: skip
        ece = float(calibration(pooled).ece)
        table.add_row(run, *(f"{float(number):.3f}" for number in numbers), f"{ece:.4f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
