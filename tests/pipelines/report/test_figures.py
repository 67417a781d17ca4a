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
    assert recall.tolist() == report["curve"]["recall"][:-1]  # The last precision is undefined.
    assert precision.tolist() == report["curve"]["precision"][:-1]
    relaxed, _ = line(curve_figure(report), "relaxed, 2 px")
    assert relaxed.tolist() == report["curve"]["relaxed_recall"][:-1]


def test_break_evens_are_marked_on_the_diagonal(report):
    for value in (
        report["pooled"]["break_even"]["value"],
        report["pooled"]["relaxed"]["break_even"],
    ):
        x, y = line(curve_figure(report), f"break-even {value:.3f}")
        assert x.tolist() == y.tolist() == [value]


def test_half_is_marked_beside_another_chosen_threshold(report):
    assert "threshold 0.50" not in labels(curve_figure(report))
    report["pooled"]["at_threshold"] |= {"threshold": 0.4, "precision": 0.7, "recall": 0.9}
    figure = curve_figure(report)
    x, y = line(figure, "chosen threshold 0.40")
    assert (x.item(), y.item()) == (0.9, 0.7)
    x, y = line(figure, "threshold 0.50")
    assert (x.item(), y.item()) == (
        report["curve"]["recall"][127],
        report["curve"]["precision"][127],
    )


def test_a_point_without_a_value_is_not_marked(report):
    report["pooled"]["break_even"]["value"] = None
    report["pooled"]["relaxed"] |= dict.fromkeys(("precision", "recall", "break_even"))
    assert labels(curve_figure(report)) == ["strict", "chosen threshold 0.50", "relaxed, 2 px"]


def test_empty_bins_are_left_out_of_the_reliability_diagram(report):
    figure = reliability_figure(report)
    probability, share = line(figure, "predicted, ECE 0.021")
    assert len(probability) == 9
    assert np.isfinite(share).all()


def test_steps_are_drawn_in_their_order(report):
    _, f1 = line(steps_figure(report), "F1")
    assert f1.tolist() == [step["pooled"]["foreground"]["f1"] for step in report["steps"]]
    report["steps"][1]["intervals"] = None
    for step in report["steps"]:
        step["pooled"]["topology"] = None
    assert labels(steps_figure(report)) == ["F1", "break-even", "relaxed F1"]


def test_there_is_nothing_to_draw_without_scores(sample_report):
    report = sample_report(labelled=False)
    assert [draw(report) for draw in FIGURES] == [None, None, None]
    assert steps_figure(sample_report(steps=1)) is None


def test_masks_have_neither_curve_nor_reliability(report):
    report["curve"] = report["pooled"]["calibration"] = None
    assert curve_figure(report) is None
    assert reliability_figure(report) is None


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
