"""A report's figures: SVG for the page, PNG for a paper, from the same drawing."""

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from pipelines.results.report import Report
from pipelines.scores.scores import score_at
from tiling.disk import appearing

INK, SOFT, LINE = "#1b1f24", "#5b6570", "#dcdfe3"


FIRST, SECOND, THIRD, FOURTH = "#0a6c94", "#b4530a", "#6b4fa0", "#3f7d3a"


_VARIABLES = {
    INK: "--ink", SOFT: "--soft", LINE: "--line",
    FIRST: "--first", SECOND: "--second", THIRD: "--third", FOURTH: "--fourth",
}  # fmt: skip


STYLE: Any = {  # Newer matplotlib lists every key in the type, older does not.
    "svg.hashsalt": "rurnet",  # The same report twice is the same bytes.
    "svg.fonttype": "none",
    "font.size": 9.5,
    "legend.fontsize": 9,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
}


RESOLUTION = 300


def curve_figure(report: Report) -> Figure | None:
    """Precision over recall of all thresholds, strict and relaxed.

    Returns:
        The figure, with break-evens, the chosen threshold, 0.5 and the second observer marked;
        None without a curve.
    """
    curve, pooled = report.curve, report.pooled
    if curve is None or pooled is None:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.9, 5.3), layout="constrained")
        axes = figure.subplots()
        _equal_f1_lines(axes)
        relaxed, strict = pooled.relaxed, pooled.at_threshold
        threshold = strict.threshold or 0.5
        drawn = (
            ("strict", FIRST, "-", curve.recall, curve.precision,
             pooled.break_even.value, strict.recall, strict.precision),
            (f"relaxed, {relaxed.rho:g} px", SECOND, "--", curve.relaxed_recall,
             curve.relaxed_precision, relaxed.break_even, relaxed.recall, relaxed.precision),
        )  # fmt: skip
        for name, color, line, recalls, precisions, value, chosen_recall, chosen_precision in drawn:
            recall, precision = _floats(recalls), _floats(precisions)
            there = np.isfinite(recall) & np.isfinite(precision)
            if not there.any():
                continue
            axes.plot(recall[there], precision[there], line, color=color, lw=1.8, label=name)
            if value is not None:
                _mark(axes, value, value, "o", color, f"break-even {value:.3f}")
            if chosen_recall is not None and chosen_precision is not None:
                label = f"chosen threshold {threshold:.2f}"
                _mark(axes, chosen_recall, chosen_precision, "D", color, label)
            nearest = int(np.abs(_floats(curve.threshold) - 0.5).argmin())
            if abs(threshold - 0.5) > 0.003 and there[nearest]:
                _mark(axes, recall[nearest], precision[nearest], "s", color, "threshold 0.50")
        second = None if report.second_observer is None else report.second_observer.pooled
        if second is not None:
            own = second.foreground
            if own.recall is not None and own.precision is not None:
                _mark(axes, own.recall, own.precision, "*", THIRD, "second observer")
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_anchor("N")
        _legend_below(figure, columns=2)
    figure.set_label("Precision over recall as the threshold moves, strict and relaxed")
    return figure


def reliability_figure(report: Report) -> Figure | None:
    """Share of foreground over predicted probability, and how many pixels each bin has.

    Returns:
        The figure, with the expected calibration error; None without probabilities and labels.
    """
    if report.pooled is None:
        return None
    bins = [one for one in report.pooled.calibration.bins if one.pixels]
    if not bins:
        return None
    probability = _floats([one.probability for one in bins])
    share = _floats([one.share for one in bins])
    pixels = _floats([one.pixels for one in bins])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.9, 5.3), layout="constrained")
        above, below = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        above.plot([0, 1], [0, 1], color=LINE, lw=1.2, label="perfectly calibrated")
        error = report.pooled.calibration.ece
        name = "predicted" if error is None else f"predicted, ECE {error:.3f}"
        above.plot(probability, share, "o-", color=FIRST, lw=1.8, ms=4.5, clip_on=False, label=name)
        above.set(ylabel="share that is foreground", xlim=(0, 1), ylim=(0, 1))
        below.vlines(probability, 0.5, pixels, color=FIRST, lw=5)
        below.set(xlabel="predicted probability", ylabel="pixels", yscale="log")
        below.set_ylim(bottom=0.5)
        below.yaxis.set_major_locator(LogLocator(numticks=4))
        below.yaxis.set_major_formatter(EngFormatter(sep=""))
        below.yaxis.set_minor_locator(NullLocator())
        _legend_below(figure, columns=2)
    figure.set_label("Share of foreground over predicted probability")
    return figure


