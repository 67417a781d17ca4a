"""What a command prints of its result on standard output: tables, and where the files are."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from math import ceil
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.report.result import Result
from pipelines.report.table import SHOWN, rows
from pipelines.results.estimate import SceneEstimate


def print_result(result: Result) -> None:
    """Prints what a run came to, and where its report lies."""
    out = Console(soft_wrap=True, highlight=False)
    if result.plans is not None:
        _print_plans(out, result.plans)
        return
    report = result.report
    if report["scenes"]:
        out.print(score_table(report))
    elif not report["failed"]:
        out.print("No scene to predict: the inbox is empty.")
    if report["comparison"] is not None:
        _print_comparison(out, report["comparison"])
    if report["scenes"] and report["pooled"] is None:
        out.print("No scene has a label of its name (--labels), so no score is possible.")
    elif unscored := [scene["name"] for scene in report["scenes"] if scene["foreground"] is None]:
        out.print(f"Without a label, and so without scores: {', '.join(unscored)}", markup=False)
    for path in result.trained:
        out.print(f"weights: {path}", markup=False)
    out.print(f"report: {result.folder / 'report.html'}", markup=False)


def score_table(report: Mapping[str, Any]) -> Table:
    """Returns the scores of a report, a row per scene."""
    table = _table("scene", SHOWN)
    for name, scores in rows(report):
        cells = (scores.get(path) for path in SHOWN.values())
        table.add_row(escape(name), *(_number(cell) for cell in cells))
    return table


def _print_plans(out: Console, plans: Sequence[SceneEstimate]) -> None:
    out.print(_plan_table(plans))
    measured = max((plan.measured for plan in plans), default=0)
    out.print(
        f"Memory and disk at most; time of one process, from {measured} measured tiles. "
        "Nothing was written."
    )


def _plan_table(plans: Sequence[SceneEstimate]) -> Table:
    """Returns what there is to do, a row per scene that can be read."""
    table = _table(
        "scene", ("size", "tiles", "parts", "done twice", "memory", "disk", "time"), no_wrap=True
    )
    for plan in plans:
        if plan.error is None:
            table.add_row(
                escape(plan.name),
                f"{plan.width} x {plan.height}",
                str(plan.tiles),
                str(plan.parts),
                f"{plan.redundant:.1%}",
                f"{plan.memory / 1e9:.1f} GB",
                f"{plan.disk / 1e9:.2f} GB",
                str(timedelta(seconds=ceil(plan.seconds))),
            )
    return table


def _print_comparison(out: Console, comparison: Mapping[str, Any]) -> None:
    out.print(f"\nA: {comparison['a']}\nB: {comparison['b']}\n", markup=False)
    out.print(_comparison_table(comparison))
    if comparison["unlike"]:
        unlike = ", ".join(comparison["unlike"])
        out.print(f"A and B do not count the same pixels of: {unlike}", markup=False)
    if comparison["unpaired"]:
        out.print(f"Not in both: {', '.join(comparison['unpaired'])}", markup=False)


def _comparison_table(comparison: Mapping[str, Any]) -> Table:
    """Returns how B differs from A, with the 95 % interval of the difference."""
    table = _table("", ("A", "B", "B - A, pooled", "B - A, mean of scenes"), no_wrap=True)
    by_path = {row["column"]: row for row in comparison["rows"]}
    for title, path in SHOWN.items():
        if (row := by_path.get(path)) is not None:
            table.add_row(
                title,
                _number(row["a"]),
                _number(row["b"]),
                _difference(row["difference"], row["low"], row["high"]),
                _difference(row["mean"], row["mean_low"], row["mean_high"]),
            )
    return table


def _table(first: str, others: Iterable[str], no_wrap: bool = False) -> Table:
    """Returns an empty table: names in the first column, numbers in the others."""
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for title in others:
        table.add_column(title, justify="right", no_wrap=no_wrap)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _difference(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:+.3f}" + ("" if low is None else f" ({low:+.3f} to {high:+.3f})")
