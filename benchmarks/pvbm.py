"""Our measurements of vessels beside those of PVBM, on the same drawn labels.

    python -m benchmarks.pvbm CHASE_DB1/*.jpg --angles 8

prints, for each number that both have, mean and standard deviation over the images, the mean of the
images' ratios, and how the two correlate: Pearson's r, and Spearman's of the ranks. PVBM's angles
take over a minute for an image of CHASE_DB1, all else some eight seconds: so angles are of the
first images only. PVBM is no dependency of ours: without it there is nothing to compare.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr
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


def theirs(mask: Mask, field: Mask, *, angles: bool) -> Mapping[str, float | None]:
    """PVBM's numbers, by our names; nan for angles that are not wanted."""
    from PVBM.FractalAnalysis import MultifractalVBMs
    from PVBM.GeometricalAnalysis import GeometricalVBMs

    geometry, drawn = GeometricalVBMs(), (mask & field).astype(float)
    lines = skeletonize(mask & field).astype(float)
    ends, crossings, *_ = geometry.compute_particular_points(lines)
    tortuosity, length, *_ = geometry.compute_tortuosity_length(lines)
    angle = geometry.compute_branching_angles(lines)[0] if angles else np.nan
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
    parser.add_argument(
        "--angles", type=int, default=0, metavar="IMAGES", help="how many images to measure them of"
    )
    asked = parser.parse_args()
    if find_spec("PVBM") is None:
        parser.exit(
            0,
            "PVBM is not installed: make an environment of its own, with "
            "pip install pvbm rasterio pydantic shapely\n",
        )
    rows, seconds = [], [0.0, 0.0]
    for index, path in enumerate(asked.images):
        label = sample_of(path).label
        field = field_of_view(np.moveaxis(np.asarray(Image.open(path)), -1, 0)).mask
        assert label is not None, f"{path}: no label beside it"
        mask = np.asarray(Image.open(label).convert("L")) > 127
        pair = []
        measures: list[Callable[[Mask, Mask], Mapping[str, float | None]]] = [
            ours, partial(theirs, angles=index < asked.angles)
        ]  # fmt: skip
        for each, of in enumerate(measures):
            start = time.process_time()
            numbers = of(mask & field, field)
            seconds[each] += time.process_time() - start
            # None where one is undefined.
            pair.append(np.array([numbers[name] for name in PAIRS], float))
        rows.append(pair)
        print(path.name, *(f"{a:.4g}/{b:.4g}" for a, b in zip(*pair, strict=True)), flush=True)
    values = np.array(rows)
    print(f"\n{len(values)} images; PVBM takes {seconds[1] / seconds[0]:.0f} times as long\n")
    print(
        "| ours | mean ± sd | PVBM | mean ± sd | ratio | r | rank |\n|---|---|---|---|---|---|---|"
    )
    for column, (name, other) in enumerate(PAIRS.items()):
        both = values[..., column]
        a, b = both[~np.isnan(both).any(axis=1)].T
        if not len(a):
            continue
        agreement = f"{(a / b).mean():.3f} | – | –"
        if len(a) > 1:
            rank = spearmanr(a, b).statistic
            agreement = f"{(a / b).mean():.3f} | {np.corrcoef(a, b)[0, 1]:.2f} | {rank:.2f}"
        print(f"| `{name}` | {_spread(a)} | {other} | {_spread(b)} | {agreement} |")


def _spread(values: NDArray[np.float64]) -> str:
    deviation = f" ± {values.std(ddof=1):.2g}" if len(values) > 1 else ""
    return f"{values.mean():.4g}{deviation}"


if __name__ == "__main__":
    main()
