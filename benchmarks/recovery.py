"""F1 by step from right and wrong initial masks: a study of `benchmarks.study`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from torch.nn import functional

from pipelines.datasets.fundus import fundus_samples
from pipelines.models.weights import Model
from pipelines.sampling.fundi import load_fundus
from pipelines.sampling.transforms import Normalised
from pipelines.scores.histogram import Histogram, curve_of
from rurnet.loss import IGNORE_INDEX
from tiling.blend import TOP


def recovery(data: Path, networks: Mapping[str, Sequence[Model]]) -> Table:
    """Returns a table of F1 by step and initial mask, averaged over seeds and images.

    Args:
        data: A fundus folder; its test images are predicted at their own size.
        networks: Networks by name, one for each seed.
    """
    table = Table(
        "network", "started from", "its F1", *(f"step {n}" for n in range(1, 7)), box=None
    )
    read = [load_fundus(sample) for sample in fundus_samples(data, "test")]
    for network, models in networks.items():
        found: dict[str, list[list[float]]] = {}
        for number, sample in enumerate(read):
            there = sample["label"][0] != IGNORE_INDEX
            truth = (sample["label"][0] == 1) & there
            other = read[number - 1]["label"][0]
            stale = np.zeros_like(truth)
            height, width = (min(a, b) for a, b in zip(truth.shape, other.shape, strict=True))
            stale[:height, :width] = other[:height, :width] == 1
            for name, start in _starts(truth, stale):
                begun = np.zeros_like(truth) if start is None else start
                for model in models:
                    masks = [begun, *_masks(model, sample, start, 6)]
                    found.setdefault(name, []).append([_f1(m, truth, there) for m in masks])
        for name, rows in found.items():
            mean = np.mean(rows, axis=0)
            shown = "–" if name.startswith("nothing") else f"{mean[0]:.3f}"
            table.add_row(network, name, shown, *(f"{value:.3f}" for value in mean[1:]))
    return table


def coarseness(data: Path) -> Table:
    """Returns a table of the best F1 of labels averaged over cells and enlarged bilinearly.

    A cell of the network canvas is 16 pixels wide, more than a vessel.
    """
    table = Table("cells of", "best F1 of the labels", box=None)
    read = [load_fundus(s)["label"][0] for s in fundus_samples(data, "test")]
    for side in (2, 4, 8, 16, 32):
        histogram = Histogram()
        for label in read:
            truth = torch.from_numpy((label == 1).astype(np.float32))[None, None]
            cells = functional.avg_pool2d(truth, side, ceil_mode=True)
            enlarged = functional.interpolate(cells, scale_factor=side, mode="bilinear")
            height, width = label.shape
            levels = (TOP * enlarged[0, 0, :height, :width]).round().to(torch.uint8).numpy()
            histogram.add(levels, label == 1, label != IGNORE_INDEX)
        table.add_row(f"{side} px", f"{float(curve_of(histogram.counts).best().f1):.3f}")
    return table


def _starts(truth: NDArray[Any], other: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any] | None]]:
    """Yields initial masks with their names."""
    yield "nothing (uniform)", None
    yield "the label", truth
    yield "the label, foreground and background swapped", ~truth
    yield "another image's label", other
    barred = truth.copy()
    middle = truth.shape[0] // 2
    barred[middle - 6 : middle + 6] = True
    yield "the label with a bar across", barred


@torch.inference_mode()
def _masks(model: Any, sample: Any, start: NDArray[Any] | None, steps: int) -> Iterator[Any]:
    """Yields the foreground after each step, [H, W]."""
    image = Normalised(model.card.mean, model.card.std)(sample)["image"]
    tensor = torch.from_numpy(image)[None]
    mask = None
    if start is not None:
        mask = torch.from_numpy(np.stack([~start, start]).astype(np.float32))[None]
    state = model.network.initial_state(tensor, mask)
    for _ in range(steps):
        _, state = model.network.step(tensor, state)
        yield (state.mask[0, 1] >= 0.5).numpy()


def _f1(mask: NDArray[Any], truth: NDArray[Any], there: NDArray[Any]) -> float:
    both = (mask & truth & there).sum()
    return float(2 * both / max(1, (mask & there).sum() + (truth & there).sum()))
