"""Turns rasters that exist into lines, from configuration to report."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipelines.config.lines import Vectorise
from pipelines.config.scoring import ScoringSettings
from pipelines.errors import DataError
from pipelines.evaluation.predictions import chosen_rasters, predicted_runs
from pipelines.lines.vectorise import vectorise
from pipelines.report.build import THERE, build_report, shown_settings
from pipelines.report.write import write_report
from pipelines.results.failure import failure_line
from pipelines.results.levels import open_levels
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Progress
from pipelines.results.result import Result
from pipelines.runtime.disk import refusals_named
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
    with refusals_named(config.output, "choose another --output"):
        config.output.mkdir(parents=True, exist_ok=True)
    scenes = runs[0].scenes
    progress.expect(dict.fromkeys(scenes))

    def work(name: str) -> SceneOutcome:
        try:
            outcome = _vectorised(name, scenes[name], config, progress)
        except Exception as error:  # Whatever it is, the other scenes go on.
            source = shown(scenes[name]["probability"])
            line = failure_line(source, error, config.output)
            outcome = SceneOutcome(name, source, error=line)
        progress.finished(outcome)
        return outcome

    outcomes = [progress.around(name, partial(work, name)) for name in scenes]
    scoring = ScoringSettings(threshold=config.threshold)
    seconds = time.perf_counter() - start
    report = build_report(outcomes, scoring, counted=THERE, seconds=seconds)
    report = replace(report, settings=shown_settings(config.model_dump(mode="json")))
    write_report(config.output, report, outcomes)
    return Result(report, config.output, report.failed)


def _vectorised(
    name: str, every: Mapping[str, Path | str], config: Vectorise, progress: Progress
) -> SceneOutcome:
    files = chosen_rasters(every, config.kind)
    opened = partial(
        open_levels, kind=config.kind, value_range=config.value_ends, classes=config.class_names
    )
    with opened(files["probability"]) as levels:
        if levels.remark is not None:
            _LOG.warning("%s", levels.remark)
        pixel = pixel_size(levels, config.pixel_size)
        height, width = levels.height, levels.width
    progress.scene(name, len(list(split(height, width, AT_ONCE))))
    lines = vectorise(
        name,
        files,
        opened,
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
        open_raster=opened,
        pixel=pixel,
        lines=lines.found,
    )
