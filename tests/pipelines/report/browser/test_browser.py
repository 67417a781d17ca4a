"""The page in a real browser, opened as a file."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.report.page import render_page
from pipelines.results.lines import LinesFound

HIT, MISS, ALARM, FOUND = (111, 227, 161), (61, 139, 255), (232, 64, 28), (255, 214, 10)
BAD = "bad </script><b>&\"'"
PIXELS = """canvas => {
    const { width, height } = canvas;
    return width ? [...canvas.getContext("2d").getImageData(0, 0, width, height).data] : [];
}"""


@pytest.fixture(scope="module")
def sample(sample_report, sample_picture):
    """A page with a labelled viewer of three steps, one of one step, and one without a label."""
    names = ("Image_2", "Image_10", BAD, "empty", "Image_1")
    report = sample_report(names=names, qualities=(0.80, 0.74, 0.78, None, 0.76))
    picture, label, steps = sample_picture("Image_2", scale=0.5)
    single, _, _ = sample_picture("Image_10", steps=1, seed=1)
    unlabelled, _, levels = sample_picture(BAD, labelled=False, seed=2)
    html = render_page(report, [picture, single, unlabelled])
    return SimpleNamespace(html=html, label=label, steps=steps, unlabelled=levels)


def drawn(viewer, pane):
    """The canvas's pixels [h, w, 3], once it was drawn."""
    canvas = viewer.locator(f"canvas[data-pane={pane}]")
    viewer.scroll_into_view_if_needed()
    # 300 pixels wide before it is drawn, none once it is far away.
    viewer.page.wait_for_function("c => c.width === 96", arg=canvas.element_handle())
    pixels = np.array(canvas.evaluate(PIXELS), np.uint8)
    return pixels.reshape(canvas.evaluate("c => c.height"), -1, 4)[..., :3]


def counts(viewer):
    shown = viewer.locator("[data-count]").all()
    return {
        one.get_attribute("data-count"): int(one.inner_text().replace(",", "")) for one in shown
    }


def set_step(viewer, step):
    viewer.locator("input[type=range]").evaluate(
        "(slider, step) => { slider.value = step; slider.dispatchEvent(new Event('input')); }", step
    )


def agreement(label, level):
    counted = (label != 255) & (level != 255)
    found, real = counted & (level >= 127), counted & (label == 254)
    return {"hits": found & real, "misses": real & ~found, "alarms": found & ~real}


def of_color(pixels, color):
    return (pixels == np.array(color, np.uint8)).all(axis=-1)


def test_every_step_shows_its_hits_misses_and_false_alarms(visit, sample):
    page = visit(sample.html)
    viewer = page.locator(".viewer").first
    pictures = []
    for step in (3, 1, 2):
        drawn(viewer, "overlay")
        set_step(viewer, step)
        overlay = drawn(viewer, "overlay")
        expected = agreement(sample.label, sample.steps[step - 1])
        for name, color in (("hits", HIT), ("misses", MISS), ("alarms", ALARM)):
            np.testing.assert_array_equal(of_color(overlay, color), expected[name], name)
        assert counts(viewer) == {name: int(mask.sum()) for name, mask in expected.items()}
        assert all(counts(viewer).values())
        assert viewer.locator(".step").inner_text() == f"step {step} of 3"
        pictures.append(overlay)
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[1] != pictures[2]).any()


def test_the_prediction_gets_lighter_with_probability(visit, sample):
    viewer = visit(sample.html).locator(".viewer").first
    lightness = drawn(viewer, "prediction").astype(int).sum(axis=-1)
    level = sample.steps[2]
    there = level != 255
    means = [lightness[level == value].mean() for value in np.unique(level[there])]
    assert (np.diff(means) > 0).all()
    label = drawn(viewer, "label").astype(int).sum(axis=-1)
    assert label[sample.label == 254].min() > label[sample.label == 0].max()


def test_missing_pixels_are_hatched_in_grey(visit, sample):
    viewer = visit(sample.html).locator(".viewer").first
    missing = drawn(viewer, "prediction")[:, :5]
    assert len(np.unique(missing.reshape(-1, 3), axis=0)) == 2
    not_counted = drawn(viewer, "overlay")[:4]
    np.testing.assert_array_equal(np.unique(not_counted.reshape(-1, 3), axis=0),
                                  np.unique(missing.reshape(-1, 3), axis=0))  # fmt: skip


