"""Probabilities for tests, and rasters of them read as levels."""

import numpy as np

from pipelines.results.levels import open_levels
from tiling.blend import TOP
from tiling.window import Window

HEIGHT, WIDTH = 12, 16
WHOLE = Window(0, 0, HEIGHT, WIDTH)
RANDOM = np.random.default_rng(3)
PROBABILITY = RANDOM.random((1, HEIGHT, WIDTH), np.float32)
THERE = RANDOM.random((HEIGHT, WIDTH)) > 0.3


def read(path, window=WHOLE, **options):
    with open_levels(path, **options) as levels:
        return levels.read(window)


def is_graded(path, **options):
    with open_levels(path, **options) as levels:
        return levels.graded


def of(probability):
    """Levels of another tool's probabilities: the highest that is reached."""
    return np.floor(probability.astype(np.float64) * TOP + 1e-3).astype(np.uint8)
