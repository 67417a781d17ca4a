"""Tiles of a scene: at full resolution they are its pixels, further up errors stay to be seen."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.report import page
from pipelines.report.previews import previews
from pipelines.report.zoom import pyramid as made
from pipelines.report.zoom.placed import FOLDER, placed
from pipelines.report.zoom.pyramid import SIDE, pyramids
from tests.pipelines.report.pictures import decoded, f1_of

HEIGHT, WIDTH = 700, 1400
HIT, MISS, ALARM, NOTHING = (111, 227, 161, 255), (61, 139, 255, 255), (232, 64, 28, 255), (0,) * 4


@pytest.fixture
def scene(outcome_of):
    """An outcome of a large scene: a road that was found, one that was missed, a false alarm."""
    image = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    image[0] = np.linspace(0, 255, WIDTH)
    levels = np.zeros((HEIGHT, WIDTH), np.uint8)
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    levels[100:108] = label[100:108] = 254
    label[300] = 254
    levels[600:604] = 200
    return outcome_of(image, levels, label=label)


def tiles_of(outcome, others=None):
    pictures = previews([outcome], f1_of([outcome]), 127)
    [found] = pyramids(pictures, {outcome.name: outcome}, None, others or {})
    return pictures, found


def test_the_finest_tiles_are_the_scenes_own_pixels(scene):
    _, found = tiles_of(scene)
    assert (found.height, found.width, found.levels) == (HEIGHT, WIDTH, 1)
    by_name = {tile.name: tile for tile in found.tiles}
    assert sorted(by_name) == sorted(f"0-{row}-{column}" for row in (0, 1) for column in (0, 1, 2))
    corner = by_name["0-1-2"]
    image = decoded(corner.pictures["image"]).astype(int)
    assert image.shape == (HEIGHT - SIDE, WIDTH - 2 * SIDE, 3)
    expected = np.linspace(0, 255, WIDTH)[2 * SIDE :]
    assert np.abs(image[..., 0].mean(axis=0) - expected).max() < 8
    first = decoded(by_name["0-0-0"].pictures["overlay"])
    assert tuple(first[104, 10]) == HIT
    assert tuple(first[300, 10]) == MISS
    assert tuple(first[301, 10]) == NOTHING
    assert tuple(decoded(corner.pictures["overlay"])[602 - SIDE, 5]) == ALARM


def test_halves_keep_a_missed_line_of_one_pixel(scene, monkeypatch):
    pictures, _ = tiles_of(scene)
    small = replace(pictures[0], width=320, height=160, scale=320 / WIDTH)
    found = made.pyramid(small, scene, None, None)
    assert found.levels == 3
    [top] = [tile for tile in found.tiles if tile.level == 2]
    overlay = decoded(top.pictures["overlay"])
    assert overlay.shape[:2] == (HEIGHT // 4, WIDTH // 4)
    assert (overlay[75] == MISS).all(axis=-1).all()


def test_a_preview_with_all_pixels_needs_no_tiles_nor_does_a_scene_too_many(
    scene, outcome_of, monkeypatch
):
    little = outcome_of(np.zeros((3, 40, 60), np.uint8), np.zeros((40, 60), np.uint8), name="small")
    pictures, found = tiles_of(little)
    assert pictures[0].scale == 1
    assert found is None
    monkeypatch.setattr(made, "MOST_PIXELS", HEIGHT * WIDTH - 1)
    assert tiles_of(scene)[1] is None


def test_two_runs_have_a_b_and_their_difference(scene, outcome_of):
    levels = np.zeros((HEIGHT, WIDTH), np.uint8)
    levels[100:108] = levels[300] = 254
    other = outcome_of(np.zeros((3, HEIGHT, WIDTH), np.uint8), levels, name="other")
    _, found = tiles_of(scene, {scene.name: other})
    [first] = [tile for tile in found.tiles if tile.name == "0-0-0"]
    assert set(first.pictures) == {"image", "overlay", "other", "difference"}
    assert tuple(decoded(first.pictures["overlay"])[300, 10]) == MISS
    assert tuple(decoded(first.pictures["other"])[300, 10]) == HIT
    assert tuple(decoded(first.pictures["difference"])[300, 10]) == (69, 200, 255, 255)  # B only.


def test_tiles_are_in_the_page_while_there_is_room_and_beside_it_beyond(scene, tmp_path):
    _, found = tiles_of(scene)
    inside = placed(tmp_path, [found, None], found.size)
    assert not inside.beside
    assert inside.scenes[1] is None
    assert set(inside.scenes[0]["tiles"]) == {tile.name for tile in found.tiles}
    beside = placed(tmp_path, [None, found], found.size - 1)
    assert beside.beside
    assert beside.scenes[1]["folder"] == f"{FOLDER}/2/"
    files = {path.name for path in (tmp_path / FOLDER / "2").iterdir()}
    assert files == {
        f"{t.name}-{file}" for t in found.tiles for file in ("image.jpeg", "overlay.webp")
    }
    placed(tmp_path, [found], found.size)
    assert list(tmp_path.glob(f"*{FOLDER}*")) == []


def test_the_colours_are_those_of_the_page():
    css = page.PackageLoader("pipelines.report", "").get_source(None, "page.css")[0]
    for colours in (made._AGREEMENT, made._MASK, made._DIFFERENCE):
        assert all(colour[:7] in css for colour in colours[1:])
