"""How good lines are, and what they take.

`python -m benchmarks.lines labels FOLDER` makes lines of label rasters and draws them again at the
labels' width: F1 with the label, and the paths along them (APLS) against the label's own.

`python -m benchmarks.lines gaps RUN LABELS` makes lines of a run's rasters with and without
bridges, draws them at the labels' width, and scores them against the labels.

`python -m benchmarks.lines cost SCENE...` predicts scenes and makes lines of the results, each in a
process of its own: seconds, those of all cores added up, and peak memory, reports included.

`python -m benchmarks.lines exact SCENE` predicts a scene with lines again and again, cut into parts
of several sizes, by several numbers of workers, killed twice, and compares every feature. With
`--mosaic SIDE` the scene is a folder of tiles, of which a mosaic is made.

`python -m benchmarks.lines windows RUN` makes lines of a scene's rasters in windows of several
sides, each in a process of its own: seconds, peak memory, and whether every feature is the same.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rich.console import Console
from rich.table import Table
from scipy.ndimage import distance_transform_edt

from benchmarks.exact_lines import mosaic_of, of_parts, of_windows
from pipelines.config.inference import InferRoads
from pipelines.config.lines import LineSettings, Vectorise
from pipelines.evaluation.predictions import predicted_runs
from pipelines.inference.run import infer_roads
from pipelines.inputs.naming import find_label
from pipelines.lines.features import Layer, Place, layers_of
from pipelines.lines.rules import Rules, cleaned
from pipelines.lines.run import vectorise_rasters
from pipelines.lines.source import opened
from pipelines.results.levels import open_levels
from pipelines.results.progress import Silence
from pipelines.results.result import Result
from pipelines.scores.topology import TopologyCounter, TopologyCounts
from tiling.blend import NODATA
from tiling.lines.walk import walked
from tiling.masks.mask import threshold_level
from tiling.scenes.ground import PixelSize, pixel_size
from tiling.window import Window

_LABEL_WIDTH = 7.0
"""Of the lines in the labels of Massachusetts Roads, in metres."""

_RHO = 3.0

_EXACT_RUNS = [f"{part}/{run}" for part in (2560, 700, 512) for run in ("1", "3/killed")]

_UNBRIDGED = LineSettings(longest_gap=0.0)

Mask = NDArray[np.uint8]


def lines_of(
    files: Mapping[str, Path | str], settings: LineSettings, threshold: float
) -> tuple[Layer, Mask, PixelSize]:
    """The lines of rasters in pixels, the mask that they are made of, and its pixels' size."""
    level = threshold_level(threshold)
    with opened(files, partial(open_levels), level) as rasters:
        mask = rasters.mask
        scene = Window(0, 0, mask.height, mask.width)
        pixel = pixel_size(mask) or PixelSize(1.0, 1.0)
        rules = Rules.of(settings, pixel, level)
        read = rasters.levels if rasters.graded else None
        network = walked(
            mask.height, mask.width, lambda one: (rasters.foreground(one), rasters.levels(one))
        )
        lines, _ = layers_of(
            cleaned(network, rules, scene, read),
            Place("", type(mask.transform).identity(), rules, "m"),
            level,
        )
        return lines, rasters.foreground(scene).astype(np.uint8), pixel


def drawn(lines: Layer, width: float, shape: tuple[int, ...]) -> Mask:
    """Lines as a mask."""
    import shapely

    # Rows go down.
    upright = shapely.transform(lines.geometries, lambda xy: xy * (1, -1))
    shapes = [(shape, 1) for shape in shapely.buffer(upright, width / 2)]
    mask: Mask = rasterize(shapes, shape, dtype="uint8") if shapes else np.zeros(shape, np.uint8)
    return mask


def topology(prediction: Mask, label: Mask, pixel: PixelSize) -> TopologyCounts:
    """What paths and centre lines are counted to."""
    counter = TopologyCounter(label.shape[0], label.shape[1], pixel.side)
    counter.add(Window(0, 0, *label.shape), prediction, label)
    return counter.counts()


def of_labels(folder: Path) -> Table:
    """Lines of label rasters against the labels."""
    table = Table("label", "km", "junctions", "width", "F1", "APLS", box=None)
    f1s, paths = [], []
    for path in sorted(folder.glob("*.tif")):
        lines, label, pixel = lines_of({"probability": path}, _UNBRIDGED, 0.5)
        lengths = np.array(lines.columns["length_m"], float)
        if not lengths.size:
            continue
        width = label.sum() * pixel.side**2 / lengths.sum()
        again = drawn(lines, width / pixel.side, label.shape)
        f1 = 2 * (again & label).sum() / (again.sum() + label.sum())
        apls = float(topology(again, label, pixel).scores().apls)
        ends = [*lines.columns["from_node"], *lines.columns["to_node"]]
        junctions = int((np.unique(ends, return_counts=True)[1] > 2).sum())
        table.add_row(
            path.stem, f"{lengths.sum() / 1000:.1f}", str(junctions), f"{width:.1f}",
            f"{f1:.3f}", f"{apls:.3f}",
        )  # fmt: skip
        f1s.append(f1)
        paths.append(apls)
    table.add_row("mean", "", "", "", f"{np.mean(f1s):.3f}", f"{np.nanmean(paths):.3f}")
    table.add_row("least", "", "", "", f"{np.min(f1s):.3f}", f"{np.nanmin(paths):.3f}")
    return table


