"""The figures: what they show, and that their SVG can stand in any page."""

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from pipelines.report.figures import (
    curve_figure,
    inline_svg,
    reliability_figure,
    steps_figure,
    write_figures,
)

FIGURES = (curve_figure, reliability_figure, steps_figure)
NAMES = ["pr-curve.png", "reliability.png", "steps.png"]


@pytest.fixture
def report(sample_report):
    return sample_report()


def labels(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def line(figure, label):
    drawn = [line for axes in figure.axes for line in axes.lines]
    x, y = next(line for line in drawn if line.get_label() == label).get_data()
    return np.asarray(x, dtype=float), np.asarray(y, dtype=float)


def test_the_curve_is_that_of_the_report(report):
    recall, precision = line(curve_figure(report), "strict")
    assert recall.tolist() == report.curve.recall[:-1]  # The last precision is undefined.
    assert precision.tolist() == report.curve.precision[:-1]
    relaxed, _ = line(curve_figure(report), "relaxed, 2 px")
    assert relaxed.tolist() == report.curve.relaxed_recall[:-1]


def test_break_evens_are_marked_on_the_diagonal(report):
    for value in (
        report.pooled.break_even.value,
        report.pooled.relaxed.break_even,
    ):
        x, y = line(curve_figure(report), f"break-even {value:.3f}")
        assert x.tolist() == y.tolist() == [value]


def test_half_is_marked_beside_another_chosen_threshold(report, changed):
    assert "threshold 0.50" not in labels(curve_figure(report))
    chosen = {"precision": 0.7, "recall": 0.9}
    chosen = {f"pooled.at_threshold.{name}": value for name, value in chosen.items()}
    figure = curve_figure(changed(report, chosen | {"pooled.at_threshold.threshold": 0.4}))
    x, y = line(figure, "chosen threshold 0.40")
    assert (x.item(), y.item()) == (0.9, 0.7)
    x, y = line(figure, "threshold 0.50")
    assert (x.item(), y.item()) == (
        report.curve.recall[127],
        report.curve.precision[127],
    )


def test_a_point_without_a_value_is_not_marked(report, changed):
    lacking = ("break_even.value", "relaxed.precision", "relaxed.recall", "relaxed.break_even")
    report = changed(report, {f"pooled.{path}": None for path in lacking})
    wanted = ["strict", "chosen threshold 0.50", "relaxed, 2 px", "second observer"]
    assert labels(curve_figure(report)) == wanted


def test_empty_bins_are_left_out_of_the_reliability_diagram(report):
    figure = reliability_figure(report)
    probability, share = line(figure, "predicted, ECE 0.021")
    assert len(probability) == 9
    assert np.isfinite(share).all()


def test_steps_are_drawn_in_their_order(report, changed):
    _, f1 = line(steps_figure(report), "F1")
    assert f1.tolist() == [step.pooled.foreground.f1 for step in report.steps]
    lacking = ("steps.1.intervals", *(f"steps.{step}.pooled.topology" for step in range(3)))
    assert labels(steps_figure(changed(report, dict.fromkeys(lacking)))) == [
        "F1",
        "break-even",
        "relaxed F1",
    ]


def test_there_is_nothing_to_draw_without_scores(sample_report):
    report = sample_report(labelled=False)
    assert [draw(report) for draw in FIGURES] == [None, None, None]
    assert steps_figure(sample_report(steps=1)) is None


def test_masks_have_neither_curve_nor_reliability(report, changed):
    drawn = report.second_observer.pooled.calibration
    masks = changed(report, {"curve": None, "pooled.calibration": drawn})
    assert curve_figure(masks) is None
    assert reliability_figure(masks) is None


@pytest.mark.parametrize("draw", FIGURES)
def test_an_svg_refers_to_itself_only(report, draw):
    svg = inline_svg(draw(report))
    root = ElementTree.fromstring(svg)
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg))
    assert used
    assert {one or other for one, other in used} <= ids
    assert not re.search(r"https?:|<!|<style|<metadata|<script|<image", svg)
    assert svg.startswith("<svg ")


@pytest.mark.parametrize("draw", FIGURES)
def test_text_stays_text_in_the_font_and_colours_of_the_page(report, draw):
    svg = inline_svg(draw(report))
    texts = {"".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("text")}
    assert len(texts) > 5
    assert "font-family" not in svg
    bare = re.sub(r"var\(--[a-z]+, #[0-9a-f]{6}\)", "", svg)
    assert not re.findall(r"(?:stroke|fill): #[0-9a-f]{3,6}", bare)


def test_two_svgs_share_no_id(report):
    ids = [set(re.findall(r'\bid="([^"]+)"', inline_svg(draw(report)))) for draw in FIGURES]
    assert all(ids)
    assert not ids[0] & ids[1]
    assert not ids[1] & ids[2]


def test_the_same_figure_twice_is_the_same_text_and_leaves_no_setting(report):
    before = dict(matplotlib.rcParams)
    assert inline_svg(curve_figure(report)) == inline_svg(curve_figure(report))
    assert dict(matplotlib.rcParams) == before


def test_pngs_are_whole_and_of_300_dpi(report, tmp_path):
    assert write_figures(tmp_path, report) == [tmp_path / name for name in NAMES]
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
    for name in NAMES:
        with Image.open(tmp_path / name) as image:
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert image.width > 1400


def test_what_cannot_be_drawn_is_not_written(sample_report, tmp_path):
    assert write_figures(tmp_path, sample_report(labelled=False)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_figure_cut_short_has_another_name(report, tmp_path, monkeypatch):
    def full_disk(figure, path, **options):
        path.write_bytes(b"\x89PN")
        raise OSError("no space left")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_figures(tmp_path, report)
    assert all(path.name.startswith(".") for path in tmp_path.iterdir())