def test_the_slider_follows_the_keyboard(visit, sample):
    page = visit(sample.html)
    viewer = page.locator(".viewer").first
    drawn(viewer, "overlay")
    before = counts(viewer)
    slider = viewer.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "step 2 of 3"
    assert counts(viewer) != before
    assert "at 50 % of the full resolution" in viewer.inner_text()


def test_without_a_label_the_mask_is_yellow(visit, sample):
    page = visit(sample.html)
    viewer = page.locator(".viewer").nth(2)
    overlay = drawn(viewer, "overlay")
    level = sample.unlabelled[-1]
    np.testing.assert_array_equal(of_color(overlay, FOUND), (level >= 127) & (level != 255))
    assert list(counts(viewer)) == ["found"]
    assert viewer.locator("canvas[data-pane=label]").count() == 0
    assert viewer.locator("h3").inner_text() == BAD


def test_one_step_needs_no_slider(visit, sample):
    viewer = visit(sample.html).locator(".viewer").nth(1)
    drawn(viewer, "overlay")
    assert viewer.locator("input").count() == 0
    assert counts(viewer)["hits"] > 0


def test_a_pane_is_enlarged_by_a_click(visit, sample):
    viewer = visit(sample.html).locator(".viewer").first
    panes = viewer.locator(".pane")
    widths = [panes.nth(index).bounding_box()["width"] for index in range(4)]
    assert widths[0] > 2 * max(widths[1:])
    panes.nth(2).click()
    assert panes.nth(2).bounding_box()["width"] == pytest.approx(widths[0])
    assert panes.nth(0).bounding_box()["width"] == pytest.approx(widths[2])
    bottoms = [b["y"] + b["height"] for b in (panes.nth(i).bounding_box() for i in (2, 3))]
    assert bottoms[0] == pytest.approx(bottoms[1], abs=1)


def test_tables_with_a_column_of_files_are_sorted_too_and_whole_on_paper(visit, sample_report):
    report = sample_report(names=("a", "b", "c"))
    scenes = [
        replace(scene, lines=LinesFound(km, 1, 1, 1, 1, 0), files={"lines": "lines.gpkg"})
        for scene, km in zip(report.scenes, (2.0, 3.0, 1.0), strict=True)
    ]
    page = visit(render_page(replace(report, scenes=scenes), []))
    table = page.locator("#lines table")
    head = table.locator("thead th").nth(1)
    clicked(head.locator("button"), lambda: head.get_attribute("aria-sort") == "ascending")
    assert table.locator("tbody th").all_inner_texts() == ["c", "a", "b"]
    page.emulate_media(media="print")
    assert table.evaluate("e => getComputedStyle(e).breakInside") == "avoid"
    assert page.locator("details[open]").first.is_visible()
    assert not page.locator("details:not([open])").first.is_visible()


def column(page, index):
    rows = page.locator("table.sortable tbody tr").all()
    return [row.locator("th, td").nth(index).inner_text() for row in rows]


def clicked(target, done):
    """Clicks until that shows: what still moves while a page is laid out may be missed once."""
    for _ in range(3):
        target.click()
        for _ in range(50):
            if done():
                return
            target.page.wait_for_timeout(100)
    raise AssertionError(f"{target}: a click does nothing")


def test_the_table_sorts_worst_first_then_best_and_undefined_last(visit, sample):
    page = visit(sample.html)
    button = page.get_by_role("button", name="best F1")
    below = page.locator("table.sortable tfoot").inner_text()
    at = page.locator("table.sortable thead th").all_inner_texts().index("best F1")
    values = [value for value in column(page, at) if value != "–"]
    assert values != sorted(values)
    head = page.locator("table.sortable thead th").nth(at)
    clicked(button, lambda: head.get_attribute("aria-sort") == "ascending")
    assert column(page, at) == [*sorted(values), "–"]
    clicked(button, lambda: head.get_attribute("aria-sort") == "descending")
    assert column(page, at) == [*sorted(values, reverse=True), "–"]
    page.get_by_role("button", name="image", exact=True).first.click()
    assert column(page, 0) == [BAD, "empty", "Image_1", "Image_2", "Image_10"]
    assert head.get_attribute("aria-sort") is None
    assert page.locator("table.sortable tfoot").inner_text() == below


