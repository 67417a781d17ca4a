"""Figures of a run for a paper: from its report and the files that it names."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipelines.config.scoring import ScoringSettings
from pipelines.errors import DataError
from pipelines.report.build import THERE, build_report
from pipelines.report.figures import curve_figure
from pipelines.report.paper import FORMATS, figures_of, main, panel_figure
from pipelines.report.write import write_report
from pipelines.results.outcome import SceneOutcome
from pipelines.results.report import as_json, from_json


@pytest.fixture
def run(write_raster, sample_report, tmp_path):
    """A run of five scenes, of which the last has no label; returns its folder."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 60)).astype(np.uint8)
    image = str(write_raster(tmp_path / "image.tif", pixels))
    levels = str(write_raster(tmp_path / "probability.tif", pixels[:1], nodata=255))
    label = str(write_raster(tmp_path / "label.tif", pixels[1:2] // 128))
    report = sample_report(names="abcde", qualities=(0.8, 0.7, 0.75, 0.9, 0.6))
    scenes = [
        replace(
            scene, input=image, label=label, files={"probability": levels}, height=40, width=60
        )
        for scene in report.scenes
    ]  # fmt: skip
    scenes[-1] = replace(scenes[-1], label=None, label_left_out=None, scores=None)
    folder = tmp_path / "run"
    write_report(folder, replace(report, scenes=scenes), [])
    return folder


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def rows(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def read(folder):
    return from_json(json.loads((folder / "report.json").read_text()))


def test_a_report_is_read_back_as_it_was(run, sample_report):
    contents = json.loads((run / "report.json").read_text())
    assert json.loads(json.dumps(as_json(from_json(contents)))) == contents
    empty = build_report([], ScoringSettings(), counted=THERE)
    assert from_json(json.loads(json.dumps(as_json(empty)))).scenes == []


def test_every_figure_comes_in_every_format_and_the_same_bytes_again(run, tmp_path):
    found = figures_of(run)
    names = ["pr-curve", "reliability", "steps", "panel"]
    assert [path.name for path in found] == [f"{name}.{kind}" for name in names for kind in FORMATS]
    assert {path.parent for path in found} == {run / "figures"}
    starts = {"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}
    assert all(path.read_bytes().startswith(starts[path.suffix[1:]]) for path in found)
    for path in figures_of(run / "report.json", output=tmp_path / "again"):
        assert path.read_bytes() == (run / "figures" / path.name).read_bytes(), path.name


def test_the_panel_has_the_worst_the_middle_and_the_best_or_those_that_are_named(run, capsys):
    report = read(run)
    by_name = {scene.name: scene for scene in report.scenes}
    figure = panel_figure(report, [by_name["a"]])
    assert titles(figure) == ["image", "label", "mask", "agreement"]
    assert rows(figure) == [f"a, F1 {by_name['a'].scores.at_threshold.f1:.3f}"]
    without = panel_figure(report, [by_name["e"]])
    assert titles(without) == ["image", "mask"]
    assert rows(without) == ["e"]
    main("rurnet figures", [str(run)])
    assert capsys.readouterr().out.splitlines()[-1] == str(run / "figures" / "panel.png")
    svg = (run / "figures" / "panel.svg").read_text()
    order = [svg.index(f"{name}, F1") for name in "bad"]
    assert order == sorted(order)
    assert "c, F1" not in svg


def test_rasters_that_were_only_scored_have_no_image(run):
    report = read(run)
    scored = replace(report.scenes[0], tiles=None)
    assert titles(panel_figure(report, [scored])) == ["label", "mask", "agreement"]


def test_what_is_not_there_is_named_with_what_to_do(run, tmp_path, capsys):
    with pytest.raises(DataError, match=r"none: no such scene in the report; it has a, b, c, d, e"):
        figures_of(run, ["none"])
    with pytest.raises(DataError, match=r"gone: no such file; give the --output folder of a run"):
        figures_of(tmp_path / "gone")
    (tmp_path / "report.json").write_text('{"schema": 1}')
    with pytest.raises(DataError, match=r"is no report of this version .*run the command"):
        figures_of(tmp_path)
    (tmp_path / "image.tif").unlink()
    with pytest.raises(DataError, match=r"cannot be drawn .*in the folder in which the run was"):
        figures_of(run)
    with pytest.raises(SystemExit) as end:
        main("rurnet figures", [str(run)])
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_second_observer_is_a_point_on_the_curve(sample_report):
    report = sample_report()
    drawn = [line for axes in curve_figure(report).axes for line in axes.lines]
    [point] = [line for line in drawn if line.get_label() == "second observer"]
    second = report.second_observer.pooled.foreground
    assert point.get_xydata().tolist() == [[second.recall, second.precision]]
    alone = curve_figure(sample_report(second=False))
    labels = [text.get_text() for legend in alone.legends for text in legend.get_texts()]
    assert "second observer" not in labels


def test_a_run_of_nothing_has_no_figures(tmp_path):
    empty = build_report([], ScoringSettings(), counted=THERE)
    write_report(tmp_path, empty, [SceneOutcome("bad", "bad.tif", error="bad.tif: gone")])
    with pytest.raises(DataError, match=r"nothing to draw: .* give a run of"):
        figures_of(tmp_path)
    assert not (tmp_path / "figures").exists()


def test_scenes_that_were_scored_as_lines_have_no_picture(run):
    report = read(run)
    lines = replace(report.scenes[0], files={"lines": "lines.gpkg"}, scores=None)
    write_report(run, replace(report, scenes=[lines, *report.scenes[1:]]), [])
    assert "panel.png" in {path.name for path in figures_of(run)}
    with pytest.raises(DataError, match=r"^a: was scored as lines"):
        figures_of(run, ["a"])
    unscored = replace(report, curve=None, pooled=None, second_observer=None, steps=[])
    nothing = replace(unscored, scenes=[lines])
    write_report(run, nothing, [])
    with pytest.raises(DataError, match="nothing to draw"):
        figures_of(run)
