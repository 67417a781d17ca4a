"""The lines of all scenes of a batch as one network."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from pipelines.config.lines import LineSettings
from pipelines.lines.files import STEM
from pipelines.lines.mosaic import Mosaic, Piece, on_one_grid
from pipelines.lines.vectorise import digests, kept_lines, made, note_of
from pipelines.results.failure import failure_line
from pipelines.results.lines import JoinedLines
from pipelines.results.outcome import OpenRaster, SceneOutcome
from pipelines.results.report import Report
from pipelines.results.this_run import Failure
from tiling.lines.walk import AT_ONCE
from tiling.masks.mask import threshold_level
from tiling.scenes.ground import pixel_size
from tiling.scenes.names import shown

_LOG = logging.getLogger("rurnet")


def with_joined(
    report: Report,
    outcomes: Sequence[SceneOutcome],
    settings: LineSettings,
    threshold: float,
    folder: Path,
    open_raster: OpenRaster,
    pixel_told: float | None,
    *,
    overwrite: bool = False,
) -> Report:
    """A report with the lines of all its scenes, which are made; a failure is one of the report.

    Args:
        report: Of the outcomes.
        outcomes: Of the scenes.
        settings: What is asked for.
        threshold: Of scenes that have none of their own.
        folder: Where the lines go.
        open_raster: Opens a raster of a scene.
        pixel_told: Side of a pixel in metres, as somebody told it.
        overwrite: Make them anew in any case.
    """
    try:
        pieces = [
            _piece(outcome, threshold, open_raster)
            for outcome in outcomes
            if outcome.done and outcome.lines is not None
        ]
        joined = join(pieces, settings, folder, pixel_told, overwrite=overwrite)
    except Exception as error:  # Whatever it is, the scenes' own lines are there.
        name = shown(folder / STEM)
        failure = Failure(name, failure_line(name, error, folder))
        return replace(report, failed=[*report.failed, failure])
    return replace(report, joined=joined)


def join(
    pieces: Sequence[Piece],
    settings: LineSettings,
    folder: Path,
    pixel_told: float | None = None,
    *,
    overwrite: bool = False,
    at_once: int = AT_ONCE,
    progress: Callable[[int], None] = lambda windows: None,
) -> JoinedLines | None:
    """Makes the lines of scenes as if they were one; None where no scene can be joined.

    Args:
        pieces: The scenes.
        settings: See `pipelines.lines.vectorise.vectorise`, as all that follow.
        folder: Where the lines go.
        pixel_told: Side of a pixel in metres; None measures it.
        overwrite: Make them anew in any case.
        at_once: Side of the windows that are read.
        progress: Is told of each window that is done.
    """
    alike, others = on_one_grid(pieces)
    if not alike:
        if others:
            _LOG.warning("lines were not joined: no scene has coordinates")
        return None
    left_out = [Failure(one.name, _why_left_out(one, alike[0])) for one in others]
    for failure in left_out:
        _LOG.warning("%s: %s", failure.input, failure.error)
    with closing(Mosaic(alike)) as mosaic:
        pixel = pixel_size(mosaic, pixel_told)
        scenes = {piece.name: digests(piece.files) for piece in alike}
        note = note_of(mosaic, settings, pixel, scenes=scenes)
        lines = None if overwrite else kept_lines(folder, settings.format, note)
        if lines is None:
            lines = made(
                mosaic, "", settings, folder, pixel, note, mosaic.with_scenes,
                at_once=at_once, progress=progress,
            )  # fmt: skip
    _LOG.info("joined: %s", lines.found)
    files = {kind: shown(path) for kind, path in lines.files.items()}
    return JoinedLines(lines.found, files, [piece.name for piece in alike], left_out)


def _piece(outcome: SceneOutcome, threshold: float, open_raster: OpenRaster) -> Piece:
    own = threshold if outcome.prediction is None else outcome.prediction.threshold
    with open_raster(outcome.files["probability"]) as levels:
        return Piece(
            outcome.name, outcome.files, open_raster, threshold_level(own),
            levels.crs, levels.transform, levels.height, levels.width, levels.graded,
        )  # fmt: skip


def _why_left_out(piece: Piece, first: Piece) -> str:
    """Why a scene is not joined with the others, and what to do."""
    if not piece.placed:
        return "has no coordinates, so nothing tells which scenes are its neighbours"
    why = "has pixels between those of"
    if piece.crs != first.crs:
        why = "has another CRS than"
    elif abs(piece.transform.determinant / first.transform.determinant - 1) > 1e-6:
        why = "has pixels of another size than"
    return (
        f"{why} {first.name}, so its lines are in its own file only; join scenes of one grid in "
        "a run of their own"
    )