def test_a_name_leads_to_its_viewer(visit, sample):
    page = visit(sample.html, reduced_motion="reduce")
    viewer = page.locator(".viewer").nth(2)
    assert viewer.bounding_box()["y"] > 900
    link = page.locator("table.sortable").get_by_role("link", name=BAD)
    clicked(link, lambda: page.url.endswith("/report.html#picture-3"))
    assert 0 <= viewer.bounding_box()["y"] < 900


def test_a_phone_has_no_sideways_scroll(visit, sample):
    page = visit(sample.html, width=375, height=800)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    box = page.locator(".wide:has(table.sortable)")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    box.evaluate("box => box.scrollLeft = 200")
    assert page.locator("tbody th").first.bounding_box()["x"] >= 0


def test_a_long_name_does_not_widen_a_phone(visit, sample_report, sample_picture, changed):
    name = "scene_" + "0123456789" * 12
    report = sample_report(names=(name,), failed=[(f"/{name}", name)])
    report = changed(report, {"data": f"/{name}"})
    page = visit(render_page(report, [sample_picture(name)[0]]), width=375, height=800)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def lightness(page, what, style):
    value = page.locator(what).first.evaluate(f"e => getComputedStyle(e)['{style}']")
    return sum(map(float, re.findall(r"[\d.]+", value)[:3])) / 3


def test_it_is_dark_where_the_reader_wants_it_dark(visit, sample):
    page = visit(sample.html)
    assert lightness(page, "body", "backgroundColor") > 240
    assert lightness(page, "h1", "color") < 60
    assert lightness(page, "figure svg text", "fill") < 140
    page.emulate_media(color_scheme="dark")
    assert lightness(page, "body", "backgroundColor") < 40
    assert lightness(page, "h1", "color") > 200
    assert lightness(page, "figure svg text", "fill") > 150
    page.emulate_media(color_scheme="dark", media="print")
    assert lightness(page, "body", "backgroundColor") > 240
    assert lightness(page, "h1", "color") < 60


def test_paper_shows_the_last_step_of_all_and_no_controls(visit, sample):
    page = visit(sample.html, height=300)
    first = page.locator(".viewer").first
    drawn(first, "overlay")
    set_step(first, 1)
    page.evaluate("scrollTo(0, 0)")
    page.emulate_media(media="print")
    for control in page.locator(".slider, input").all():
        assert not control.is_visible()
    # What beforeprint has drawn when printing starts, in one go.
    shown = page.evaluate(
        f"""() => {{
            dispatchEvent(new Event("beforeprint"));
            return [...document.querySelectorAll("canvas[data-pane=overlay]")].map({PIXELS});
        }}"""
    )
    assert len(shown) == 3
    overlay = np.array(shown[0], np.uint8).reshape(*sample.label.shape, 4)[..., :3]
    hits = agreement(sample.label, sample.steps[2])["hits"]
    np.testing.assert_array_equal(of_color(overlay, HIT), hits)
    level = sample.unlabelled[-1]
    mask = np.array(shown[2], np.uint8).reshape(*level.shape, 4)[..., :3]
    assert of_color(mask, FOUND).sum() == ((level >= 127) & (level != 255)).sum()
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    drawn(first, "overlay")
    assert first.locator(".step").inner_text() == "step 1 of 3"
    assert page.pdf()[:5] == b"%PDF-"


def test_without_javascript_image_and_prediction_are_seen(visit, sample):
    page = visit(sample.html, java_script_enabled=False)
    viewer = page.locator(".viewer").first
    assert [viewer.locator("img").nth(index).is_visible() for index in (0, 1)] == [True, True]
    assert not viewer.locator("canvas").first.is_visible()
    assert not viewer.locator("input").is_visible()
    assert page.locator("noscript p").is_visible()


def test_fifty_viewers_decode_only_what_is_near(visit, sample_report, sample_picture):
    names = tuple(f"scene {index}" for index in range(50))
    pictures = [sample_picture(name, seed=index)[0] for index, name in enumerate(names)]
    page = visit(render_page(sample_report(names=names), pictures))
    last = page.locator(".viewer").last
    count = """[...document.querySelectorAll("canvas[data-pane=label]")]
        .filter(canvas => canvas.width === 96).length"""
    assert page.evaluate(count) < 5
    drawn(last, "overlay")
    assert counts(last)["hits"] > 0
    for position in range(0, 50, 10):
        drawn(page.locator(".viewer").nth(position), "overlay")
    assert 0 < page.evaluate(count) < 12
