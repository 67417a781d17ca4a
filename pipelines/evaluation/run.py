"""Scores predicted rasters, ours or another tool's, from configuration to report."""

import logging
import time
from functools import partial

from pipelines.config.evaluation import Evaluate
from pipelines.errors import DataError, PredictionError
from pipelines.evaluation.annotations import (
    annotations_of,
    clear_caches,
    field_of,
    image_of,
    within_field,
)
from pipelines.evaluation.comparison import compared
from pipelines.evaluation.networks import evaluate_lines, line_files
from pipelines.evaluation.predictions import (
    PredictedRun,
    chosen_rasters,
    last_step,
    predicted_runs,
)
from pipelines.evaluation.scenes import Rasters, each_scene, make_output
from pipelines.evaluation.scoring import AT_ONCE, score
from pipelines.inputs.label_checks import check_fits
from pipelines.inputs.labels import labelling_of, open_label
from pipelines.report.build import IN_FIELD, THERE, build_report, failures
from pipelines.report.write import write_report
from pipelines.results.layout import steps_in
from pipelines.results.levels import Kind, open_levels
from pipelines.results.outcome import OpenRaster, SceneOutcome
from pipelines.results.progress import Progress
from pipelines.results.result import Result
from tiling.masks.mask import threshold_level
from tiling.scenes.ground import pixel_size
from tiling.scenes.names import shown
from tiling.window import split

_LOG = logging.getLogger("rurnet")


def evaluate(config: Evaluate, progress: Progress) -> Result:
    """Scores one run, or two and how they differ.

    Raises:
        DataError: A folder is missing or holds no raster, or two rasters are of one scene.
        PipelineError: The report cannot be written.
    """
    start = time.perf_counter()
    clear_caches()  # Files may have changed since an earlier run.
    for option, folder in (
        ("labels", config.labels), ("fov", config.fov), ("second", config.second),
        ("images", config.images),
    ):  # fmt: skip
        if folder is not None and not folder.exists():
            raise DataError(f"{folder}: no such folder; check --{option}")
    if files := line_files(config.predictions):
        make_output(config.output)
        return evaluate_lines(config, files, progress)
    runs = predicted_runs(config.predictions)
    make_output(config.output)
    classes = config.class_names or _classes(runs[0], config)
    # The second run is scored without its steps and without the second observer.
    settings = [config, config.model_copy(update={"second": None})]
    first, *others = (
        _evaluated(run, classes, of_run, progress)
        for run, of_run in zip([runs[0], *map(last_step, runs[1:])], settings, strict=False)
    )
    comparison = None
    if others:
        level = threshold_level(config.one_threshold)
        comparison = compared(runs[0].name, first, runs[1].name, others[0], level, classes)
    report = build_report(
        first,
        config,
        counted=THERE if config.fov is None else IN_FIELD,
        classes=classes,
        seconds=time.perf_counter() - start,
        comparison=comparison,
        failed=[failure for outcomes in others for failure in failures(outcomes)],
    )
    write_report(config.output, report, first, others[0] if others else ())
    return Result(report, config.output, report.failed)


def _classes(run: PredictedRun, config: Evaluate) -> tuple[str, ...]:
    """Names of the foreground classes, as the first raster that can be read has them."""
    for files in run.scenes.values():
        try:
            path = chosen_rasters(files, config.kind)["probability"]
            with open_levels(path, config.kind, config.value_ends) as levels:
                return levels.classes
        except Exception:  # Reported where it is scored.
            continue
    return ("foreground",)


def _kind(run: PredictedRun, classes: tuple[str, ...], config: Evaluate) -> Kind:
    """The kind of a run's rasters: masks, unless one of them can only hold probabilities.

    They are looked at together: probabilities with hardly any foreground look like a mask.
    """
    if config.kind != "auto":
        return config.kind
    doubtful = False
    for files in run.scenes.values():
        try:
            opened = open_levels(files["probability"], "auto", config.value_ends, classes)
            with opened as levels:
                if levels.graded:
                    return "probability"
        except PredictionError:
            doubtful = True
        except Exception:
            continue  # Reported where it is scored.
    return "auto" if doubtful else "mask"


def _evaluated(
    run: PredictedRun, classes: tuple[str, ...], config: Evaluate, progress: Progress
) -> list[SceneOutcome]:
    """The outcome of each scene of a run."""
    config = config.model_copy(update={"kind": _kind(run, classes, config)})

    def work(name: str, files: Rasters) -> SceneOutcome:
        return _scored(name, files, classes, config, progress)

    return each_scene(run, config.kind, work, config.output, progress)


def _scored(
    name: str,
    files: Rasters,
    classes: tuple[str, ...],
    config: Evaluate,
    progress: Progress,
) -> SceneOutcome:
    opened: OpenRaster = partial(
        open_levels, kind=config.kind, value_range=config.value_ends, classes=classes
    )
    raster = files["probability"]
    labelling = labelling_of(len(classes) + 1, config.ignored_values, config, config.pixel_size)
    # The raster is opened first: a misspelt name is to be reported, not its lack of a label.
    with opened(raster) as levels:
        if levels.remark is not None:
            _LOG.warning("%s", levels.remark)
        found = annotations_of(name, raster, config)
        remarks: tuple[str, ...] = ()
        if found.field is not None:
            shape = levels.height, levels.width
            _, remarks = field_of(found.field, shape, found.image)
            opened = partial(within_field, opened, found, shape)
        for remark in remarks:
            _LOG.warning("%s", remark)
        with (
            open_label(found.label, labelling, levels) as label,
            open_label(found.second, labelling, levels) as second,
        ):
            assert label is not None
            for drawn in (label, second):
                if drawn is not None:
                    check_fits(drawn, levels)
            rasters = max(1, len(steps_in(files))) + (second is not None)
            windows = list(split(levels.height, levels.width, AT_ONCE))
            progress.scene(name, rasters * len(windows))
            scores = score(
                files, opened, label, second, config, partial(progress.tiles, name),
                pixel_told=config.pixel_size,
            )  # fmt: skip
            return SceneOutcome(
                name,
                shown(raster),
                levels.height,
                levels.width,
                files=files,
                image=image_of(found, raster, name, (levels.height, levels.width)),
                label=str(found.label),
                labelling=labelling,
                open_raster=opened,
                pixel=pixel_size(levels, config.pixel_size),
                remarks=(*remarks, *scores.remarks),
                scores=scores,
            )
