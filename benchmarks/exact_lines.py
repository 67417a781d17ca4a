"""Whether lines depend on how the work was cut and interrupted: part of `benchmarks.lines`."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement

import pyogrio
import rasterio
from rich.table import Table

from pipelines.config.lines import LineSettings
from pipelines.evaluation.predictions import predicted_runs
from pipelines.lines.vectorise import vectorise
from pipelines.results.levels import open_levels
from tiling.manifest import PARTS
from tiling.scenes.ground import pixel_size
from tiling.store import SUFFIX

_LAYERS = "lines", "nodes", "polygons"

_LOOK = 0.05  # Seconds between two looks at a folder.

Taken = dict[str, Any]
"""What a run took, as it is noted: `kills`, or `cpu` and `memory` of predicting and of lines."""

Content = dict[str, list[tuple[str, ...]]]
"""All features of a GeoPackage by layer: geometry and columns, in the file's order."""


def content_of(path: Path) -> Content:
    """The features of a GeoPackage, as what can be compared."""
    found = {}
    for layer in _LAYERS:
        about, _, shapes, columns = pyogrio.raw.read(path, layer=layer)
        rows = zip(*(map(str, column) for column in columns), strict=True)
        found[layer] = [
            (str(about["crs"]), shape.hex(), *row) for shape, row in zip(shapes, rows, strict=True)
        ]
    return found


def of_parts(scene: str, runs: Iterable[str], steps: int | None, folder: Path) -> Table:
    """Runs `infer-roads --lines` in several ways.

    Killed runs are killed twice: when the first part is there, and when lines are being made. The
    others note what was taken until the rasters were there, and from then until the lines were.

    Args:
        scene: To predict.
        runs: `PART SIZE/WORKERS` or `PART SIZE/WORKERS/killed` of each run.
        steps: Recurrent steps; None takes those of the training.
        folder: Where results are kept; runs that ended there are not made again.
    """
    table = Table(
        "part", "workers", "killed", "predicting: CPU s", "memory", "lines: CPU s", "memory",
        "lines", "nodes", "polygons", "same as the first", box=None,
    )  # fmt: skip
    first: Content | None = None
    for run in runs:
        part, workers, *killed = run.split("/")
        output = folder / run.replace("/", "-")
        ended = output / "ended.json"
        if not ended.exists():
            options = ["--part-size", part, "--workers", workers]
            options += ["--steps", str(steps)] if steps else []
            command = _command(scene, str(output), options)
            taken = _run_killed(command, output) if killed else _run(command, output)
            ended.write_text(json.dumps(taken))
        taken = json.loads(ended.read_text())
        [path] = output.glob("*/lines.gpkg")
        content = content_of(path)
        table.add_row(
            part, workers, f"{taken['kills']} times" if killed else "no", *_cells(taken),
            *(str(len(content[layer])) for layer in _LAYERS),
            "" if first is None else "yes" if content == first else "no",
        )  # fmt: skip
        first = first or content
    return table


def mosaic_of(folder: Path, side: int, path: Path) -> Path:
    """A VRT of the tiles in a folder, row by row, and again from the first where they run out.

    Args:
        folder: Has TIFF files of one size, data type and number of bands.
        side: Of the mosaic, in pixels.
        path: Of the VRT to write.
    """
    tiles = sorted(path for path in folder.iterdir() if path.suffix in {".tif", ".tiff"})
    with rasterio.open(tiles[0]) as tile:
        height, width, bands, crs = tile.height, tile.width, tile.count, tile.crs
        about, pixel = tile.dtypes[0], tile.res
    gdal_type = {"uint8": "Byte", "uint16": "UInt16"}[about]
    places = [(y, x) for y in range(0, side, height) for x in range(0, side, width)]
    dataset = Element("VRTDataset", rasterXSize=str(side), rasterYSize=str(side))
    if crs:
        SubElement(dataset, "SRS").text = crs.to_wkt()
    SubElement(dataset, "GeoTransform").text = f"100000, {pixel[0]}, 0, 900000, 0, {-pixel[1]}"
    for band in range(1, bands + 1):
        raster = SubElement(dataset, "VRTRasterBand", dataType=gdal_type, band=str(band))
        SubElement(raster, "ColorInterp").text = ("Red", "Green", "Blue", "Undefined")[band - 1]
        for (y, x), tile in zip(places, cycle(tiles), strict=False):
            source = SubElement(raster, "SimpleSource")
            SubElement(source, "SourceFilename").text = str(tile.resolve())
            SubElement(source, "SourceBand").text = str(band)
            cut = {"xSize": str(min(width, side - x)), "ySize": str(min(height, side - y))}
            SubElement(source, "SrcRect", {"xOff": "0", "yOff": "0", **cut})
            SubElement(source, "DstRect", {"xOff": str(x), "yOff": str(y), **cut})
    ElementTree(dataset).write(path)
    return path


