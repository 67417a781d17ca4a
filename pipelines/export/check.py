"""Whether an exported network gives our own probabilities on a tile."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.datasets.synthetic import draw_road_scene
from pipelines.errors import PipelineError
from pipelines.inputs.normalisation import normalised
from pipelines.models.weights import Model

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


@torch.inference_mode()
def _ours(model: Model, steps: int | None, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the network gives for a tile [bands, h, w]: probabilities [classes, h, w].

    In torch's usual layout: in channels_last, in which inference runs, group norm is less exact.
    """
    network = copy.deepcopy(model.network)
    # The type annotations of `to` lack the memory format.
    convert: Callable[..., object] = network.to
    convert(memory_format=torch.contiguous_format)
    mean, std = (torch.tensor(each)[:, None, None] for each in (model.card.mean, model.card.std))
    image = torch.from_numpy(pixels.astype(np.float32))[None]
    there = torch.ones(1, 1, *pixels.shape[1:], dtype=torch.bool)
    logits = network(normalised(image, there, mean, std), steps)[-1]
    probability: NDArray[np.float32] = logits.softmax(dim=1)[0, 1:].numpy()
    return probability
