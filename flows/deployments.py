"""The Prefect flows and their deployments, each of the flow's own name."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from prefect import Flow, get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.command import Config, Run, checked, with_fields
from flows.progress import LogProgress, ManyProgress
from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferDrive, InferRoads
from pipelines.config.training import TrainDrive, TrainFolder, TrainRoads
from pipelines.evaluation.run import evaluate as run_evaluate
from pipelines.inference.run import infer_drive as run_infer_drive
from pipelines.inference.run import infer_roads as run_infer_roads
from pipelines.report.columns import TERMINAL
from pipelines.report.table import rows
from pipelines.results.outcome import SceneOutcome
from pipelines.results.result import Result

_UPDATE_EVERY_S = 2.0


class ArtifactProgress:
    """A progress artifact of the flow run: the percentage of the tiles of the scenes begun."""

    def __init__(self) -> None:
        self._artifact: UUID | None = None
        self._total, self._done, self._last = 0, 0, 0.0
        self._lock = threading.Lock()

    def scene(self, name: str, tiles: int) -> None:
        """See `pipelines.results.progress.Progress`."""
        with self._lock:
            self._total += tiles
            if self._artifact is None:
                made = create_progress_artifact(0.0, description="tiles of the scenes begun")
                self._artifact = cast(UUID, made)  # No coroutine: not called from one.

    def tiles(self, name: str, done: int) -> None:
        """See `pipelines.results.progress.Progress`."""
        with self._lock:
            self._done += done
            if time.monotonic() - self._last >= _UPDATE_EVERY_S:
                self._update()

    def finished(self, outcome: SceneOutcome) -> None:
        """See `pipelines.results.progress.Progress`."""
        with self._lock:
            self._update()

    def _update(self) -> None:
        self._last = time.monotonic()
        if self._artifact is not None:
            percent = min(100.0, 100.0 * self._done / max(1, self._total))
            update_progress_artifact(self._artifact, progress=percent)


def _flow(name: str, config: type[Config], run: Run[Config]) -> Flow[..., Result]:
    """A flow whose parameters are the fields of a configuration."""

    def body(values: Config) -> Result:
        logging.getLogger("rurnet").setLevel(logging.INFO)
        progress = ManyProgress([LogProgress(get_run_logger()), ArtifactProgress()])
        result = run(values, progress)
        _leave_artifacts(name, result)
        return checked(result)

    function = with_fields(config, body)
    # Where a worker finds the flow again: a name of this module.
    function.__module__ = __name__
    function.__name__ = function.__qualname__ = name.replace("-", "_")
    return Flow(function, name=name, persist_result=False)


def _leave_artifacts(name: str, result: Result) -> None:
    """Scores as a table, and the outcome in words."""
    report = result.report
    scores = [
        {"scene": scene, **{title: _rounded(values.get(path)) for title, path in TERMINAL.items()}}
        for scene, values in rows(report)
    ]
    counted = report.scoring.counted
    create_table_artifact(scores, key=f"{name}-scores", description=f"Scores: {counted}")
    lines = [f"# {name}", "", f"Report: `{result.folder.resolve() / 'report.html'}`", ""]
    for path in result.trained:
        lines += [f"Weights: `{path.resolve()}`", ""]
    lines.append(f"{len(report.scenes)} done, {len(result.failed)} failed.")
    lines += ["", *(f"- failed: {failure.error}" for failure in result.failed)]
    lines += [
        f"- dry run: {one.name}: {one.tiles} tiles, {one.parts} parts, {one.seconds:.0f} s, "
        f"at most {one.memory / 1e9:.1f} GB of memory and {one.disk / 1e9:.2f} GB of disk"
        for one in result.estimates or []
        if one.error is None
    ]
    if scores:
        lines += ["", "| " + " | ".join(scores[0]) + " |", "|---" * len(scores[0]) + "|"]
        lines += ["| " + " | ".join(map(_cell, score.values())) + " |" for score in scores]
    create_markdown_artifact("\n".join(lines), key=f"{name}-report")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _cell(value: str | float | None) -> str:
    return "–" if value is None else str(value)


def _train_roads(config: TrainRoads, progress: Any) -> Result:
    # Lightning and MONAI take seconds to import: only where something is trained.
    from pipelines.training.run import train_roads as run_train_roads

    return run_train_roads(config, progress)


def _train_drive(config: TrainDrive, progress: Any) -> Result:
    from pipelines.training.run import train_vessels

    return train_vessels(config, progress)


def _train_folder(config: TrainFolder, progress: Any) -> Result:
    from pipelines.training.run import train_folder as run_train_folder

    return run_train_folder(config, progress)


infer_roads = _flow("infer-roads", InferRoads, run_infer_roads)
infer_drive = _flow("infer-drive", InferDrive, run_infer_drive)
train_roads = _flow("train-roads", TrainRoads, _train_roads)
train_drive = _flow("train-drive", TrainDrive, _train_drive)
train_folder = _flow("train-folder", TrainFolder, _train_folder)
evaluate = _flow("evaluate", Evaluate, run_evaluate)

FLOWS: dict[str, Callable[..., Result]] = {
    "infer-roads": infer_roads,
    "infer-drive": infer_drive,
    "train-roads": train_roads,
    "train-drive": train_drive,
    "train-folder": train_folder,
    "evaluate": evaluate,
}


def deployments() -> list[RunnerDeployment]:
    """One deployment per flow, named like it."""
    made = []
    for one in (infer_roads, infer_drive, train_roads, train_drive, train_folder, evaluate):
        deployment = one.to_deployment(
            name=one.name,
            description=one.description,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        made.append(cast(RunnerDeployment, deployment))
    return made
