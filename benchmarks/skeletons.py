"""`python -m benchmarks.skeletons FOLDER LABELS`: scores by two skeletons, upright and turned.

`FOLDER` has our results; only masks are read. One skeleton is scikit-image's, which the scores
use; the other is thinned as lines are, on pixels, their sides and their corners.
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
from tiling.blend import NODATA
from tiling.lines.network import PIXEL
from tiling.lines.thinning import cells_of, thinned
from tiling.window import Window

Mask = NDArray[np.bool_]

_TURNS = (0, 1)


def _itself(mask: Mask) -> Mask:
    return mask


def _thinned(mask: Mask) -> Mask:
    return thinned(mask)[0]


KINDS: dict[str, tuple[Callable[[Mask], Mask], Callable[[Mask], Mask], int]] = {
    "scikit-image": (skeletonize, _itself, 1),
    "as lines": (_thinned, cells_of, PIXEL),
}
"""Makes a skeleton; makes a mask that it can be laid on; how many of its pixels a pixel has."""


def scores(prediction: Mask, label: Mask, kind: str, metres: float) -> tuple[float, float, float]:
    """Returns clDice, APLS, and seconds for both skeletons."""
    skeleton, under, fold = KINDS[kind]
    begun = time.perf_counter()
    predicted, labelled = skeleton(prediction), skeleton(label)
    seconds = time.perf_counter() - begun
    precision = (predicted & under(label)).sum() / predicted.sum()
    recall = (labelled & under(prediction)).sum() / labelled.sum()
    paths = compare(graph_of(labelled), graph_of(predicted), metres / fold)
    return 2 * precision * recall / (precision + recall), float(apls(*paths)), seconds


def of_folder(folder: Path, labels: Path, metres: float) -> Table:
    """Returns a row for each scene, skeleton and turn, and their means."""
    table = Table("scene", "skeleton", "turned by", "clDice", "APLS", "seconds", box=None)
    found: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
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
                one = scores(turned[0], turned[1], kind, metres)
                found.setdefault((kind, turn), []).append(one)
                table.add_row(path.parent.name, kind, f"{90 * turn}°", *_cells(one))
    for (kind, turn), every in found.items():
        table.add_row("mean", kind, f"{90 * turn}°", *_cells(np.mean(every, axis=0)))
    return table


def _cells(values: tuple[float, float, float] | NDArray[np.float64]) -> list[str]:
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
