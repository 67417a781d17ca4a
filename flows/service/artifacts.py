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
    from pipelines.report.result import Result
    from pipelines.results.outcome import SceneOutcome

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
    from pipelines.report.table import SHOWN, rows

    report = result.report
    scores = [
        {"scene": scene, **{title: _rounded(values.get(path)) for title, path in SHOWN.items()}}
        for scene, values in rows(report)
    ]
    counted = report["scoring"]["counted"]
    create_table_artifact(scores, key=f"{name}-scores", description=f"Scores: {counted}")
    lines = [f"# {name}", "", f"Report: `{result.folder.resolve() / 'report.html'}`", ""]
    for path in result.trained:
        lines += [f"Weights: `{path.resolve()}`", ""]
    lines.append(f"{len(report['scenes'])} done, {len(report['failed'])} failed.")
    lines += ["", *(f"- failed: {failure['error']}" for failure in report["failed"])]
    lines += [
        f"- dry run: {plan.name}: {plan.tiles} tiles, {plan.parts} parts, {plan.seconds:.0f} s, "
        f"at most {plan.memory / 1e9:.1f} GB of memory and {plan.disk / 1e9:.2f} GB of disk"
        for plan in result.plans or []
        if plan.error is None
    ]
    if scores:
        lines += ["", "| " + " | ".join(scores[0]) + " |", "|---" * len(scores[0]) + "|"]
        lines += ["| " + " | ".join(map(_cell, score.values())) + " |" for score in scores]
    create_markdown_artifact("\n".join(lines), key=f"{name}-report")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _cell(value: str | float | None) -> str:
    return "–" if value is None else str(value)
