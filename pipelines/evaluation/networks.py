"""Scores files of lines, ours or another tool's, against labels: as networks, not as pixels."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.config.evaluation import Evaluate
from pipelines.errors import DataError, LabelError
from pipelines.evaluation.line_files import frame_of, lines_in, lines_of_raster, within
from pipelines.evaluation.predictions import OURS, PredictedRun
from pipelines.evaluation.scenes import Rasters, each_scene
from pipelines.inputs.naming import FIRST, find_label, is_vector_file, passed_over
from pipelines.report.build import build_report
from pipelines.report.formats import number
from pipelines.report.write import write_report
from pipelines.results.lines import ScoredLines
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Progress
from pipelines.results.result import Result
from pipelines.scores.curve import mean_of_defined, sd_of_defined
from pipelines.scores.line_graphs import graph_of_lines
from pipelines.scores.networks import (
    SCORES,
    NetworkCounts,
    combined_networks,
    count_networks,
    network_intervals,
)
from pipelines.scores.scores import plain
from tiling.scenes.names import is_local, shown
from tiling.scenes.vector import LINES, VECTORS, is_vector

_LOG = logging.getLogger("rurnet")

_AROUND = 10.0
"""Metres around the predicted lines up to which a label of several scenes counts."""


def line_files(predictions: Sequence[str]) -> dict[str, Path]:
    """The files of lines that are to be scored, by scene; none where rasters are.

    Raises:
        DataError: Two files are of one scene.
    """
    paths: list[Path] = []
    for name in predictions:
        path = Path(name)
        if not is_local(name) or not path.exists():
            return {}
        if path.is_dir():
            paths += _in_folder(path)
        elif is_vector(name):
            paths.append(path)
        else:
            return {}
    found: dict[str, Path] = {}
    for path in paths:
        scene = path.resolve().parent.name if path.stem == LINES else path.stem
        if scene in found:
            raise DataError(f"{found[scene]} and {path} are both of scene {scene}; leave one out")
        found[scene] = path
    return found


def _in_folder(folder: Path) -> list[Path]:
    """Files of lines in a folder, or in those of its scenes, unless there are rasters."""
    inside = [folder, *sorted(one for one in folder.iterdir() if one.is_dir())]
    if any((one / f"{name}.tif").exists() for one in inside for name in OURS):
        return []
    if any(folder.glob("*.tif")) or any(folder.glob("*.tiff")) or any(folder.glob("*.png")):
        return []
    own = [path for path in sorted(folder.iterdir()) if path.suffix in VECTORS]
    of_scenes = [
        path for one in inside[1:] for path in sorted(one.glob(f"{LINES}.*"))
        if path.suffix in VECTORS
    ]  # fmt: skip
    # Beside the scenes' own there may be those of all of them, joined.
    return of_scenes or own


def evaluate_lines(config: Evaluate, files: dict[str, Path], progress: Progress) -> Result:
    """Scores files of lines as networks.

    Args:
        config: What is asked for; `rho` is in metres here.
        files: By scene.
        progress: Is told of the scenes.
    """
    start = time.perf_counter()
    counts: dict[str, NetworkCounts] = {}

    def work(name: str, of_scene: Rasters) -> SceneOutcome:
        path = Path(of_scene["probability"])
        label = find_label(config.labels, name, FIRST, str(path))
        if label is None:
            raise LabelError(
                f"{name}: no label of this name in {config.labels}"
                f"{passed_over(config.labels, name, FIRST)}; add or rename it, or score without "
                "this file"
            )
        progress.scene(name, 1)
        counts[name] = _counted(path, label, config)
        progress.tiles(name, 1)
        scores = plain(counts[name].scores())
        _LOG.info("%s: TOPO F1 %s, APLS %s", name, number(scores.topo_f1), number(scores.apls))
        return SceneOutcome(name, shown(path), files={LINES: path}, label=str(label))

    scenes = {name: {"probability": path} for name, path in files.items()}
    run = PredictedRun(shown(config.predictions[0]), scenes)
    outcomes = each_scene(run, "auto", work, config.output, progress)
    report = build_report(outcomes, config, counted="lines", seconds=time.perf_counter() - start)
    if counts:
        report = replace(report, scored_lines=_scored(counts))
    write_report(config.output, report, ())
    return Result(report, config.output, report.failed)


def _scored(counts: Mapping[str, NetworkCounts]) -> ScoredLines:
    every = list(counts.values())
    each = combined_networks(every, np.eye(len(every))).scores()
    return ScoredLines(
        scenes={name: plain(one.scores()) for name, one in counts.items()},
        pooled=plain(combined_networks(every).scores()),
        mean=plain({name: mean_of_defined(getattr(each, name)) for name in SCORES}),
        sd=plain({name: sd_of_defined(getattr(each, name)) for name in SCORES}),
        intervals=network_intervals(every),
    )


def _counted(path: Path, label: Path, config: Evaluate) -> NetworkCounts:
    frame = frame_of(path, config.pixel_size)
    predicted = lines_in(path, frame).lines
    if is_vector(str(label)):
        labelled = lines_in(label, frame).lines
        bounds = None
        if is_vector_file(config.labels) and predicted:
            # It may be of a whole country.
            every = np.concatenate(list(predicted))
            low, high = every.min(axis=0) - _AROUND, every.max(axis=0) + _AROUND
            bounds = (*low.tolist(), *high.tolist())
    else:
        of_raster = lines_of_raster(label, frame, config.pixel_size)
        labelled, bounds = of_raster.lines, of_raster.bounds
    if bounds is not None:
        predicted, labelled = within(predicted, bounds), within(labelled, bounds)
    return count_networks(graph_of_lines(labelled), graph_of_lines(predicted), config.rho)
