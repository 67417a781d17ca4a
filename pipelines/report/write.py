"""Writes a report's files, each whole or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.report.figures import write_figures
from pipelines.report.page import render_page
from pipelines.report.previews import previews
from pipelines.report.table import as_csv
from pipelines.results.outcome import SceneOutcome
from pipelines.results.report import Report, as_json
from tiling.disk import appearing
from tiling.mask import threshold_level


def write_report(folder: Path, report: Report, outcomes: Sequence[SceneOutcome]) -> Path:
    """Writes `report.json`, `scores.csv` and `report.html`, and figures where asked for.

    Args:
        folder: Where to; it is made.
        report: From `pipelines.report.build.build_report`.
        outcomes: Those it was built from, for pictures.

    Returns:
        `folder/report.html`.

    Raises:
        PipelineError: The disk refuses.
    """
    html = folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "report.json", json.dumps(as_json(report), indent=2) + "\n")
        _write(folder / "scores.csv", as_csv(report))
        level = threshold_level(report.scoring.threshold)
        _write(html, render_page(report, previews(outcomes, report, level)))
        if report.settings["figures"]:
            write_figures(folder, report)
    except OSError as error:
        raise PipelineError(
            f"{folder}: the report cannot be written ({error}); free some space or choose "
            "another --output"
        ) from error
    return html


def _write(path: Path, text: str) -> None:
    with appearing(path) as partial:
        partial.write_text(text, encoding="utf-8")
