"""What a flow run shows in Prefect: its progress, its scores, and where its report lies."""

import threading
import time
from typing import TYPE_CHECKING, cast
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

if TYPE_CHECKING:
    from pipelines.results.outcome import SceneOutcome
    from pipelines.results.result import Result

_UPDATE_EVERY_S = 2.0


class ArtifactProgress:
    """A progress artifact of the flow run: the share of tiles done, of scenes that have begun."""

    def __init__(self) -> None:
        self._artifact: UUID | None = None
        self._total, self._done, self._last = 0, 0, 0.0
        self._lock = threading.Lock()

    def scene(self, name: str, tiles: int) -> None:
        """See `pipelines.results.progress.Progress`."""
        with self._lock:
            self._total += tiles
            if self._artifact is None:
                made = create_progress_artifact(
                    0.0, description="tiles of the scenes that have begun"
                )
                self._artifact = cast(UUID, made)  # A coroutine only if called from one.

    def tiles(self, name: str, done: int) -> None:
        """See `pipelines.results.progress.Progress`."""
        with self._lock:
            self._done += done
            if time.monotonic() - self._last >= _UPDATE_EVERY_S:
                self._update()

    def finished(self, outcome: "SceneOutcome") -> None:
        """See `pipelines.results.progress.Progress`."""
        with self._lock:
            self._update()

    def _update(self) -> None:
        self._last = time.monotonic()
        if self._artifact is not None:
            percent = min(100.0, 100.0 * self._done / max(1, self._total))
            update_progress_artifact(self._artifact, progress=percent)


def leave_artifacts(name: str, result: "Result") -> None:
    """Leaves the scores as a table, and the outcome in words.

    Args:
        name: Of the flow.
        result: Of its run.
    """
    # Imported here: it loads torch, which must find its environment set.
    from pipelines.report.columns import TERMINAL
    from pipelines.report.table import rows

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
    lines += [f"- left out: {skipped.error}" for skipped in report.skipped]
    lines += [
        f"- dry run: {one.name}: {one.tiles} tiles, {one.parts} parts, {one.seconds:.0f} s, "
        f"at most {one.memory / 1e9:.1f} GB of memory and {one.disk / 1e9:.2f} GB of disk"
        for one in result.estimates or []
        if one.done
    ]
    if scores:
        lines += ["", "| " + " | ".join(scores[0]) + " |", "|---" * len(scores[0]) + "|"]
        lines += ["| " + " | ".join(map(_cell, score.values())) + " |" for score in scores]
    create_markdown_artifact("\n".join(lines), key=f"{name}-report")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _cell(value: str | float | None) -> str:
    return "–" if value is None else str(value)
