"""The numbers of a report as rows: `scores.csv`, and those of a terminal."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from pipelines.results.lines import ScoredLines
from pipelines.results.report import ByPath, Report, SecondObserver, StepSummary
from pipelines.scores.intervals import Interval
from pipelines.scores.networks import SCORES
from pipelines.scores.scores import PATHS, by_path


def rows(report: Report) -> list[tuple[str, ByPath]]:
    """Name and scores of every scene; then their mean, the pool and the second observer."""
    every: list[tuple[str, ByPath]] = [
        (scene.name, by_path(scene.scores)) for scene in report.scenes
    ]
    if report.mean is not None:
        if len(every) > 1:
            every.append(("mean", report.mean))
        every.append(("pooled", by_path(report.pooled)))
    if report.second_observer is not None:
        every.append(("second observer", by_path(report.second_observer.pooled)))
    return every


def as_csv(report: Report) -> str:
    """The text of `scores.csv`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    paths, lines = PATHS, _lines(report)
    if report.scored_lines is not None:
        paths, lines = SCORES, _of_networks(report.scored_lines)
    writer.writerow(["by", "of", "scene", *paths])
    for *what, scores in lines:
        values = (scores.get(path) for path in paths)
        writer.writerow([*what, *map(_text, values)])
    return text.getvalue()


def _text(value: float | None) -> str:
    """Six digits of a score, all digits of a count."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _lines(report: Report) -> Iterator[tuple[str, str, str, ByPath]]:
    for by, of in (("prediction", report), ("second observer", report.second_observer)):
        if of is None:
            continue
        for scene in of.scenes:
            yield by, "scene", scene.name, by_path(scene.scores)
        for name, scores in (("mean", of.mean), ("sd", of.sd)):
            if scores is not None:
                yield by, name, "", scores
        yield from _pooled(by, of)
    for step in report.steps:
        yield from _pooled(f"step {step.step}", step)


def _of_networks(scored: ScoredLines) -> Iterator[tuple[str, str, str, ByPath]]:
    for name, scores in scored.scenes.items():
        yield "prediction", "scene", name, asdict(scores)
    yield "prediction", "mean", "", scored.mean
    yield "prediction", "sd", "", scored.sd
    yield "prediction", "pooled", "", asdict(scored.pooled)
    yield from _ends("prediction", scored.intervals)


def _pooled(
    by: str, of: Report | SecondObserver | StepSummary
) -> Iterator[tuple[str, str, str, ByPath]]:
    if of.pooled is not None:
        yield by, "pooled", "", by_path(of.pooled)
    yield from _ends(by, of.intervals)


def _ends(
    by: str, intervals: Mapping[str, Interval | None] | None
) -> Iterator[tuple[str, str, str, ByPath]]:
    if intervals is not None:
        for end, name in enumerate(("low", "high")):
            yield by, name, "", {path: ends and ends[end] for path, ends in intervals.items()}
