"""Scores predicted rasters, ours or another tool's, from configuration to report."""

import glob
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.assemble import STEP, steps_in
from pipelines.config import Evaluate
from pipelines.errors import DataError, LabelError, PipelineError, PredictionError
from pipelines.field import field_of_view
from pipelines.jobs import FIELD_SEEN_AT, expanded, rasters_in, stem_of
from pipelines.labels import (
    EXTENSIONS,
    FIELD,
    FIRST,
    SECOND,
    Labelling,
    check_fits,
    find_label,
    name_of,
    open_label,
)
from pipelines.levels import Kind, RasterLevels, at_size, open_levels
from pipelines.outcome import Progress, SceneOutcome
from pipelines.report.contents import IN_FIELD, THERE, Comparison, Result, build_report
from pipelines.report.figures import FIGURES
from pipelines.report.write import write_report
from pipelines.scores.intervals import differences
from pipelines.scores.scores import per_scene
from pipelines.scoring import AT_ONCE, score
from tiling.errors import TilingError
from tiling.files import open_scene
from tiling.mask import threshold_level
from tiling.raster import is_local
from tiling.window import Window, split

_OURS = ("probability", "mask")
"""What our rasters are called; the folder they lie in has the scene's name."""


@dataclass(frozen=True)
class _Run:
    """Rasters that were predicted, by scene and by what they are ("probability", ...)."""

    name: str
    scenes: Mapping[str, Mapping[str, Path]]


def evaluate(config: Evaluate, progress: Progress) -> Result:
    """Scores one run, or two and how they differ.

    Raises:
        DataError: A folder is missing or holds no raster, or two rasters are of one scene.
        PipelineError: The report cannot be written.
    """
    start = time.perf_counter()
    _field.cache_clear()  # Of a run before, whose files may have changed since.
    for option, folder in (
        ("labels", config.labels), ("fov", config.fov), ("second", config.second),
        ("images", config.images),
    ):  # fmt: skip
        if folder is not None and not folder.is_dir():
            raise DataError(f"{folder}: no such folder; check --{option}")
    runs = _runs(config.predictions)
    _make(config.output)
    classes = config.class_names or _classes(runs[0], config)
    # Of the second run neither steps nor observer are asked for.
    settings = [config, config.model_copy(update={"second": None})]
    every = [
        _evaluated(run, classes, of_run, progress)
        for run, of_run in zip([runs[0], *map(_last_step, runs[1:])], settings, strict=False)
    ]
    comparison = None
    if len(runs) == 2:
        comparison = _comparison(runs, every, classes, threshold_level(config.threshold))
    report = build_report(
        every[0],
        config,
        counted=THERE if config.fov is None else IN_FIELD,
        classes=classes,
        seconds=time.perf_counter() - start,
        comparison=comparison,
    )
    for outcomes in every[1:]:
        report["failed"] += [
            {"input": outcome.source, "error": outcome.error}
            for outcome in outcomes
            if outcome.error is not None
        ]
    write_report(config.output, report, every[0])
    return Result(report, config.output)


