"""The viewer that zooms, in a real browser: panes move together, tiles come where they are seen."""

import io

import numpy as np
import pytest
from PIL import Image

from pipelines.report.page import render_page
from pipelines.report.previews import encoded
from pipelines.report.zoom.placed import placed
from pipelines.report.zoom.pyramid import Pyramid, Tile

SCENE = 1024
GREEN, BLUE = (0, 200, 0), (0, 0, 220)


@pytest.fixture(scope="module")
def tiles():
    """Of a scene of two by two tiles: its image is green, what is drawn over it has a blue line."""
    drawn = np.zeros((512, 512, 4), np.uint8)
    drawn[256] = (*BLUE, 255)
    image = np.full((512, 512, 3), GREEN, np.uint8)
    pictures = {"image": encoded(image), "overlay": encoded(drawn)}
    found = [Tile(0, row, column, pictures) for row in (0, 1) for column in (0, 1)]
    return Pyramid(SCENE, SCENE, 1, found)


@pytest.fixture
def opened(visit, tiles, tmp_path, sample_report, sample_picture):
    """Opens the page with the dialog; the page has some room for tiles."""

    def opened(room):
        picture, _, _ = sample_picture("Image_2", width=64, height=64, scale=64 / SCENE)
        where = placed(tmp_path, [tiles], room)
        page = visit(render_page(sample_report(names=("Image_2",)), [picture], (), where))
        page.get_by_role("button", name="Zoom into Image_2").click()
        page.wait_for_selector("dialog[open] .views img")
        return page

    return opened


@pytest.fixture
def zoomed(opened):
    """The page with the dialog open, and all tiles in it."""
    return opened(10**7)


def status(page):
    return page.locator("dialog [role=status]").inner_text()


def pixel(page, pane):
    """The colour of a place in a pane."""
    page.wait_for_function(
        "() => [...document.querySelectorAll('.views img')].every(image => image.complete)"
    )
    box = page.locator(".views figure").nth(pane).bounding_box()
    # Not in the middle: there four tiles meet.
    at = {"x": box["x"] + 0.3 * box["width"], "y": box["y"] + 0.4 * box["height"]}
    shot = Image.open(io.BytesIO(page.screenshot(clip={**at, "width": 1, "height": 1}))).convert(
        "RGB"
    )
    return shot.getpixel((0, 0))


@pytest.mark.parametrize("room", [10**7, 0], ids=["inside", "beside"])
def test_tiles_lie_over_the_preview_and_panes_move_together(opened, room):
    zoomed = opened(room)
    assert [one.inner_text() for one in zoomed.locator(".views figcaption").all()] == [
        "image", "agreement",
    ]  # fmt: skip
    assert pixel(zoomed, 0) == pytest.approx(GREEN, abs=4)
    zoomed.keyboard.press("1")
    assert status(zoomed) == "100 %"
    transforms = zoomed.locator(".views figure > div")
    before = [one.get_attribute("style") for one in transforms.all()]
    assert before[0] == before[1]
    zoomed.keyboard.press("ArrowDown")
    after = [one.get_attribute("style") for one in transforms.all()]
    assert after[0] == after[1] != before[0]
    # Dimmed, as the page's own panes are.
    red, green, blue = pixel(zoomed, 1)
    assert (red, blue) == pytest.approx((0, 0), abs=4)
    assert green == pytest.approx(0.42 * GREEN[1], abs=6)


def test_only_tiles_that_are_seen_are_there(zoomed):
    assert zoomed.locator(".views img").count() == 4 + 8
    for _ in range(6):
        zoomed.keyboard.press("+")
    assert status(zoomed) == "1600 %"
    for _ in range(3):
        zoomed.keyboard.press("ArrowRight")
        zoomed.keyboard.press("ArrowDown")
    assert zoomed.locator(".views img").count() == 1 + 2
    zoomed.keyboard.press("0")
    assert zoomed.locator(".views img").count() == 4 + 8


def test_the_wheel_keeps_the_place_under_the_pointer_and_escape_goes_back(zoomed):
    zoomed.mouse.move(200, 400)
    assert status(zoomed) == "58 %"
    place = """() => {
        const stage = document.querySelector(".views canvas").getBoundingClientRect();
        return (200 - stage.left) / stage.width;
    }"""
    before = zoomed.evaluate(place)
    zoomed.mouse.wheel(0, -400)
    zoomed.wait_for_function(
        "() => document.querySelector('dialog [role=status]').textContent !== '58 %'"
    )
    assert zoomed.evaluate(place) == pytest.approx(before, abs=0.01)
    zoomed.keyboard.press("Escape")
    assert not zoomed.locator("dialog").is_visible()
    label = zoomed.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label == "Zoom into Image_2"


def test_a_page_without_its_tiles_shows_the_preview(
    visit, tiles, tmp_path, sample_report, sample_picture
):
    picture, _, _ = sample_picture("Image_2", width=64, height=64)
    page = visit(render_page(sample_report(names=("Image_2",)), [picture]), width=375, height=700)
    page.get_by_role("button", name="Zoom into Image_2").click()
    assert page.locator(".views figure").count() == 2
    assert page.locator(".views img").count() == 0
    boxes = [one.bounding_box() for one in page.locator(".views figure").all()]
    assert boxes[1]["y"] > boxes[0]["y"]  # One below the other on a phone.
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.emulate_media(media="print")
    assert not page.locator("dialog").is_visible()
