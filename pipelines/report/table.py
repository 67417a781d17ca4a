"""The numbers of a report as rows: `scores.csv`, and what a terminal shows."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.report.contents import PATHS, flattened

Row = Mapping[str, float | int | None]


SHOWN = {
    "F1": "at_threshold.f1",
    "precision": "at_threshold.precision",
    "recall": "at_threshold.recall",
    "IoU": "at_threshold.iou",
    "break-even": "break_even.value",
    "relaxed F1": "relaxed.f1",
    "clDice": "topology.cldice",
}
"""What a terminal has room for: of the masks as they were cut."""


def rows(report: Mapping[str, Any]) -> list[tuple[str, Row]]:
    """Name and scores of every scene; then their mean, the pool and the second observer."""
    every: list[tuple[str, Row]] = [(scene["name"], flattened(scene)) for scene in report["scenes"]]
    if report["pooled"] is not None:
        if len(every) > 1:
            every.append(("mean", report["mean"]))
        every.append(("pooled", flattened(report["pooled"])))
    if report["second_observer"] is not None:
        every.append(("second observer", flattened(report["second_observer"]["pooled"])))
    return every


def as_csv(report: Mapping[str, Any]) -> str:
    """The text of `scores.csv`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["by", "of", "scene", *PATHS])
    for *what, scores in _lines(report):
        values = (scores.get(path) for path in PATHS)
        writer.writerow([*what, *map(_text, values)])
    return text.getvalue()


def _text(value: float | int | None) -> str:
    """Six digits of a score, all digits of a count."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Row]]:
    for by, of in (("prediction", report), ("second observer", report["second_observer"])):
        if of is None:
            continue
        for scene in of["scenes"]:
            yield by, "scene", scene["name"], flattened(scene)
        yield from _summary(by, of)
    for step in report["steps"]:
        yield from _summary(f"step {step['step']}", step)


def _summary(by: str, of: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Row]]:
    for summary in ("mean", "sd"):
        if of.get(summary) is not None:
            yield by, summary, "", of[summary]
    if of["pooled"] is not None:
        yield by, "pooled", "", flattened(of["pooled"])
    if of["intervals"] is not None:
        for end, name in enumerate(("low", "high")):
            yield by, name, "", {path: ends and ends[end] for path, ends in of["intervals"].items()}
