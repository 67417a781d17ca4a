"""The scenes of a run whose rasters exist, one after the other."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from pipelines.evaluation.predictions import PredictedRun, chosen_rasters
from pipelines.results.failure import failure_line
from pipelines.results.levels import Kind
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Progress
from pipelines.runtime.disk import refusals_named
from tiling.scenes.names import shown

Rasters = Mapping[str, Path | str]
"""Of a scene, by what they are: "probability" is the one to work on, whatever it holds."""


def make_output(folder: Path) -> None:
    """Makes the output's folder, before an hour of work ends with one that cannot be made.

    Raises:
        PipelineError: The disk refuses.
    """
    with refusals_named(folder, "choose another --output"):
        folder.mkdir(parents=True, exist_ok=True)


def each_scene(
    run: PredictedRun,
    kind: Kind,
    work: Callable[[str, Rasters], SceneOutcome],
    folder: Path,
    progress: Progress,
) -> list[SceneOutcome]:
    """Does the work of each scene; what goes wrong with one ends that one alone.

    Args:
        run: Its scenes.
        kind: Which of their rasters are taken.
        work: Gets the name of a scene and its rasters.
        folder: Takes the log of failures.
        progress: Is told of the scenes.
    """
    progress.expect(dict.fromkeys(run.scenes))

    def guarded(name: str) -> SceneOutcome:
        files = chosen_rasters(run.scenes[name], kind)
        try:
            outcome = work(name, files)
        except Exception as error:  # Whatever it is, the other scenes go on.
            source = shown(files["probability"])
            outcome = SceneOutcome(name, source, error=failure_line(source, error, folder))
        progress.finished(outcome)
        return outcome

    return [progress.around(name, partial(guarded, name)) for name in run.scenes]
