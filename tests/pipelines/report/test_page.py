"""The page as text: what it says, what it leaves out, and that it needs nothing else."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pipelines.report.formats import number
from pipelines.report.page import render_page
from pipelines.report.previews import Picture

VOID = {"meta", "img", "br", "link", "input", "hr"}
BAD = "bad </script><b>&\"'"
SECTIONS = ("failed", "comparison", "pictures", "scenes", "curves", "steps", "classes", "made")


class Page(HTMLParser):
    """Checks that every element is closed in its turn; keeps words, ids, attributes, data."""

    def __init__(self, html):
        super().__init__()
        self.html = html
        self.open, self.words, self.elements, self.ids, self.data, self.rows = (
            [],
            [],
            [],
            [],
            [],
            [],
        )
        self.section, self.sections = None, []
        self.feed(html)
        self.close()
        assert self.open == [], "elements that are never closed"

    @property
    def text(self):
        return " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "script" and attributes.get("type") == "application/json":
            self.data.append("")
        if tag == "section":
            self.section = attributes.get("id")
        if tag == "tr":
            self.rows.append([])
            self.sections.append(self.section)
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("p", "div", "h1", "h2", "dt", "dd", "li", "th", "td"):
            self.words.append(" ")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.ids += [value for key, value in attributes if key == "id"]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"] and self.data and "svg" not in self.open:
            self.data[-1] += data
        if not {"style", "script", "svg"} & set(self.open):
            self.words.append(data)
            if self.open[-1:] and {"th", "td"} & set(self.open):
                self.rows[-1][-1] += data

    def row(self, name):
        """The row that begins so; that of the comparison's own tables only if there is no other."""
        found = [
            (section == "comparison", [cell.strip() for cell in row])
            for section, row in zip(self.sections, self.rows, strict=True)
            if row[0].strip() == name
        ]
        return min(found, key=lambda one: one[0])[1]


@pytest.fixture(scope="module")
def pictures(sample_picture):
    return [
        sample_picture("Image_11L")[0],
        sample_picture("Image_11R", steps=1, labelled=False, seed=1)[0],
    ]


@pytest.fixture(scope="module")
def full(sample_report, pictures):
    """A page with everything in it."""
    failed = [("/data/broken.jpg", "broken.jpg: cannot be read; copy it again")]
    report = sample_report(failed=failed, classes=("artery", "vein"))
    return Page(render_page(report, pictures))


def test_the_first_line_is_the_verdict(full, sample_report):
    report = sample_report()
    low, high = report.intervals["foreground.f1"]
    f1, even = report.pooled.foreground.f1, report.pooled.break_even.value
    words = full.text[full.text.index("F1 ", full.text.index("version")) :]
    assert words.startswith(f"F1 {f1:.3f} ({low:.3f} – {high:.3f}), break-even {even:.3f} (")
    assert " on 4 images of chase_db1, by vessels-dru4 · 1 failed" in words


def test_every_section_is_there(full):
    assert [name for name in full.ids if name in SECTIONS] == list(SECTIONS)
    assert "broken.jpg: cannot be read; copy it again" in full.text
    assert "A second observer’s drawing, scored in the same way, reaches F1 0.77" in full.text
    assert full.row("artery")
    assert full.row("vein")


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ({}, {"failed", "classes"}),
        ({"steps": 1}, {"failed", "classes", "steps"}),
        ({"comparison": False}, {"failed", "classes", "comparison"}),
        ({"labelled": False}, set(SECTIONS) - {"pictures", "made"}),
    ],
    ids=["one class", "one step", "one run", "no labels"],
)
def test_a_section_without_content_is_left_out(sample_report, pictures, options, gone):
    page = Page(render_page(sample_report(**options), pictures))
    assert {name for name in page.ids if name in SECTIONS} == set(SECTIONS) - gone


def test_without_pictures_no_name_is_a_link(sample_report):
    page = Page(render_page(sample_report(), []))
    assert "pictures" not in page.ids
    assert not [tag for tag, _ in page.elements if tag == "a"]


def test_where_not_all_are_shown_it_says_how_many_are(full, sample_report, pictures):
    assert "2 of 4 images are shown." in full.text
    four = Page(render_page(sample_report(), pictures * 2))
    assert "are shown." not in four.text


def test_names_link_to_their_viewers(full):
    links = [attributes["href"] for tag, attributes in full.elements if tag == "a"]
    assert links == ["#picture-1", "#picture-2"]
    assert {link[1:] for link in links} < set(full.ids)


def test_without_labels_it_says_so_and_shows_the_pictures(sample_report, pictures):
    page = Page(render_page(sample_report(labelled=False), pictures))
    assert "so no score is possible." in page.text
    assert "4 images of chase_db1, predicted by vessels-dru4" in page.text
    assert "F1" not in page.text.replace("RurNet", "")


def remarked(report, remark):
    """The report with a remark on each scene."""
    scenes = [replace(scene, remarks=(remark(scene.name),)) for scene in report.scenes]
    return render_page(replace(report, scenes=scenes), [])


