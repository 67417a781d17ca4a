"""F1 that a network expects of itself, and the threshold at which it expects the most."""

import numpy as np
from numpy.typing import NDArray

from pipelines.scores.curve import HALF, LEVELS
from tiling.blend import TOP


def best_expected(pixels: NDArray[np.int64], foreground_weight: float = 1.0) -> int:
    """The level from which on foreground has the highest expected F1, by the probabilities alone.

    Args:
        pixels: How many pixels have each level [255].
        foreground_weight: Weight that foreground had in the loss: it made the odds of foreground
            so many times as large.

    Returns:
        See `best_level`.
    """
    levels = np.arange(LEVELS, dtype=np.float64)
    return best_level(pixels, levels / (levels + foreground_weight * (TOP - levels)))


def expected_f1(
    pixels: NDArray[np.int64], level: int, foreground_weight: float = 1.0
) -> float | None:
    """The F1 that a threshold makes expect, by the probabilities alone.

    Args:
        pixels: How many pixels have each level [255].
        level: The lowest that is foreground.
        foreground_weight: See `best_expected`.

    Returns:
        0 to 1; None where nothing is expected anywhere.
    """
    levels = np.arange(LEVELS, dtype=np.float64)
    there = pixels * levels / (levels + foreground_weight * (TOP - levels))
    found = pixels[level:].sum() + there.sum()
    return float(2 * there[level:].sum() / found) if found else None


def best_level(pixels: NDArray[np.int64], probability: NDArray[np.float64]) -> int:
    """The level from which on foreground has the highest expected F1.

    F1 is twice the foreground that is found, over what is found and what there is; here each is
    its expectation.

    Args:
        pixels: How many pixels have each level [255].
        probability: Of foreground, at each level [255]; it rises.

    Returns:
        The lowest such level, 1 to 254; that of one half where nothing is expected anywhere.
    """
    there = pixels * probability
    if not there.any():
        return HALF
    found, predicted = (values[::-1].cumsum()[::-1] for values in (there, pixels))
    f1 = 2 * found / (predicted + there.sum())
    return int(f1[1:].argmax()) + 1