def of_gaps(run: str, labels: Path, threshold: float) -> Table:
    """Lines without and with bridges against labels."""
    table = Table(
        "lines", "scene", "km", "bridged", "APLS", "clDice", "relaxed precision", "relaxed recall",
        box=None,
    )  # fmt: skip
    [of_run] = predicted_runs([run])
    for title, settings in (("without bridges", _UNBRIDGED), ("with bridges", LineSettings())):
        every, counts, means = TopologyCounts(), np.zeros(4), []
        kilometres, bridged = 0.0, 0
        for name, files in of_run.scenes.items():
            # The mask of the run may be of another threshold.
            graded = {kind: path for kind, path in files.items() if kind != "mask"}
            lines, _, pixel = lines_of(graded, settings, threshold)
            path = find_label(labels, name)
            assert path is not None, f"{name} has no label"
            with open_levels(path, "mask") as raster, open_levels(files["probability"]) as levels:
                whole = Window(0, 0, raster.height, raster.width)
                missing = levels.read(whole)[0] == NODATA
                label = (raster.read(whole)[0] > 0).astype(np.uint8)
            label[missing] = 0
            again = drawn(lines, _LABEL_WIDTH / pixel.side, label.shape)
            again[missing] = 0
            one = topology(again, label, pixel)
            relaxed = _relaxed(again, label)
            every, counts = every + one, counts + relaxed
            means.append(float(one.scores().apls))
            kilometres += sum(lines.columns["length_m"]) / 1000
            bridged += sum(length > 0 for length in lines.columns["bridged_m"])
            table.add_row(title, name, *_cells(lines, one, relaxed))
        scores = every.scores()
        table.add_row(
            title, "pooled", f"{kilometres:.1f}", str(bridged), f"{float(scores.apls):.3f}",
            f"{float(scores.cldice):.3f}", f"{counts[1] / counts[0]:.4f}",
            f"{counts[3] / counts[2]:.4f}",
        )  # fmt: skip
        table.add_row(title, "mean", "", "", f"{np.mean(means):.3f}")
    return table


def _cells(lines: Layer, counts: TopologyCounts, relaxed: NDArray[np.float64]) -> list[str]:
    scores = counts.scores()
    return [
        f"{sum(lines.columns['length_m']) / 1000:.1f}",
        str(sum(length > 0 for length in lines.columns["bridged_m"])),
        f"{float(scores.apls):.3f}",
        f"{float(scores.cldice):.3f}",
        f"{relaxed[1] / relaxed[0]:.4f}",
        f"{relaxed[3] / relaxed[2]:.4f}",
    ]


def _relaxed(prediction: Mask, label: Mask) -> NDArray[np.float64]:
    """Predicted pixels, those near labelled ones, labelled pixels, those near predicted ones."""
    near = [distance_transform_edt(mask == 0) <= _RHO for mask in (label, prediction)]
    return np.array(
        [prediction.sum(), prediction[near[0]].sum(), label.sum(), label[near[1]].sum()], float
    )


def of_cost(scenes: Sequence[str]) -> Table:
    """What predicting takes, and what lines take."""
    table = Table("", "seconds", "CPU seconds", "peak memory", box=None)
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        for title, work in (("predicting", _predict), ("lines", _vectorise)):
            seconds, of_cores, memory = pool.submit(work, list(scenes), Path(name)).result()
            table.add_row(title, f"{seconds:.1f}", f"{of_cores:.1f}", f"{memory / 1e6:.0f} MB")
    return table


def _predict(scenes: list[str], folder: Path) -> tuple[float, float, int]:
    return _taken(lambda: infer_roads(InferRoads(scenes=scenes, output=folder / "out"), Silence()))


def _vectorise(_: list[str], folder: Path) -> tuple[float, float, int]:
    config = Vectorise(predictions=[str(folder / "out")], output=folder / "lines")
    return _taken(lambda: vectorise_rasters(config, Silence()))


def _taken(work: Callable[[], Result]) -> tuple[float, float, int]:
    """Seconds, those of all cores, and the peak memory of this process in bytes."""
    begun, of_cores = time.perf_counter(), time.process_time()
    assert not work().failed
    seconds = time.perf_counter() - begun, time.process_time() - of_cores
    return *seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Reads the command line and prints a table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.lines", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="what", required=True)
    labels = commands.add_parser("labels")
    labels.add_argument("folder", type=Path)
    gaps = commands.add_parser("gaps")
    gaps.add_argument("run")
    gaps.add_argument("labels", type=Path)
    gaps.add_argument("--threshold", type=float, default=0.5)
    cost = commands.add_parser("cost")
    cost.add_argument("scenes", nargs="+")
    exact = commands.add_parser("exact")
    exact.add_argument("scene")
    exact.add_argument("--runs", nargs="+", default=_EXACT_RUNS, metavar="PART/WORKERS[/killed]")
    exact.add_argument("--steps", type=int)
    exact.add_argument("--mosaic", type=int, metavar="SIDE")
    exact.add_argument("--output", type=Path, default=Path("exact-lines"))
    windows = commands.add_parser("windows")
    windows.add_argument("run")
    windows.add_argument("--sides", type=int, nargs="+", default=[2048, 512, 2560])
    known = parser.parse_args()
    if known.what == "labels":
        table = of_labels(known.folder)
    elif known.what == "gaps":
        table = of_gaps(known.run, known.labels, known.threshold)
    elif known.what == "exact":
        known.output.mkdir(parents=True, exist_ok=True)
        scene = known.scene
        if known.mosaic:
            scene = str(mosaic_of(Path(scene), known.mosaic, known.output / "mosaic.vrt"))
        table = of_parts(scene, known.runs, known.steps, known.output)
    elif known.what == "windows":
        table = of_windows(known.run, known.sides)
    else:
        table = of_cost(known.scenes)
    Console().print(table)


if __name__ == "__main__":
    main()
