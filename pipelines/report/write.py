"""Writes a report's files, each whole or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipelines.report.previews import Picture, previews
from pipelines.report.table import as_csv
from pipelines.results.outcome import SceneOutcome
from pipelines.results.report import Report, as_json
from pipelines.runtime.disk import refusals_named
from pipelines.scores.scores import score_at
from tiling.disk import appearing
from tiling.masks.mask import threshold_level


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
    # Imported here: matplotlib takes a second, which the first tile need not wait for.
    from pipelines.report.figures import write_figures
    from pipelines.report.page import render_page

    html = folder / "report.html"
    with refusals_named(folder, "free some space for the report or choose another --output"):
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "report.json", json.dumps(as_json(report), indent=2) + "\n")
        _write(folder / "scores.csv", as_csv(report))
        _write(html, render_page(report, _pictures(report, outcomes)))
        if report.settings["figures"]:
            write_figures(folder, report)
    return html


def _pictures(report: Report, outcomes: Sequence[SceneOutcome]) -> list[Picture]:
    f1 = {scene.name: score_at(scene.scores, "foreground.f1") for scene in report.scenes}
    bands = report.settings.get("bands")
    chosen = [int(band) for band in bands.split(",")] if bands else None
    return previews(outcomes, f1, threshold_level(report.scoring.threshold), chosen)


def _write(path: Path, text: str) -> None:
    with appearing(path) as partial:
        partial.write_text(text, encoding="utf-8")
