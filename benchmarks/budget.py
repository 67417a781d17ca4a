"""`python -m benchmarks.budget SCENES LABELS --models NAME/STEPS ...`: score against cost.

Each pair of weights and steps (a number, or auto) predicts the same scenes, in turn, `--rounds`
times, and is then scored. Cost is processor time of the whole prediction, reading and writing
included, for each megapixel; it hardly depends on what else the machine does. `--picture FILE`
draws score over cost. What is at `--output` is written anew.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
class Point:
    """What weights cost and score with some number of steps.

    Attributes:
        model: The weights.
        steps: What was asked for.
        taken: Steps on average.
        cost: Processor seconds per megapixel, of each round.
        scores: As in `SCORES`.
    """

    model: str
    steps: str
    taken: float
    cost: tuple[float, ...]
    scores: tuple[float, ...]


def measured(
    scenes: Sequence[str], labels: Path, pairs: Sequence[str], output: Path, rounds: int
) -> list[Point]:
    """Predicts with each pair, such as roads-dru4/auto, in turn, then scores what is there."""
    costs: dict[str, list[float]] = {pair: [] for pair in pairs}
    for _ in range(rounds):
        for pair in pairs:
            before = time.process_time()
            report = _run(scenes, None, pair, output, overwrite=True)
            pixels = sum(scene.height * scene.width for scene in report.scenes)
            costs[pair].append((time.process_time() - before) / (pixels / 1e6))
    points = []
    for pair in pairs:
        report = _run(scenes, labels, pair, output, overwrite=False)
        pixels = sum(scene.height * scene.width for scene in report.scenes)
        taken = sum((s.mean_steps or 0) * s.height * s.width for s in report.scenes) / pixels
        scores = tuple(score_at(report.pooled, path) for path in SCORES.values())
        model, steps = pair.split("/")
        points.append(Point(model, steps, taken, tuple(costs[pair]), scores))
    return points


def _run(
    scenes: Sequence[str], labels: Path | None, pair: str, output: Path, *, overwrite: bool
) -> Report:
    model, steps = pair.split("/")
    asked: dict[str, Any] = {
        "scenes": list(scenes), "labels": labels, "model": [model], "measurements": False,
        "steps": steps if steps == "auto" else int(steps), "overwrite": overwrite,
        "output": output / pair.replace("/", "-"),
    }  # fmt: skip
    if card_of(model).task == "vessels":
        return infer_drive(InferDrive(**asked), Silence()).report
    return infer_roads(InferRoads(**asked), Silence()).report


def table_of(points: Sequence[Point]) -> Table:
    """A row for each pair; costs are those of the first pair's mean, with all rounds' range."""
    table = Table("weights", "steps", "taken", "s/Mpx", "relative", *SCORES, box=None)
    first = sum(points[0].cost) / len(points[0].cost)
    for point in points:
        mean = sum(point.cost) / len(point.cost)
        table.add_row(
            point.model, point.steps, f"{point.taken:.2f}", f"{mean:.2f}",
            f"{mean / first:.2f} ({min(point.cost) / first:.2f}-{max(point.cost) / first:.2f})",
            *(f"{score:.4f}" for score in point.scores),
        )  # fmt: skip
    return table


def picture_of(points: Sequence[Point]) -> Figure:
    """F1, clDice and APLS over the cost; each weights' numbers of steps are joined by a line."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    shown = ("F1", "clDice", "APLS")
    for axes, name in zip(figure.subplots(1, len(shown)), shown, strict=True):
        index = list(SCORES).index(name)
        for model in dict.fromkeys(point.model for point in points):
            own = [point for point in points if point.model == model]
            fixed = [point for point in own if point.steps != "auto"]
            (line,) = axes.plot(
                [sum(one.cost) / len(one.cost) for one in fixed],
                [one.scores[index] for one in fixed], "o-", label=model,
            )  # fmt: skip
            for point in own:
                at = sum(point.cost) / len(point.cost), point.scores[index]
                if point.steps == "auto":
                    axes.plot(*at, "*", markersize=14, color=line.get_color())
                beside = (4, -15) if point.steps == "auto" else (5, 5)
                axes.annotate(point.steps, at, xytext=beside, textcoords="offset points")
        axes.set(xlabel="processor seconds per megapixel", title=name, xlim=(0, None))
        axes.grid(alpha=0.3)
    figure.axes[0].legend(loc="lower right")
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
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--output", type=Path, default=Path("out/budget"))
    options = parser.parse_args()
    points = measured(
        options.scenes, options.labels, options.models, options.output, options.rounds
    )
    Console(soft_wrap=True).print(table_of(points))
    if options.picture is not None:
        picture_of(points).savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