def steps_figure(report: Report) -> Figure | None:
    """Scores over recurrent steps, with their intervals.

    Returns:
        The figure; None where fewer than two steps were scored.
    """
    steps = report.steps
    if len(steps) < 2:
        return None
    drawn = (
        ("F1", FIRST, "o-", "foreground.f1"),
        ("break-even", SECOND, "s--", "break_even.value"),
        ("relaxed F1", THIRD, "D-.", "relaxed.f1"),
        ("clDice", FOURTH, "^:", "topology.cldice"),
    )
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.9, 3.5), layout="constrained")
        axes = figure.subplots()
        for order, (name, color, style, path) in enumerate(drawn):
            values = _floats([score_at(step.pooled, path) for step in steps])
            if not np.isfinite(values).any():
                continue
            ends = [(step.intervals or {}).get(path) for step in steps]
            low, high = (_floats([end and end[side] for end in ends]) for side in (0, 1))
            at = np.arange(len(steps)) + 0.04 * (order - 1.5)  # Intervals beside each other.
            axes.plot(at, values, style, color=color, lw=1.6, ms=4.5, label=name)
            axes.vlines(at, low, high, color=color, lw=1, alpha=0.6)
        axes.set(xlabel="step", ylabel="score")
        axes.set_xticks(range(len(steps)), [str(step.step) for step in steps])
        axes.margins(x=0.08)
        axes.grid(axis="y", color=LINE, lw=0.6)
        axes.set_axisbelow(True)
        _legend_below(figure, columns=4)
    figure.set_label("Scores of all pixels together after each recurrent step")
    return figure


FIGURES: dict[str, Callable[[Report], Figure | None]] = {
    "pr-curve": curve_figure,
    "reliability": reliability_figure,
    "steps": steps_figure,
}


def inline_svg(figure: Figure) -> str:
    """A figure as an `<svg>` element to stand in a page.

    Text stays text in the page's font, colours are the page's CSS variables, ids are the
    figure's own, and nothing refers to anything outside. Its label is what a screen reader says.

    Args:
        figure: From this module.

    Returns:
        The element, as wide as what it stands in.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # The style element would hold for the whole page, not for this picture alone.
    svg = re.sub(r"<!--.*?-->|<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s+xmlns(:\w+)?=\"[^\"]*\"", "", svg).replace("xlink:href", "href")
    svg = re.sub(r"font-family:[^;\"]*;?\s*", "", svg)
    own = "f" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r'\bid="', f'id="{own}-', svg)
    svg = svg.replace("url(#", f"url(#{own}-").replace('href="#', f'href="#{own}-')
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable}, {color})")
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None, "matplotlib writes a viewBox"
    label = str(figure.get_label())
    head = f'<svg {box[0]} role="img" aria-label="{label}" style="stroke-linejoin: round">'
    svg = head + svg[svg.index(">") + 1 :]
    return re.sub(r">\s*\n\s*", ">\n", svg).strip()


def write_figures(folder: Path, report: Report) -> list[Path]:
    """Writes the figures as PNGs of 300 dpi, each whole or not at all.

    Args:
        folder: Where to; it exists.
        report: Of the run.

    Returns:
        The files: `pr-curve.png`, `reliability.png`, `steps.png`, or fewer where there is nothing
        to draw.

    Raises:
        OSError: The disk refuses.
    """
    written = []
    for name, draw in FIGURES.items():
        figure = draw(report)
        if figure is None:
            continue
        path = folder / f"{name}.png"
        with appearing(path) as partial, matplotlib.rc_context(STYLE):
            figure.savefig(partial, format="png", dpi=RESOLUTION, metadata={"Software": None})
        written.append(path)
    return written


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _mark(axes: Axes, x: float, y: float, marker: str, color: str, label: str) -> None:
    axes.plot(
        [x], [y], marker, color=color, ms=6.5, mfc="none" if marker == "s" else color,
        clip_on=False, label=label, zorder=4,
    )  # fmt: skip


def _equal_f1_lines(axes: Axes) -> None:
    """Faint lines of equal F1, and the diagonal where precision equals recall."""
    axes.plot([0, 1], [0, 1], ":", color=SOFT, lw=0.8)
    for f1 in (0.2, 0.4, 0.6, 0.8):
        recall = np.linspace(f1 / (2 - f1), 1, 60)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color=LINE, lw=0.8, zorder=0)
        axes.annotate(
            f"F1 {f1:.1f}", (1, f1 / (2 - f1)), (4, 0), textcoords="offset points",
            color=SOFT, fontsize=8, va="center", annotation_clip=False,
        )  # fmt: skip


def _legend_below(figure: Figure, columns: int) -> None:
    """A legend that covers no data."""
    if any(axes.get_legend_handles_labels()[0] for axes in figure.axes):
        figure.legend(
            loc="outside lower center", ncols=columns, handlelength=2.2, columnspacing=1.6
        )