def test_the_same_remark_on_many_scenes_is_said_once(sample_report):
    report = sample_report(names=[f"s{number}" for number in range(40)])
    html = remarked(report, lambda name: f"in/{name}.tif: no road: look at it")
    assert html.count("no road: look at it") == 1
    words = Page(html).text
    assert "40 scenes: no road: look at it" in words or "40 images: no road: look at it" in words
    assert ", ".join(f"in/s{number}.tif" for number in range(40)) in words


def test_of_many_different_remarks_most_are_folded(sample_report):
    report = sample_report(names=[f"s{number}" for number in range(40)])
    html = remarked(report, lambda name: f"in/{name}.tif: is called {name}")
    assert (
        html.index("is called s11") < html.index("<summary>28 more<") < html.index("is called s12")
    )
    assert "in/s39.tif: is called s39" in Page(html).text
    failed = [(f"f{number}.tif", "cannot be read") for number in range(40)]
    html = render_page(sample_report(failed=failed), [])
    assert html.index("f11.tif") < html.index("<summary>28 more<") < html.index("f12.tif")


def test_without_scenes_it_says_so(sample_report):
    failed = [("a", "a: cannot be read")]
    page = Page(render_page(sample_report(names=(), steps=0, failed=failed), []))
    assert "No scene was predicted. 1 failed" in page.text
    assert "a: cannot be read" in page.text


def test_scenes_without_a_label_are_counted_apart(sample_report, changed):
    page = Page(render_page(changed(sample_report(), {"scenes.1.scores": None}), []))
    assert "on 3 images of" in page.text
    assert "1 image had no label and is not in the scores." in page.text
    assert set(page.row("Image_11R")[1:]) == {"–"}


def test_rasters_of_unknown_origin_have_no_author(sample_report, changed):
    page = Page(render_page(changed(sample_report(), {"model": None}), []))
    assert "on 4 scenes of chase_db1 A second" in page.text
    assert "Weights" not in page.text


def test_undefined_is_a_dash(sample_report):
    report = sample_report(names=("full", "empty"), qualities=(0.8, None), classes=("vein",))
    page = Page(render_page(report, []))
    heads = page.row("image")
    empty = dict(zip(heads, page.row("empty"), strict=True))
    assert empty["recall"] == empty["best F1"] == empty["best at"] == empty["clDice"] == "–"
    assert empty["precision"] == "0.000"
    for row in page.rows:
        assert all(cell.strip() for cell in row), row
    assert not re.search(r"\b(nan|none|null|inf)\b", page.text, re.IGNORECASE)


def test_nothing_is_said_of_what_was_not_computed(sample_report):
    page = Page(render_page(sample_report(topology=False), []))
    heads = page.row("image")
    assert "F1" in heads
    assert not {"clDice", "APLS", "components", "in label"} & set(heads)


def test_drawn_masks_have_no_columns_of_thresholds(sample_report, changed):
    report = sample_report()
    lacking = dict.fromkeys(
        ("best.f1", "best.threshold", "roc_auc", "break_even.value", "break_even.threshold")
    )
    every = ("pooled", *(f"scenes.{index}.scores" for index in range(len(report.scenes))))
    masks = {f"{scores}.{path}": None for scores in every for path in lacking}
    page = Page(render_page(changed(report, masks), []))
    assert not {"best F1", "best at", "break-even", "ROC AUC"} & set(page.row("image"))
    assert "break-even – on 4 images" in page.text


def test_one_scene_has_no_interval(sample_report):
    page = Page(render_page(sample_report(names=("alone",), comparison=False), []))
    assert "on 1 image of" in page.text
    assert not any(row[0] == "95 % interval" for row in page.rows)
    assert set(page.row("standard deviation")[1:]) == {"–"}


def test_the_rows_below_are_mean_deviation_pool_and_interval(full, sample_report):
    report = sample_report(classes=("artery", "vein"))
    at = full.row("image").index("F1")
    assert full.row("mean")[at] == f"{report.mean['foreground.f1']:.3f}"
    assert full.row("standard deviation")[at] == f"{report.sd['foreground.f1']:.3f}"
    assert full.row("pooled")[at] == f"{report.pooled.foreground.f1:.3f}"
    low, high = report.intervals["foreground.f1"]
    assert full.row("95 % interval")[at] == f"{low:.3f} – {high:.3f}"
    assert full.row("second observer, mean")[at].startswith("0.77")


def test_steps_show_their_gain(full, sample_report):
    f1 = [step.pooled.foreground.f1 for step in sample_report().steps]
    heads = full.row("step")
    gains = [full.row(str(step))[heads.index("gain in F1")] for step in (1, 2, 3)]
    assert gains == ["–", f"{f1[1] - f1[0]:+.3f}", f"{f1[2] - f1[1]:+.3f}"]
    assert full.row("3")[heads.index("s / Mpx")] == "2.43"


