"""Writes a report's files, each whole or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipelines.report.measured import FILES, measured_files
from pipelines.report.places import place_pictures
from pipelines.report.previews import BYTES, Picture, level_shown, previews
from pipelines.report.table import as_csv
from pipelines.report.zoom.placed import placed
from pipelines.report.zoom.pyramid import pyramids
from pipelines.results.outcome import SceneOutcome
from pipelines.results.report import Report, as_json
from pipelines.runtime.disk import refusals_named
from pipelines.scores.scores import score_at
from tiling.disk import appearing, remove_abandoned


def write_report(
    folder: Path,
    report: Report,
    outcomes: Sequence[SceneOutcome],
    others: Sequence[SceneOutcome] = (),
) -> Path:
    """Writes the report, its tables, and figures where asked for.

    These are `report.json`, `scores.csv`, `tables.xlsx` and `report.html`; of what was measured,
    the files of `pipelines.report.measured`; `errors.gpkg` where scenes with coordinates were
    scored; and tiles of the scenes where there is no room for them in the page.

    Args:
        folder: Where to; it is made.
        report: From `pipelines.report.build.build_report`.
        outcomes: Those it was built from, for pictures.
        others: Of a run that is compared with.

    Returns:
        `folder/report.html`.

    Raises:
        PipelineError: The disk refuses.
    """
    # Imported here: matplotlib takes a second, which the first tile need not wait for.
    from pipelines.report.errors import write_errors
    from pipelines.report.figures import write_figures
    from pipelines.report.files.workbook import workbook
    from pipelines.report.page import render_page

    html = folder / "report.html"
    with refusals_named(folder, "free some space for the report or choose another --output"):
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "report.json", json.dumps(as_json(report), indent=2) + "\n")
        remove_abandoned(folder, folder / "report.json")
        scores = as_csv(report)
        _write(folder / "scores.csv", scores)
        tables = measured_files(report, outcomes)
        with appearing(folder / "tables.xlsx") as partial:
            partial.write_bytes(workbook({"scores.csv": scores, **tables}, report.created))
        for name in FILES:
            if name in tables:
                _write(folder / name, tables[name])
            else:
                (folder / name).unlink(missing_ok=True)  # Of an earlier run.
        write_errors(folder, outcomes)
        bands = _bands(report)
        pictures = _pictures(report, outcomes, others, bands)
        places = place_pictures(report, outcomes, bands)
        found = pyramids(
            pictures,
            {outcome.name: outcome for outcome in outcomes},
            bands,
            {other.name: other for other in others},
        )
        tiles = placed(folder, found, BYTES - sum(picture.size for picture in pictures))
        _write(html, render_page(report, pictures, places, tiles))
        if report.settings.get("figures"):
            write_figures(folder, report)
    return html


def _bands(report: Report) -> list[int] | None:
    """The bands of the scenes that are shown; None for the first ones."""
    bands = report.settings.get("bands")
    return [int(band) for band in bands.split(",")] if bands else None


def _pictures(
    report: Report,
    outcomes: Sequence[SceneOutcome],
    others: Sequence[SceneOutcome],
    bands: Sequence[int] | None,
) -> list[Picture]:
    f1 = {scene.name: score_at(scene.scores, "foreground.f1") for scene in report.scenes}
    level = level_shown(report.scoring.threshold)
    return previews(outcomes, f1, level, bands, {other.name: other for other in others})


def _write(path: Path, text: str) -> None:
    with appearing(path) as partial:
        partial.write_text(text, encoding="utf-8")
