"""`python -m benchmarks.skeletons FOLDER LABELS`: scores by three skeletons, upright and turned.

`FOLDER` has our results; only masks are read. scikit-image's skeleton, the same over four
quarter turns (which the scores use), and one that is thinned as lines are, on pixels, their sides
and their corners.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from skimage.morphology import skeletonize

from pipelines.inputs.naming import find_label
from pipelines.results.levels import open_levels
from pipelines.scores.apls import apls, compare, graph_of
from pipelines.scores.topology import TopologyCounter
from tiling.blend import NODATA
from tiling.lines.network import PIXEL
from tiling.lines.thinning import cells_of, thinned
from tiling.window import Window

Mask = NDArray[np.bool_]

_TURNS = (0, 1)

Scores = tuple[float, float, float]
"""clDice, APLS, and seconds for both skeletons and their paths."""


def one_skeleton(prediction: Mask, label: Mask, metres: float) -> Scores:
    """By scikit-image's skeletons, as the masks lie."""
    begun = time.perf_counter()
    return _scores(
        (skeletonize(prediction), prediction), (skeletonize(label), label), metres, begun
    )


def four_turns(prediction: Mask, label: Mask, metres: float) -> Scores:
    """By scikit-image's skeletons over four quarter turns, as in every report."""
    begun = time.perf_counter()
    height, width = label.shape
    scene = Window(0, 0, height, width)
    counter = TopologyCounter(height, width, metres)
    counter.add(scene, prediction.astype(np.uint8), label.astype(np.uint8))
    found = counter.counts().scores()
    return float(found.cldice), float(found.apls), time.perf_counter() - begun


def as_lines(prediction: Mask, label: Mask, metres: float) -> Scores:
    """By skeletons that are thinned as lines are, on cells, of which a pixel has two a side."""
    begun = time.perf_counter()
    found, drawn = ((thinned(mask)[0], cells_of(mask)) for mask in (prediction, label))
    return _scores(found, drawn, metres / PIXEL, begun)


def _scores(
    found: tuple[Mask, Mask], drawn: tuple[Mask, Mask], metres: float, begun: float
) -> Scores:
    """Of skeletons and masks of the prediction and of the label."""
    (predicted, prediction), (labelled, label) = found, drawn
    paths = compare(graph_of(labelled), graph_of(predicted), metres)
    seconds = time.perf_counter() - begun
    precision = (predicted & label).sum() / predicted.sum()
    recall = (labelled & prediction).sum() / labelled.sum()
    return 2 * precision * recall / (precision + recall), float(apls(*paths)), seconds


KINDS: dict[str, Callable[[Mask, Mask, float], Scores]] = {
    "scikit-image's": one_skeleton,
    "over four turns": four_turns,
    "as lines": as_lines,
}


def of_folder(folder: Path, labels: Path, metres: float) -> Table:
    """Returns a row for each scene, skeleton and turn, and their means."""
    table = Table("scene", "skeleton", "turned by", "clDice", "APLS", "seconds", box=None)
    found: dict[tuple[str, int], list[Scores]] = {}
    for path in sorted(folder.glob("*/mask.tif")):
        label_path = find_label(labels, path.parent.name)
        assert label_path is not None, f"{path.parent.name} has no label"
        with open_levels(path, "mask") as raster, open_levels(label_path, "mask") as drawn:
            whole = Window(0, 0, raster.height, raster.width)
            levels, label = raster.read(whole)[0], drawn.read(whole)[0] > 0
        prediction = (levels > 0) & (levels != NODATA)
        label &= levels != NODATA
        for kind in KINDS:
            for turn in _TURNS:
                turned = np.ascontiguousarray(np.rot90(np.stack([prediction, label]), turn, (1, 2)))
                one = KINDS[kind](turned[0], turned[1], metres)
                found.setdefault((kind, turn), []).append(one)
                table.add_row(path.parent.name, kind, f"{90 * turn}°", *_cells(one))
    for (kind, turn), every in found.items():
        table.add_row("mean", kind, f"{90 * turn}°", *_cells(np.mean(every, axis=0)))
    return table


def _cells(values: Scores | NDArray[np.float64]) -> list[str]:
    cldice, paths, seconds = values
    return [f"{cldice:.4f}", f"{paths:.4f}", f"{seconds:.1f}"]


def main() -> None:
    """Reads the command line and prints a table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.skeletons", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--metres", type=float, default=1.0, help="per pixel")
    known = parser.parse_args()
    Console().print(of_folder(known.folder, known.labels, known.metres))


if __name__ == "__main__":
    main()