def of_windows(run: str, sides: Sequence[int]) -> Table:
    """Makes lines of a scene's rasters in windows of several sides, each in its own process."""
    table = Table(
        "windows", "CPU seconds", "peak memory", "before", "km", "lines", "same as the first",
        box=None,
    )  # fmt: skip
    first: Content | None = None
    for side in sides:
        with (
            tempfile.TemporaryDirectory() as name,
            ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool,
        ):
            seconds, before, most, kilometres = pool.submit(_made, run, side, Path(name)).result()
            content = content_of(Path(name) / "lines.gpkg")
        first = first or content
        table.add_row(
            f"{side} px", f"{seconds:.0f}", f"{most / 1e6:.0f} MB", f"{before / 1e6:.0f} MB",
            f"{kilometres:.1f}", str(len(content["lines"])), "yes" if content == first else "no",
        )  # fmt: skip
    return table


def _made(run: str, side: int, folder: Path) -> tuple[float, int, int, float]:
    """CPU seconds, peak memory before and in all, and kilometres."""
    [of_run] = predicted_runs([run])
    [(name, files)] = of_run.scenes.items()
    with open_levels(files["probability"]) as levels:
        pixel = pixel_size(levels)
    before, begun = _peak(), time.process_time()
    lines = vectorise(
        name, files, partial(open_levels), LineSettings(), 0.5, folder, pixel, at_once=side
    )
    return time.process_time() - begun, before, _peak(), lines.found.kilometres or 0.0


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _command(scene: str, output: str, options: Sequence[str]) -> list[str]:
    return [
        sys.executable, "-m", "flows.infer_roads", scene, "--lines", "--output", output,
        "--device", "cpu", "--backend", "eager", *options,
    ]  # fmt: skip


def _run_killed(command: Sequence[str], folder: Path) -> Taken:
    """Kills a command twice, and lets it end."""
    kills = sum(_killed(command, folder, at) for at in (_a_part_is_there, _rasters_are_there))
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return {"kills": kills}


def _run(command: Sequence[str], folder: Path) -> Taken:
    """CPU seconds and peak memory of a command until its rasters are there, and of its lines."""
    seen: list[tuple[float, int]] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        for at in (_rasters_are_there, _lines_are_there):
            while process.poll() is None and not at(folder):
                time.sleep(_LOOK)
            assert process.poll() is None, "it ended, and its files came too late or not at all"
            seen.append(_taken_by(process.pid))
        assert process.wait() == 0
    (before, least), (seconds, most) = seen
    return {"cpu": [before, seconds - before], "memory": [least, most]}


def _taken_by(process: int) -> tuple[float, int]:
    """CPU seconds and the peak memory of a process in bytes, its children left out."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    [peak] = (
        line.split()[1]
        for line in Path(f"/proc/{process}/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    )
    return ticks / os.sysconf("SC_CLK_TCK"), int(peak) * 1024


def _cells(taken: Taken) -> list[str]:
    if "cpu" not in taken:
        return [""] * 4
    pairs = zip(taken["cpu"], taken["memory"], strict=True)
    return [text for cpu, memory in pairs for text in (f"{cpu:.0f}", f"{memory / 1e6:.0f} MB")]


def _killed(command: Sequence[str], folder: Path, at: Callable[[Path], bool]) -> bool:
    """Starts a command and kills it, workers and all, as soon as its folder looks so."""
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "start_new_session": True}
    with subprocess.Popen(command, **options) as process:
        while process.poll() is None and not at(folder):
            time.sleep(_LOOK)
        if process.poll() is not None:
            return False
        os.killpg(process.pid, signal.SIGKILL)
    assert not list(folder.glob("*/lines.gpkg")), "it had ended"
    return True


def _a_part_is_there(folder: Path) -> bool:
    return any(folder.glob(f"*/{PARTS}/*{SUFFIX}"))


def _rasters_are_there(folder: Path) -> bool:
    return any(folder.glob("*/mask.tif")) and any(folder.glob("*/probability.tif"))


def _lines_are_there(folder: Path) -> bool:
    return any(folder.glob("*/lines.gpkg"))
