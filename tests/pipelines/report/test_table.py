"""`scores.csv`, and what a terminal shows, against the report they are taken from."""

import csv
import io
from dataclasses import asdict

import pytest

from pipelines.report.columns import TERMINAL
from pipelines.report.table import as_csv, rows
from pipelines.scores.scores import PATHS, by_path

LEADING = ["by", "of", "scene"]
HOSTILE = ("a&b <i>, 'c'", 'quoted "so"', "two\nlines", "=1+1", "Weg 7; Ü", " blank ")


def lines_of(report):
    """Lines of the table by their first three columns, each of which is there once."""
    table = list(csv.DictReader(io.StringIO(as_csv(report), newline="")))
    found = {tuple(line[name] for name in LEADING): line for line in table}
    assert len(found) == len(table)
    return found


def agree(line, numbers):
    """Whether a line has exactly these numbers, to six digits; nothing where one is undefined."""
    assert list(line) == [*LEADING, *PATHS]
    for path in PATHS:
        value = numbers.get(path)
        if value is None:
            assert line[path] == "", path
        else:
            assert float(line[path]) == pytest.approx(value, rel=6e-6), path


def numbers_in(scores, path=""):
    """Paths of all that is a number, but for the parts that the table leaves out."""
    if not isinstance(scores, dict):
        return [path]
    return [
        found
        for key, value in scores.items()
        if (inner := f"{path}.{key}".lstrip("."))
        not in ("calibration.bins", "classes", "relaxed.rho")
        for found in numbers_in(value, inner)
    ]


@pytest.fixture(scope="module")
def everything(sample_report):
    """Scenes, one of them without foreground, a second observer, three steps, three classes."""
    names = ("one", "empty", "three")
    return sample_report(names, qualities=(0.7, None, 0.8), classes=("road", "path"))


def test_columns_are_the_paths_of_all_numbers(everything):
    head = as_csv(everything).splitlines()[0].split(",")
    assert head == [*LEADING, *PATHS]
    assert list(PATHS) == numbers_in(asdict(everything.pooled))


def test_there_is_a_line_for_each_scene_and_each_summary_and_no_other(everything):
    scenes, summaries = [("scene", name) for name in ("one", "empty", "three")], []
    for by in ("prediction", "second observer"):
        summaries += [(by, *scene) for scene in scenes]
        summaries += [(by, of, "") for of in ("mean", "sd", "pooled", "low", "high")]
    for step in (1, 2, 3):
        summaries += [(f"step {step}", of, "") for of in ("pooled", "low", "high")]
    assert list(lines_of(everything)) == summaries


def test_every_line_agrees_with_the_report(everything):
    lines = lines_of(everything)
    groups = [("prediction", everything), ("second observer", everything.second_observer)]
    for by, of in groups:
        for scene in of.scenes:
            agree(lines[by, "scene", scene.name], by_path(scene.scores))
        agree(lines[by, "mean", ""], of.mean)
        agree(lines[by, "sd", ""], of.sd)
    groups += [(f"step {step.step}", step) for step in everything.steps]
    for by, of in groups:
        agree(lines[by, "pooled", ""], by_path(of.pooled))
        for end, name in enumerate(("low", "high")):
            ends = {path: value and value[end] for path, value in of.intervals.items()}
            agree(lines[by, name, ""], ends)


def test_what_is_undefined_is_empty(everything):
    empty = lines_of(everything)["prediction", "scene", "empty"]
    assert (empty["foreground.recall"], empty["break_even.value"]) == ("", "")
    assert float(empty["foreground.precision"]) == 0
    second = lines_of(everything)["second observer", "pooled", ""]
    assert (second["best.f1"], second["roc_auc"]) == ("", "")
    assert "nan" not in as_csv(everything).lower()
    assert "none" not in as_csv(everything).lower()


def test_a_column_without_an_interval_has_no_ends(sample_report, changed):
    report = changed(sample_report(), {"intervals.foreground.recall": None})
    assert lines_of(report)["prediction", "low", ""]["foreground.recall"] == ""


def test_counts_are_whole(sample_report, changed):
    counts = {"pixels": 123_456_789_012, "topology.components": 12_345_678}
    counts = {f"scenes.0.scores.{path}": count for path, count in counts.items()}
    report = changed(sample_report(("large",)), counts)
    line = lines_of(report)["prediction", "scene", "large"]
    assert line["pixels"] == "123456789012"
    assert line["topology.components"] == "12345678"


def test_a_scene_without_a_label_has_a_line_without_numbers(sample_report):
    lines = lines_of(sample_report(("one", "two"), labelled=False))
    assert list(lines) == [
        ("prediction", "scene", "one"), ("prediction", "scene", "two"),
    ]  # fmt: skip
    for line in lines.values():
        agree(line, {})


def test_without_topology_its_columns_stay_and_are_empty(sample_report):
    line = lines_of(sample_report(("one",), topology=False))["prediction", "pooled", ""]
    assert line["topology.cldice"] == ""
    assert line["foreground.f1"] != ""


def test_one_scene_has_no_ends_of_intervals(sample_report):
    lines = lines_of(sample_report(("one",), steps=0, second=False))
    assert [of for _, of, _ in lines] == ["scene", "mean", "sd", "pooled"]
    agree(lines["prediction", "sd", ""], {})


def test_of_no_scene_only_the_head_is_left(sample_report):
    assert as_csv(sample_report((), steps=0)).splitlines() == [",".join([*LEADING, *PATHS])]


def test_any_name_comes_back_as_it_is(sample_report):
    lines = lines_of(sample_report(HOSTILE, second=False, steps=0))
    assert tuple(scene for _, of, scene in lines if of == "scene") == HOSTILE


def test_a_class_may_be_called_as_a_score_is(sample_report):
    report = sample_report(("one",), classes=("pixels", "foreground"))
    assert by_path(report.pooled)["pixels"] == 100_000
    assert list(by_path(report.pooled)) == list(PATHS)


def test_a_terminal_shows_the_scenes_their_mean_the_pool_and_the_second_observer(everything):
    shown = rows(everything)
    assert [name for name, _ in shown] == [
        "one", "empty", "three", "mean", "pooled", "second observer",
    ]  # fmt: skip
    assert set(TERMINAL.values()) <= set(PATHS)
    by_name = dict(shown)
    assert by_name["one"]["foreground.f1"] == everything.scenes[0].scores.foreground.f1
    assert "break_even.value" not in by_name["empty"]
    assert by_name["mean"] == everything.mean
    drawn = everything.second_observer.pooled
    assert by_name["second observer"]["foreground.iou"] == drawn.foreground.iou


def test_a_terminal_shows_names_alone_where_there_are_no_labels(sample_report):
    shown = rows(sample_report(("one", "two"), labelled=False, second=False))
    assert shown == [("one", {}), ("two", {})]