def _make(folder: Path) -> None:
    """Makes the output's folder, before an hour of scoring ends with one that cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(
            f"{folder}: cannot be made ({error}); choose another --output"
        ) from error


def _runs(predictions: Sequence[str]) -> list[_Run]:
    """One run, or two that are to be compared."""
    for name in predictions:
        if is_local(name) and not glob.has_magic(name) and not Path(name).exists():
            raise DataError(f"{name}: no such file or folder; check the path")
    folders = [name for name in predictions if Path(name).is_dir()]
    if folders:
        if len(folders) != len(predictions) or len(folders) > 2:
            raise DataError(
                f"{', '.join(predictions)}: give one folder, two that are to be compared, "
                "or rasters"
            )
        return [_Run(folder, _in_folder(Path(folder))) for folder in folders]
    paths = [Path(name) for name in expanded(predictions, rasters_in)]  # Globs.
    scenes = [(_scene_of(path), {"probability": path}) for path in paths]
    if len(scenes) == 2 and scenes[0][0] == scenes[1][0]:
        return [_Run(str(files["probability"]), {scene: files}) for scene, files in scenes]
    return [_Run(predictions[0], _by_scene(scenes))]


def _in_folder(folder: Path) -> dict[str, dict[str, Path]]:
    """The scenes of a folder that was inferred to, or of one of rasters."""
    inferred = [_inferred(inside) for inside in (folder, *sorted(folder.iterdir()))]
    if ours := [scene for scene in inferred if scene is not None]:
        return _by_scene(ours)
    paths = [path for path in map(Path, rasters_in(folder, EXTENSIONS)) if path.stem not in FIGURES]
    if not paths:
        raise DataError(
            f"{folder}: no predicted rasters in it ({', '.join(EXTENSIONS)}); check the path"
        )
    return _by_scene([(path.stem, {"probability": path}) for path in paths])


def _inferred(folder: Path) -> tuple[str, dict[str, Path]] | None:
    """The rasters of a folder of ours; a mask stands for probabilities that are not there."""
    files = {path.stem: path for path in sorted(folder.glob("*.tif"))}
    if not set(_OURS) & set(files):
        return None
    if "probability" not in files:
        files["probability"] = files["mask"]
    return folder.resolve().name, files


def _scene_of(path: Path) -> str:
    ours = path.stem in _OURS or path.stem.startswith(STEP)
    return path.resolve().parent.name if ours else stem_of(str(path))


def _by_scene(scenes: Sequence[tuple[str, dict[str, Path]]]) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for scene, files in scenes:
        if scene in found:
            raise DataError(
                f"{found[scene]['probability']} and {files['probability']} are both of scene "
                f"{scene}; leave one out"
            )
        found[scene] = files
    return found


def _last_step(run: _Run) -> _Run:
    """The same without the rasters of its recurrent steps."""
    return _Run(
        run.name,
        {
            scene: {kind: path for kind, path in files.items() if kind in _OURS}
            for scene, files in run.scenes.items()
        },
    )


def _chosen(files: Mapping[str, Path], config: Evaluate) -> dict[str, Path]:
    """Without what is not to be scored: of a mask there are no steps."""
    if config.kind == "mask" and "mask" in files:
        return {"probability": files["mask"]}
    return dict(files)


def _classes(run: _Run, config: Evaluate) -> tuple[str, ...]:
    """Names of the foreground classes, as the first raster that can be read has them."""
    for files in run.scenes.values():
        try:
            path = _chosen(files, config)["probability"]
            with open_levels(path, config.kind, config.value_ends) as levels:
                return levels.classes
        except (TilingError, PipelineError):
            continue
    return ("foreground",)


def _kind(run: _Run, classes: tuple[str, ...], config: Evaluate) -> Kind:
    """Whether a run holds masks: where not one of its rasters must be of probabilities.

    Asked of all of them together, for a scene with next to nothing in it looks like a mask.
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
        except TilingError:
            continue  # Said where it is scored.
    return "auto" if doubtful else "mask"


def _evaluated(
    run: _Run, classes: tuple[str, ...], config: Evaluate, progress: Progress
) -> list[SceneOutcome]:
    """What comes of each scene of a run."""
    config = config.model_copy(update={"kind": _kind(run, classes, config)})
    outcomes = []
    for scene, every in run.scenes.items():
        files = _chosen(every, config)
        outcome = SceneOutcome(scene, str(files["probability"]), files=files)
        try:
            _score(outcome, classes, config, progress)
        except (TilingError, PipelineError) as error:
            outcome.error = str(error)
        progress.finished(outcome)
        outcomes.append(outcome)
    return outcomes


