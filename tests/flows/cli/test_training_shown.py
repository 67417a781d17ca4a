"""How a training is shown: a bar on a terminal, lines in a log, and how it ended."""

import io
import logging
import re
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from flows.cli.printed import print_result
from flows.cli.progress import BarProgress, LogProgress
from pipelines.config.inference import PredictionSettings
from pipelines.inference.job import report_of
from pipelines.models.weights import load
from pipelines.results.result import Result
from pipelines.results.training import TrainingEnd, TrainingStanding

STANDING = TrainingStanding(
    "training", (1, 1), 75, 2000, 0.5, loss=0.4123, held_out=0.612, seconds_left=100.0,
    limit="--max-time",
)  # fmt: skip
END = TrainingEnd("75 of 2000 iterations", ("to go on, give [more] time",))


def test_a_terminal_of_80_columns_has_room_for_all_of_it():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    with BarProgress(console) as bar:
        bar.doing("reading 3 images and their labels")
        bar.training(replace(STANDING, iteration=1975, seconds_left=5000.0))
        bar.training(replace(STANDING, phase="scoring held-out images", seconds_left=5000.0))
        bar.trained(END)
    shown = re.sub(r"[━╸╺ ]+", " ", screen.getvalue())
    assert "iteration 1975 of 2000 loss 0.412, held out 0.612, 83 min left 0:00:0" in shown
    assert "scoring held-out images loss 0.412, held out 0.612, 83 min left 0:00:0" in shown
    assert "Epoch" not in shown


def test_a_log_gets_a_line_when_it_begins_and_when_it_ends(caplog):
    caplog.set_level(logging.INFO)
    with LogProgress(lambda: logging.getLogger("shown")) as log:
        for iteration in range(75, 200):
            log.training(replace(STANDING, iteration=iteration))
        log.trained(END)
        log.training(replace(STANDING, fold=(2, 5), iteration=0, limit="--iterations"))
    assert [record.getMessage() for record in caplog.records] == [
        "training: iteration 75 of 2000, loss 0.412, held out 0.612, 2 min left (--max-time)",
        "training: 75 of 2000 iterations",
        "to go on, give [more] time",
        "training: fold 2 of 5, iteration 0 of 2000, loss 0.412, held out 0.612, 2 min left",
    ]


def test_the_end_is_printed_with_the_weights(capsys):
    model = load("vessels-dru4")
    report = report_of([], [model], PredictionSettings())
    print_result(Result(report, Path("out"), (), (Path("w.safetensors"),), endings=(END,)))
    assert capsys.readouterr().out.splitlines()[:3] == [
        "training: 75 of 2000 iterations",
        "  to go on, give [more] time",
        "weights: w.safetensors",
    ]
