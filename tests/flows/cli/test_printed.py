"""What a command prints of its result: whole names, however many columns there are."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from flows.cli.printed import print_result, score_table
from pipelines.results.result import Result
from tests.pipelines.report.sample_reports import build_report

NAMES = [f"PAT0001_2025-03-02_{eye}_{number}" for eye in ("OD", "OS") for number in (1, 2)]


@pytest.fixture(scope="module")
def report():
    found = build_report()
    scenes = [replace(one, name=name) for one, name in zip(found.scenes, NAMES, strict=True)]
    return replace(found, scenes=scenes, comparison=None)


def test_in_a_pipe_each_image_has_a_line_with_its_whole_name(report, capsys):
    print_result(Result(report, Path("out"), ()))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("PAT")] == NAMES
    assert "relaxed F1" in lines[0]


def test_on_a_terminal_of_80_columns_no_name_is_cut_off(report):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    console.print(score_table(report))
    first = "".join(line.split(" ")[0] for line in screen.getvalue().splitlines()[1:])
    assert all(name in first for name in NAMES)
    assert "…" not in first