def test_a_clear_difference_is_named(full):
    rows = [row for row in full.rows if row[0] in ("F1", "break-even", "APLS")]
    assert {row[0]: row[-1] for row in rows} == {
        "F1": "A", "break-even": "not clear", "APLS": "–",
    }  # fmt: skip


def test_another_threshold_than_half_has_its_tile(sample_report, changed):
    report = sample_report()
    assert "F1 as chosen" not in Page(render_page(report, [])).text
    report = changed(
        report, {"pooled.at_threshold.threshold": 0.4, "pooled.at_threshold.f1": 0.701}
    )
    assert "F1 as chosen 0.701" in Page(render_page(report, [])).text


def test_names_are_shown_literally(sample_report, sample_picture, changed):
    named = (
        "settings.labels", "model.name", "model.task", "model.network", "made_with.command",
        "made_with.processor", "scoring.counted", "comparison.a", "comparison.b",
    )  # fmt: skip
    report = changed(
        sample_report(names=(BAD, "plain"), failed=[(BAD, BAD)]),
        dict.fromkeys(named, BAD)
        | {"data": f"/data/{BAD.replace('/', '')}", "made_with.packages": {BAD: BAD}},
    )
    page = Page(render_page(report, [sample_picture(BAD)[0]]))
    assert page.text.count(BAD) >= 15
    assert [tag for tag, _ in page.elements].count("script") == 3  # Head, one viewer, foot.
    assert BAD in [attributes.get("alt", "")[len("Image of ") :] for _, attributes in page.elements]
    assert BAD in [attributes.get("data-value") for _, attributes in page.elements]


def test_the_data_of_a_viewer_cannot_end_its_script(full):
    scripts = re.findall(r'<script type="application/json">(.*?)</script>', full.html, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        assert not set("<>&'") & set(script)
    assert json.loads(scripts[0])["threshold"] == 127
    assert json.loads(scripts[1])["label"] is None


def test_pictures_have_the_type_their_bytes_tell(full):
    assert json.loads(full.data[0])["label"].startswith("data:image/png;base64,")
    assert {url[:23] for url in json.loads(full.data[0])["steps"]} == {"data:image/webp;base64,"}


def test_other_bytes_are_refused(sample_report):
    picture = Picture("a", 1, 1, 1.0, b"GIF89a", None, (b"GIF89a",), 127)
    with pytest.raises(ValueError, match="neither PNG nor WebP"):
        render_page(sample_report(), [picture])


def test_a_smaller_preview_says_so(sample_report, sample_picture):
    assert "Counted in this preview" not in render_page(sample_report(), [sample_picture()[0]])
    html = render_page(sample_report(), [sample_picture(scale=0.25)[0]])
    assert "Counted in this preview, at 25 % of the full resolution" in html


def test_only_several_steps_have_a_slider(full):
    sliders = [a for tag, a in full.elements if tag == "input"]
    assert [(slider["max"], slider["value"]) for slider in sliders] == [("3", "3")]


def test_it_asks_for_nothing_from_elsewhere(full):
    page = re.sub(r"data:image/(png|webp);base64,[\w+/=]+", "", full.html)
    assert not re.search(r"https?:|//[a-z]|@import", page, re.IGNORECASE)
    for tag, attributes in full.elements:
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), (tag, attributes[name][:80])
    assert not set(re.findall(r"url\(([^#])", page))
    policy = next(a["content"] for _, a in full.elements if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data: blob:;")


def test_no_element_has_a_handler_and_no_id_is_there_twice(full):
    assert not [name for _, a in full.elements for name in a if name.startswith("on")]
    assert len(full.ids) == len(set(full.ids))


def test_without_javascript_image_and_last_step_are_in_the_page(full, pictures):
    images = [a["src"] for tag, a in full.elements if tag == "img"]
    assert len(images) == 2 * len(pictures)
    assert all(image.startswith("data:image/webp") for image in images)
    assert "noscript" in [tag for tag, _ in full.elements]
    # A step stands in the page once: in its data, or as an image.
    assert not set(images) & set(json.loads(full.data[0])["steps"])


def test_the_same_report_twice_is_the_same_page(full, sample_report, pictures):
    failed = [("/data/broken.jpg", "broken.jpg: cannot be read; copy it again")]
    report = sample_report(failed=failed, classes=("artery", "vein"))
    assert render_page(report, pictures) == full.html


def test_settings_and_machine_are_told(full):
    for words in ("save_steps yes", "value_range –", "rurnet infer-drive --scenes", "3f3f3f3f",
                  "torch 2.11.0", "time spent 1 min 23 s", "inside the field of view",
                  "relaxed by, pixels 2 "):  # fmt: skip
        assert words in full.text


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (None, ".3f", "–"),
        (0.12345, ".3f", "0.123"),
        (-0.0174, "+.3f", "−0.017"),
        (1234.0, "n", "1,234"),
        (28.5, "n", "28.5"),
    ],
)
def test_numbers_are_shown_as_people_write_them(value, form, shown):
    assert number(value, form) == shown
