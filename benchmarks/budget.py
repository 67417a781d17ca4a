"""`python -m benchmarks.budget SCENES LABELS --models NAME/STEPS ...`: score against cost.

Each pair of weights and steps (a number, or auto) predicts the same scenes, in turn, `--rounds`
times, and is then scored; with each of `--backends` and each of `--tiles`, if several are given.
Cost is processor time of the whole prediction, reading and writing included, for each megapixel; it
hardly depends on what else the machine does. `--picture FILE` draws score over cost. What is at
`--output` is written anew.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from pipelines.config.inference import InferDrive, InferRoads
from pipelines.inference.run import infer_drive, infer_roads
from pipelines.models.weights import card_of
from pipelines.results.progress import Silence
from pipelines.results.report import Report
from pipelines.scores.scores import score_at

SCORES = {"F1": "foreground.f1", "break-even": "break_even.value", "clDice": "topology.cldice",
          "APLS": "topology.apls"}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """How scenes are predicted.

    Attributes:
        model: The weights.
        steps: A number, or auto.
        backend: See `ComputeSettings.backend`.
        tile: Side of a tile and overlap in pixels, such as 512/128.
    """

    model: str
    steps: str
    backend: str
    tile: str


@dataclass(frozen=True)
class Point:
    """What a way of predicting costs, and how it scores.

    Attributes:
        way: How scenes were predicted.
        taken: Steps on average.
        cost: Processor seconds per megapixel, of each round.
        scores: As in `SCORES`.
    """

    way: Way
    taken: float
    cost: tuple[float, ...]
    scores: tuple[float, ...]

    @property
    def median_cost(self) -> float:
        """Of all rounds: the first may compile a network for its backend."""
        return statistics.median(self.cost)


def measured(
    scenes: Sequence[str], labels: Path, ways: Sequence[Way], output: Path, rounds: int
) -> list[Point]:
    """Predicts in each way, in turn, then scores what is there."""
    costs: dict[Way, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            before = time.process_time()
            report = _run(scenes, None, way, output, overwrite=True)
            pixels = sum(scene.height * scene.width for scene in report.scenes)
            costs[way].append((time.process_time() - before) / (pixels / 1e6))
    points = []
    for way in ways:
        report = _run(scenes, labels, way, output, overwrite=False)
        pixels = sum(scene.height * scene.width for scene in report.scenes)
        taken = sum((s.mean_steps or 0) * s.height * s.width for s in report.scenes) / pixels
        scores = tuple(score_at(report.pooled, path) for path in SCORES.values())
        points.append(Point(way, taken, tuple(costs[way]), scores))
    return points


def _run(
    scenes: Sequence[str], labels: Path | None, way: Way, output: Path, *, overwrite: bool
) -> Report:
    tile, overlap = map(int, way.tile.split("/"))
    asked: dict[str, Any] = {
        "scenes": list(scenes), "labels": labels, "model": [way.model], "measurements": False,
        "steps": way.steps if way.steps == "auto" else int(way.steps), "overwrite": overwrite,
        "backend": way.backend, "tile": tile, "overlap": overlap,
        "output": output / f"{way.model}-{way.steps}-{way.backend}-{tile}-{overlap}",
    }  # fmt: skip
    if card_of(way.model).task == "vessels":
        return infer_drive(InferDrive(**asked), Silence()).report
    return infer_roads(InferRoads(**asked), Silence()).report


def table_of(points: Sequence[Point]) -> Table:
    """A row for each way; costs are medians, and relative to the first, with the range."""
    table = Table(
        "weights", "steps", "backend", "tile", "taken", "s/Mpx", "relative", *SCORES, box=None
    )
    first = points[0].median_cost
    for point in points:
        way = point.way
        table.add_row(
            way.model, way.steps, way.backend, way.tile, f"{point.taken:.2f}",
            f"{point.median_cost:.2f}", f"{point.median_cost / first:.2f} "
            f"({min(point.cost) / first:.2f}-{max(point.cost) / first:.2f})",
            *(f"{score:.4f}" for score in point.scores),
        )  # fmt: skip
    return table


def picture_of(points: Sequence[Point]) -> Figure:
    """F1, clDice and APLS over the cost.

    A line joins what differs in the number of steps alone, which stands beside its points; where
    only tiles differ, these do.
    """
    figure = Figure(figsize=(10, 3.7), layout="constrained")
    shown = ("F1", "clDice", "APLS")
    several = [
        name for name in ("model", "backend", "tile", "steps")
        if len({getattr(point.way, name) for point in points}) > 1
    ]  # fmt: skip
    beside = "tile" if "tile" in several and "steps" not in several else "steps"
    told = [name for name in several if name != beside] or ["model"]
    for axes, score in zip(figure.subplots(1, len(shown)), shown, strict=True):
        index = list(SCORES).index(score)
        lines: dict[str, list[Point]] = {}
        for point in points:
            label = ", ".join(getattr(point.way, name) for name in told)
            lines.setdefault(label, []).append(point)
        for label, own in lines.items():
            fixed = [point for point in own if point.way.steps != "auto"]
            (line,) = axes.plot(
                [point.median_cost for point in fixed], [point.scores[index] for point in fixed],
                "o-" if beside == "steps" else "o", label=label,
            )  # fmt: skip
            for point in own:
                at = point.median_cost, point.scores[index]
                if point.way.steps == "auto":
                    axes.plot(*at, "*", markersize=14, color=line.get_color())
                place = (4, -15) if point.way.steps == "auto" else (5, 5)
                text = getattr(point.way, beside)
                axes.annotate(text, at, xytext=place, textcoords="offset points", fontsize=8)
        axes.set(xlabel="processor seconds per megapixel", title=score)
        axes.set_xlim(0, 1.15 * max(point.median_cost for point in points))
        axes.margins(y=0.1)
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.budget", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("scenes", nargs="+", help="scenes, a glob or a folder; last: the labels")
    parser.add_argument("labels", type=Path)
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME/STEPS")
    parser.add_argument("--backends", nargs="+", default=["eager"], metavar="BACKEND")
    parser.add_argument("--tiles", nargs="+", default=["512/128"], metavar="TILE/OVERLAP")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--output", type=Path, default=Path("out/budget"))
    options = parser.parse_args()
    ways = [
        Way(pair.partition("/")[0], pair.partition("/")[2], backend, tile)
        for pair, backend, tile in product(options.models, options.backends, options.tiles)
    ]
    points = measured(options.scenes, options.labels, ways, options.output, options.rounds)
    Console(width=140).print(table_of(points))
    if options.picture is not None:
        picture_of(points).savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
