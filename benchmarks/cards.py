"""`python -m benchmarks.cards TITLE=RUN ...`: what weights do on sets of images, side by side.

RUN is a folder that was inferred to, with labels. Each is a row of the table (scores of all pixels
together, with the interval of F1) and a line of the reliability diagram: of the pixels that were
predicted at 0.7, seven in ten should be foreground. Several runs of one title are drawn in one
colour, the first solid, so weights can be compared set by set. A bin counts where it has a
thousandth of a set's pixels.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from pipelines.report.figures import FIRST, FOURTH, INK, LINE, SECOND, SOFT, STYLE, THIRD
from pipelines.results.reading import read_report
from pipelines.results.report import Report
from pipelines.scores.scores import score_at

_COLUMNS = {
    "F1": "foreground.f1", "best F1": "best.f1", "at": "best.threshold",
    "break-even": "break_even.value", "ECE": "calibration.ece", "clDice": "topology.cldice",
    "APLS": "topology.apls",
}  # fmt: skip

_COLORS = (FIRST, SECOND, THIRD, FOURTH, INK, SOFT)

_LINES = ("-", "--", ":")

_LEAST_SHARE = 1e-3
"""Of a set's pixels, in a bin that is drawn."""


def row_of(title: str, report: Report) -> tuple[str, ...]:
    """What the table says of a run."""
    numbers = {name: score_at(report.pooled, path) for name, path in _COLUMNS.items()}
    interval = (report.intervals or {}).get(_COLUMNS["F1"])
    said = {name: "-" if value is None else f"{value:.3f}" for name, value in numbers.items()}
    if interval is not None:
        said["F1"] += " ({:.3f} to {:.3f})".format(*interval)
    weights = "-" if report.model is None else report.model.name
    return title, weights, str(len(report.scenes)), *said.values()


def picture_of(runs: Sequence[tuple[str, Report]]) -> Figure:
    """The reliability diagrams of runs, by title."""
    titles = list(dict.fromkeys(title for title, _ in runs))
    drawn: dict[str, int] = {}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 5.4), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=LINE, lw=1.2)
        for title, report in runs:
            if report.pooled is None:
                continue
            calibration = report.pooled.calibration
            pixels = sum(one.pixels or 0 for one in calibration.bins)
            bins = [one for one in calibration.bins if (one.pixels or 0) >= _LEAST_SHARE * pixels]
            number = drawn[title] = drawn.get(title, -1) + 1
            weights = ""
            if report.model is not None and sum(other == title for other, _ in runs) > 1:
                weights = f", {report.model.name}"
            axes.plot(
                np.array([one.probability for one in bins], float),
                np.array([one.share for one in bins], float),
                _LINES[number % len(_LINES)], marker="o", ms=3.5, lw=1.6,
                color=_COLORS[titles.index(title) % len(_COLORS)], clip_on=False,
                label=f"{title}{weights}, ECE {calibration.ece:.3f}",
            )  # fmt: skip
        axes.set(
            xlabel="predicted probability", ylabel="share that is foreground",
            xlim=(0, 1), ylim=(0, 1), aspect="equal",
        )  # fmt: skip
        axes.legend(loc="upper left", handlelength=2.6)
    return figure


def runs_of(asked: Sequence[str]) -> list[tuple[str, Report]]:
    """Titles and reports, as they were asked for."""
    pairs = [one.rpartition("=") for one in asked]
    return [(title, read_report(Path(run))) for title, _, run in pairs]


def main() -> None:
    """Reads the command line, prints the table and draws the picture."""
    parser = argparse.ArgumentParser("python -m benchmarks.cards", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="TITLE=RUN")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    runs = runs_of(given.runs)
    table = Table("images", "weights", "n", *_COLUMNS, box=None)
    for title, report in runs:
        table.add_row(*row_of(title, report))
    Console(width=160).print(table)
    if given.picture is not None:
        picture_of(runs).savefig(given.picture, dpi=110)


if __name__ == "__main__":
    main()
