"""Whether an exported network gives our own probabilities on a tile."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.datasets.synthetic import draw_road_scene
from pipelines.errors import PipelineError
from pipelines.inference.predictor import NetworkPredictor
from pipelines.models.weights import Model
from tiling.blend import ONE

SIDE = 256
"""Side of the tile in pixels."""

BOUND = 1e-4
"""Largest difference of a probability that is allowed: the rounding of float32 in another order."""

Exported = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From images [B, bands, H, W], 0 to 255, to probabilities [B, foreground classes, H, W]."""


def check(path: Path, model: Model, steps: int | None, exported: Exported) -> float:
    """Returns the largest difference between exported and our own probabilities on a drawn tile.

    Args:
        path: What is exported, for the error.
        model: What it was exported from; it is not changed.
        steps: Number of recurrent steps; None for as many as in training.
        exported: Runs the exported network.

    Raises:
        PipelineError: It is larger than `BOUND`, or something is no number.
    """
    drawn, _, valid = draw_road_scene(SIDE, SIDE, seed=1)
    mean = np.rint(model.card.mean).astype(np.uint8)
    # A network may take more bands or fewer than the three that are drawn.
    pixels = drawn[np.arange(len(mean)) % len(drawn)]
    pixels = np.where(valid, pixels, mean[:, None, None])
    ours = _ours(model, steps, pixels)
    theirs = exported(pixels[None].astype(np.float32))[0]
    difference = float(np.abs(theirs - ours).max()) if theirs.shape == ours.shape else np.inf
    if not difference <= BOUND:  # NaN is not.
        raise PipelineError(
            f"{path}: not written, because its probabilities differ from those of "
            f"{model.name} by up to {difference:.2g} on a tile; {BOUND:g} is allowed: export to "
            "another form (.onnx, .pt2 or .bundle)"
        )
    return difference


def _ours(model: Model, steps: int | None, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What inference gives for a tile [bands, h, w]: probabilities [classes, h, w]."""
    threads = torch.get_num_threads()
    # The predictor lays out the network's weights anew.
    mine = replace(model, network=copy.deepcopy(model.network))
    predictor = NetworkPredictor([mine], steps, torch.device("cpu"))
    try:
        fixed = predictor(pixels[None], np.ones((1, *pixels.shape[1:]), bool))
    finally:
        torch.set_num_threads(threads)
    probability: NDArray[np.float32] = (fixed[0] / ONE).astype(np.float32)
    return probability
