"""What a command prints of its result on standard output: tables, and where the files are."""

import sys
from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.measurements.vessels import NO_DIAGNOSIS
from pipelines.report.columns import MEASURED, TERMINAL
from pipelines.report.formats import number
from pipelines.report.table import rows
from pipelines.results.lines import ScoredLines
from pipelines.results.report import Comparison, Report
from pipelines.results.result import Result

_MEASURES = 6
"""Columns of measurements that a terminal has room for."""

_WIDE = 200
"""Characters of a line where no terminal says how many it has: of a table in a file or a pipe."""


def print_result(result: Result) -> None:
    """Prints what a run came to, and where its report lies."""
    width = None if sys.stdout.isatty() else _WIDE
    out = Console(soft_wrap=True, highlight=False, width=width)
    if result.nothing is not None:
        out.print(result.nothing, markup=False)
        return
    report = result.report
    if report.this_run is None:
        _print_scenes(out, result)
    else:
        # Of all scenes of the outbox, which may be thousands, the report tells.
        out.print(result.done, markup=False)
    for ending in result.endings:
        out.print(f"training: {ending.said}", markup=False)
        for advice in ending.advice:
            out.print(f"  {advice}", markup=False)
    for path in result.trained:
        out.print(f"weights: {path}", markup=False)
    if result.reported:
        out.print(f"report: {result.folder / 'report.html'}", markup=False)


def _print_scenes(out: Console, result: Result) -> None:
    report = result.report
    if report.scored_lines is not None:
        out.print(_network_table(report.scored_lines))
        return
    if report.pooled is None and report.measurements is not None:
        out.print(_measurement_table(report))
        if report.measurements.kind == "vessels":
            out.print(NO_DIAGNOSIS)
    elif report.pooled is not None:
        out.print(score_table(report))
    elif report.scenes:
        out.print(
            f"{result.done}: {', '.join(scene.name for scene in report.scenes)}", markup=False
        )
    if report.comparison is not None:
        _print_comparison(out, report.comparison)
    if report.scenes and report.pooled is None:
        out.print("No scene has a label of its name (--labels), so no score is possible.")
    elif unscored := [scene.name for scene in report.scenes if scene.scores is None]:
        out.print(f"Without a label, and so without scores: {', '.join(unscored)}", markup=False)
    if report.skipped:
        skipped = ", ".join(one.input for one in report.skipped)
        out.print(f"Outside the area of interest, and so left out: {skipped}", markup=False)
    lines = [scene.lines for scene in report.scenes if scene.lines is not None]
    if lines:
        first, *others = lines
        out.print(f"lines: {sum(others, first)}", markup=False)
    if report.joined is not None:
        joined = f"{len(report.joined.scenes)} of {len(report.scenes)} scenes"
        found, path = report.joined.found, report.joined.files["lines"]
        out.print(f"lines of {joined} as one network: {found}: {path}", markup=False)


def score_table(report: Report) -> Table:
    """Returns the scores of a report, a row per scene; a column with nothing in it is left out."""
    found = rows(report)
    shown = {
        title: path
        for title, path in TERMINAL.items()
        if any(scores.get(path) is not None for _, scores in found)
    }
    table = _table("scene", shown)
    for name, scores in found:
        cells = (scores.get(path) for path in shown.values())
        table.add_row(escape(name), *(_number(cell) for cell in cells))
    return table


def _network_table(scored: ScoredLines) -> Table:
    """Returns the scores of lines, a row per scene, their mean and all pooled."""
    shown = {
        "TOPO F1": "topo_f1", "precision": "topo_precision", "recall": "topo_recall",
        "APLS": "apls", "relaxed precision": "precision", "relaxed recall": "recall",
    }  # fmt: skip
    table = _table("scene", shown)
    every = [(name, asdict(scores)) for name, scores in scored.scenes.items()]
    if len(every) > 1:
        every.append(("mean", dict(scored.mean)))
    every.append(("pooled", asdict(scored.pooled)))
    for name, numbers in every:
        table.add_row(escape(name), *(_number(numbers[field]) for field in shown.values()))
    return table


def _measurement_table(report: Report) -> Table:
    """Returns what was measured, a row per scene and one of all."""
    measured = report.measurements
    assert measured is not None
    columns = [one for one in MEASURED[measured.kind] if measured.mean.get(one.path) is not None]
    columns = columns[:_MEASURES]
    table = _table("scene", (column.title for column in columns))
    every = [(scene.name, scene.measurements) for scene in report.scenes]
    if len(every) > 1:
        together = measured.pooled or measured.mean
        every.append(("mean" if measured.pooled is None else "together", together))
    for name, numbers in every:
        cells = ((numbers or {}).get(column.path) for column in columns)
        table.add_row(
            escape(name),
            *(number(cell, column.form) for cell, column in zip(cells, columns, strict=True)),
        )
    return table


def _print_comparison(out: Console, comparison: Comparison) -> None:
    out.print(f"\nA: {comparison.a}\nB: {comparison.b}\n", markup=False)
    out.print(_comparison_table(comparison))
    if (said := _verdict(comparison)) is not None:
        out.print(said)
    if comparison.unlike:
        unlike = ", ".join(comparison.unlike)
        out.print(f"A and B do not count the same pixels of: {unlike}", markup=False)
    if comparison.unpaired:
        out.print(f"Not in both: {', '.join(comparison.unpaired)}", markup=False)


def _verdict(comparison: Comparison) -> str | None:
    """Whether one of two runs is better by F1, in a line; None where that has no interval."""
    row = next((row for row in comparison.rows if row.column == TERMINAL["F1"]), None)
    if row is None or row.low is None or row.high is None:
        return None
    said = f"F1 {_difference(row.difference, row.low, row.high)} over {comparison.scenes} scenes"
    if row.low <= 0 <= row.high:
        return f"It is not shown that one is better: {said}; the interval contains 0."
    return f"{'B' if row.low > 0 else 'A'} is better: {said}."


def _comparison_table(comparison: Comparison) -> Table:
    """Returns how B differs from A, with the 95 % interval of the difference."""
    table = _table("", ("A", "B", "B - A, pooled", "B - A, mean of scenes"), no_wrap=True)
    by_path = {row.column: row for row in comparison.rows}
    for title, path in TERMINAL.items():
        if (row := by_path.get(path)) is not None:
            table.add_row(
                title,
                _number(row.a),
                _number(row.b),
                _difference(row.difference, row.low, row.high),
                _difference(row.mean, row.mean_low, row.mean_high),
            )
    return table


def _table(first: str, others: Iterable[str], no_wrap: bool = False) -> Table:
    """Returns an empty table: names in the first column, numbers in the others."""
    table = Table(box=None, pad_edge=False)
    # A name that is cut off may be that of several: one eye's photographs begin alike.
    table.add_column(first, overflow="fold")
    for title in others:
        table.add_column(title, justify="right", no_wrap=no_wrap)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _difference(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:+.3f}" + ("" if low is None else f" ({low:+.3f} to {high:+.3f})")
