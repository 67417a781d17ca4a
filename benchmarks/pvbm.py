"""Our measurements of vessels beside those of PVBM, on the same drawn labels.

    python -m benchmarks.pvbm CHASE_DB1/Image_1[12]?.jpg

prints, for each number that both have, mean and standard deviation over the images, and the
correlation between the two. PVBM is no dependency of ours: without it there is nothing to compare.
"""

import argparse
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.morphology import skeletonize

from pipelines.inputs.field_of_view import field_diameter, field_of_view
from pipelines.inputs.fundus import sample_of
from pipelines.measurements.measured import of_tree
from pipelines.measurements.vessels import vessel_tree
from tiling.blend import NODATA

Mask = NDArray[np.bool_]

PAIRS = {
    "density": "density",
    "length_px": "length",
    "arc_chord": "median tortuosity",
    "fractal_dimension": "D0",
    "bifurcation_angle": "mean branching angle",
    "bifurcations": "intersection points",
    "ends": "end points",
}
"""Our name of a number, and what is printed for PVBM's."""


def ours(mask: Mask, field: Mask) -> Mapping[str, float | None]:
    """Our numbers of a mask in a field of view, both [h, w]."""
    levels = np.where(field, mask.astype(np.uint8), NODATA).astype(np.uint8)
    return of_tree(vessel_tree(levels, field_diameter(field)))


def theirs(mask: Mask, field: Mask) -> Mapping[str, float]:
    """PVBM's numbers, by our names."""
    from PVBM.FractalAnalysis import MultifractalVBMs
    from PVBM.GeometricalAnalysis import GeometricalVBMs

    geometry, drawn = GeometricalVBMs(), (mask & field).astype(float)
    lines = skeletonize(mask & field).astype(float)
    ends, crossings, *_ = geometry.compute_particular_points(lines)
    tortuosity, length, *_ = geometry.compute_tortuosity_length(lines)
    angle, *_ = geometry.compute_branching_angles(lines)
    return {
        "density": geometry.area(drawn) / field.sum(),
        "length_px": length,
        "arc_chord": tortuosity,
        "fractal_dimension": MultifractalVBMs().compute_multifractals(drawn)[0],
        "bifurcation_angle": angle,
        "bifurcations": crossings,
        "ends": ends,
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pvbm", description=__doc__)
    parser.add_argument(
        "images", type=Path, nargs="+", help="photographs, with labels beside as data sets have"
    )
    asked = parser.parse_args()
    if find_spec("PVBM") is None:
        parser.exit(0, "PVBM is not installed: pip install pvbm, in an environment of its own\n")
    rows, seconds = [], [0.0, 0.0]
    for path in asked.images:
        label = sample_of(path).label
        field = field_of_view(np.moveaxis(np.asarray(Image.open(path)), -1, 0)).mask
        assert label is not None, f"{path}: no label beside it"
        mask = np.asarray(Image.open(label).convert("L")) > 127
        pair = []
        for each, of in enumerate((ours, theirs)):
            start = time.perf_counter()
            numbers = of(mask & field, field)
            seconds[each] += time.perf_counter() - start
            pair.append([float(numbers[name] or 0.0) for name in PAIRS])
        rows.append(pair)
        print(path.name, *(f"{a:.4g}/{b:.4g}" for a, b in zip(*pair, strict=True)), flush=True)
    values = np.array(rows)
    print(f"\n{len(values)} images; PVBM takes {seconds[1] / seconds[0]:.0f} times as long\n")
    print("| ours | mean ± sd | PVBM | mean ± sd | r |\n|---|---|---|---|---|")
    for column, (name, other) in enumerate(PAIRS.items()):
        a, b = values[:, 0, column], values[:, 1, column]
        r = np.corrcoef(a, b)[0, 1]
        print(f"| `{name}` | {_spread(a)} | {other} | {_spread(b)} | {r:.2f} |")


def _spread(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.4g} ± {values.std(ddof=1):.2g}"


if __name__ == "__main__":
    main()
