"""Turns rasters that exist into lines, from configuration to report."""

import logging
import time
from dataclasses import replace
from functools import partial

from pipelines.config.lines import Vectorise
from pipelines.config.scoring import ScoringSettings
from pipelines.errors import DataError
from pipelines.evaluation.predictions import predicted_runs
from pipelines.evaluation.scenes import Rasters, each_scene, make_output
from pipelines.lines.joining import with_joined
from pipelines.lines.vectorise import vectorise
from pipelines.report.build import THERE, build_report, shown_settings
from pipelines.report.write import write_report
from pipelines.results.levels import open_levels
from pipelines.results.outcome import OpenRaster, SceneOutcome
from pipelines.results.progress import Progress
from pipelines.results.result import Result
from tiling.lines.walk import AT_ONCE
from tiling.scenes.ground import pixel_size
from tiling.scenes.names import shown
from tiling.window import split

_LOG = logging.getLogger("rurnet")


def vectorise_rasters(config: Vectorise, progress: Progress) -> Result:
    """Makes lines of each scene's rasters.

    Raises:
        DataError: There is no such raster, or two are of one scene.
        PipelineError: The report cannot be written.
    """
    start = time.perf_counter()
    runs = predicted_runs(config.predictions)
    if len(runs) > 1:
        raise DataError(
            f"{', '.join(config.predictions)}: two runs of the same scenes; give one of them"
        )
    make_output(config.output)

    def work(name: str, files: Rasters) -> SceneOutcome:
        return _vectorised(name, files, config, progress)

    outcomes = each_scene(runs[0], config.kind, work, config.output, progress)
    scoring = ScoringSettings(threshold=config.threshold)
    seconds = time.perf_counter() - start
    report = build_report(outcomes, scoring, counted=THERE, seconds=seconds)
    report = replace(report, settings=shown_settings(config.model_dump(mode="json")))
    if config.join:
        report = with_joined(
            report, outcomes, config, config.one_threshold, config.output, _opened(config),
            config.pixel_size, overwrite=config.overwrite,
        )  # fmt: skip
    write_report(config.output, report, outcomes)
    return Result(report, config.output, report.failed)


def _opened(config: Vectorise) -> OpenRaster:
    """Opens a raster as it is meant."""
    return partial(
        open_levels, kind=config.kind, value_range=config.value_ends, classes=config.class_names
    )


def _vectorised(name: str, files: Rasters, config: Vectorise, progress: Progress) -> SceneOutcome:
    open_raster = _opened(config)
    with open_raster(files["probability"]) as levels:
        if levels.remark is not None:
            _LOG.warning("%s", levels.remark)
        pixel = pixel_size(levels, config.pixel_size)
        height, width = levels.height, levels.width
    progress.scene(name, len(list(split(height, width, AT_ONCE))))
    lines = vectorise(
        name,
        files,
        open_raster,
        config,
        config.one_threshold,
        config.output / name,
        pixel,
        overwrite=config.overwrite,
        progress=partial(progress.tiles, name),
    )
    return SceneOutcome(
        name,
        shown(files["probability"]),
        height,
        width,
        files={**files, **lines.files},
        open_raster=open_raster,
        pixel=pixel,
        lines=lines.found,
    )
