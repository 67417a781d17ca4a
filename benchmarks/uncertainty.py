"""`python -m benchmarks.uncertainty LABELS RUN`: which measure of doubt tells errors best.

RUN is a folder that was inferred to with --save-uncertainty. A pixel is an error where it is on
the other side of one half than its label. For each band of uncertainty.tif, and for the sums of
the first with each other one, the table has the area under the risk-coverage curve and the share
of all errors among the 5 % least sure pixels.
"""

import argparse
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipelines.evaluation.predictions import predicted_runs
from pipelines.inputs.labels import IGNORE_INDEX, Labelling, open_label
from pipelines.inputs.naming import find_label
from pipelines.results.levels import open_levels
from pipelines.scores.certainty import told_by
from pipelines.scores.counts import together
from pipelines.scores.curve import HALF
from tiling.blend import NODATA, TOP
from tiling.readers.raster import without_georeferencing_warning
from tiling.window import split

_AT_ONCE = 2048


def counted(run: Path, labels: Path) -> dict[str, NDArray[np.int64]]:
    """Pixels by whether they are wrong and by doubt [2, n], for each measure of doubt."""
    found: dict[str, NDArray[np.int64]] = {}
    for scene, rasters in predicted_runs([str(run)])[0].scenes.items():
        label = find_label(labels, scene)
        if label is None:
            continue
        with (
            open_levels(rasters["probability"]) as levels,
            open_label(label, Labelling()) as drawn,
            without_georeferencing_warning(),
            rasterio.open(run / scene / "uncertainty.tif") as doubts,
        ):
            assert drawn is not None
            for window in split(levels.height, levels.width, _AT_ONCE):
                probability, classes = together(levels.read(window)), drawn.read(window)
                counts = (probability != NODATA) & (classes != IGNORE_INDEX)
                wrong = ((probability >= HALF) != (classes > 0))[counts]
                rows = window.row, window.bottom
                bands = doubts.read(window=(rows, (window.column, window.right)))[:, counts]
                for name, doubt in _measures(doubts.descriptions, bands.astype(np.int64)).items():
                    of_name = found.setdefault(name, np.zeros((2, 2 * TOP + 1), np.int64))
                    for value in (0, 1):
                        of_name[value] += np.bincount(doubt[wrong == value], minlength=2 * TOP + 1)
    return found


def _measures(names: tuple[str, ...], bands: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    alone = dict(zip(names, bands, strict=True))
    return alone | {f"{names[0]} + {name}": bands[0] + alone[name] for name in names[1:]}


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.uncertainty", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("labels", type=Path)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    table = Table("doubt", "AURC", "errors found in 5 %", box=None)
    for name, counts in counted(options.run, options.labels).items():
        least_sure_first = counts[:, ::-1].astype(np.float64)
        told = told_by(least_sure_first.sum(axis=0), least_sure_first[1])
        table.add_row(name, f"{told.aurc:.5f}", f"{told.errors_found:.3f}")
    Console(soft_wrap=True).print(table)


if __name__ == "__main__":
    main()