def _score(
    outcome: SceneOutcome, classes: tuple[str, ...], config: Evaluate, progress: Progress
) -> None:
    opened = partial(open_levels, kind=config.kind, value_range=config.value_ends, classes=classes)
    # Opened first, or a mistyped name would be said to lack a label.
    with opened(outcome.files["probability"]) as levels:
        drawn, second, field = _annotations(outcome, config)
        outcome.labelling = Labelling(len(classes) + 1, config.ignored_values)
        outcome.label = str(drawn)
        outcome.height, outcome.width = shape = levels.height, levels.width
        outcome.open_raster = opened if field is None else partial(_within, opened, field, shape)
        with (
            open_label(drawn, outcome.labelling) as label,
            open_label(second, outcome.labelling) as other,
        ):
            assert label is not None
            for one in (label, other):
                if one is not None:
                    check_fits(one, levels)
            rasters = max(1, len(steps_in(outcome.files))) + (other is not None)
            windows = list(split(levels.height, levels.width, AT_ONCE))
            progress.scene(outcome.name, rasters * len(windows))
            score(outcome, label, other, config, partial(progress.tiles, outcome.name))


def _annotations(outcome: SceneOutcome, config: Evaluate) -> tuple[Path, Path | None, Path | None]:
    """Label, second observer's label and field of view of a scene; its image is noted.

    Raises:
        LabelError: One that was asked for is not there.
    """

    def wanted(folder: Path, what: str, names: Sequence[str], other_than: str | None) -> Path:
        path = find_label(folder, outcome.name, names, other_than)
        if path is None:
            called = dict.fromkeys(name_of(pattern, outcome.name) for pattern in names)
            raise LabelError(
                f"{outcome.name}: no {what} of this name in {folder} ({', '.join(called)}); add "
                "or rename it, or score without this raster"
            )
        return path

    drawn = wanted(config.labels, "label", FIRST, outcome.source)
    second = field = None
    if config.second is not None:
        second = wanted(config.second, "second observer's label", SECOND, str(drawn))
    if config.fov is not None:
        field = wanted(config.fov, "field of view", FIELD, None)
    if config.images is not None:
        image = find_label(config.images, outcome.name, ("{stem}",))
        outcome.image = str(image) if image else None
    return drawn, second, field


def _within(
    opened: Callable[..., AbstractContextManager[RasterLevels]],
    field: Path,
    shape: tuple[int, int],
    raster: Path,
) -> AbstractContextManager[RasterLevels]:
    """A raster that counts inside a field of view only."""
    levels: AbstractContextManager[RasterLevels] = opened(raster, field=_field(field, shape))
    return levels


# The last one only: all fields of a large set would fill the memory.
@lru_cache(maxsize=1)
def _field(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A field of view [h, w]: that of a mask, or found in a photograph."""
    with open_scene(path, bands=None) as scene:
        if (scene.height, scene.width) != shape:
            raise LabelError(
                f"{path}: {scene.width} x {scene.height} pixels, but its image has "
                f"{shape[1]} x {shape[0]}; give the one made for this image"
            )
        pixels, _ = scene.overview(FIELD_SEEN_AT)
        if scene.bands >= 3 and not np.isin(pixels, (0, 255)).all():
            found: NDArray[np.bool_] = at_size(field_of_view(pixels[:3]), shape)
            return found
        if scene.dtype.kind == "f":
            raise LabelError(f"{path}: floats are no mask; give one of 0 and 255, or a photograph")
        pixels, valid = scene.read(Window(0, 0, *shape))
    mask: NDArray[np.bool_] = (pixels[0] > 0) & valid
    return mask


def _comparison(
    runs: Sequence[_Run],
    every: Sequence[Sequence[SceneOutcome]],
    classes: Sequence[str],
    level: int,
) -> Comparison | None:
    """How the second run differs on the scenes that both have; None where there is none."""
    first, second = (
        {outcome.name: outcome.counts for outcome in outcomes if outcome.counts is not None}
        for outcomes in every
    )
    scenes = [scene for scene in first if scene in second]
    if not scenes:
        return None
    a, b = ([counts[scene] for scene in scenes] for counts in (first, second))
    f1 = (per_scene(counts, level, classes)["foreground.f1"].tolist() for counts in (a, b))
    return Comparison(
        runs[0].name, runs[1].name, differences(a, b, level, classes),
        list(zip(scenes, *f1, strict=True)),
        sorted({*runs[0].scenes, *runs[1].scenes} - {*scenes}),
        [s for s in scenes if first[s].strict[0].sum() != second[s].strict[0].sum()],
    )  # fmt: skip
