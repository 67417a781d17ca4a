"""Commands with `--from` and `--sequence`: killed, shared by workers, refused, frame by frame."""

import json
import shutil

import numpy as np
import pytest
import rasterio
from affine import Affine

from pipelines.datasets.synthetic import draw_road_scene
from tests.pipelines.inference.commands import CUT, Command, rasters, run, run_killed

SIDE = 400
# The shipped weights, for they start from earlier masks.
WORDS = ("--tile", 64, "--overlap", 16, "--steps", 2, "--device", "cpu", "--no-measurements")


@pytest.fixture(scope="module")
def folder(write_raster, tmp_path_factory):
    """A scene, the same with another corner, their results, and that of an update in one go."""
    folder = tmp_path_factory.mktemp("scenes")
    pixels, _, _ = draw_road_scene(SIDE, SIDE, seed=4)
    other, _, _ = draw_road_scene(SIDE, SIDE, seed=9)
    write_raster(folder / "before/s.tif", pixels)
    pixels[:, :200, :300] = np.minimum(pixels[:, :200, :300] + 9, 255)
    pixels[:, :90, :90] = other[:, :90, :90]
    write_raster(folder / "after/s.tif", pixels)
    write_raster(folder / "frames/a.tif", draw_road_scene(100, 100, seed=1)[0])
    write_raster(folder / "frames/b.tif", draw_road_scene(100, 100, seed=1)[0])
    write_raster(folder / "frames/c.tif", draw_road_scene(100, 100, seed=2)[0])
    run(folder, "before/s.tif", *WORDS, "--output", "earlier")
    run(folder, *update(folder), "--output", "unbroken")
    return folder


def update(folder, scene="after/s.tif"):
    return (folder / scene, *WORDS, "--from", folder / "earlier")


def test_an_update_killed_twice_gives_the_bytes_of_one_that_was_not(folder, tmp_path):
    words = (*update(folder), *CUT, "--output", "out")
    run_killed(tmp_path, tmp_path / "out/s", (2, 6), *words)
    assert rasters(tmp_path / "out/s") == rasters(folder / "unbroken/s")


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 3])
def test_workers_give_the_bytes_of_one_process(folder, tmp_path, workers):
    run(tmp_path, *update(folder), *CUT, "--workers", workers, "--output", "out", afresh=True)
    assert rasters(tmp_path / "out/s") == rasters(folder / "unbroken/s")


@pytest.mark.soak
def test_with_steps_auto_neither_kills_nor_workers_nor_parts_change_a_byte(folder, tmp_path):
    auto = [word if word != 2 else "auto" for word in WORDS]
    run(tmp_path, folder / "before/s.tif", *auto, "--output", "earlier")
    words = (folder / "after/s.tif", *auto, "--from", "earlier")
    run(tmp_path, *words, "--output", "unbroken")
    expected = rasters(tmp_path / "unbroken/s")
    assert set(expected) == {"probability.tif", "mask.tif", "steps.tif", "change.tif"}
    run_killed(tmp_path, tmp_path / "killed/s", (2, 6), *words, *CUT, "--output", "killed")
    assert rasters(tmp_path / "killed/s") == expected
    run(tmp_path, *words, *CUT, "--workers", "3", "--output", "shared", afresh=True)
    assert rasters(tmp_path / "shared/s") == expected


def test_the_report_tells_what_became_of_the_tiles(folder):
    [scene] = json.loads((folder / "unbroken/report.json").read_text())["scenes"]
    taken, refined, cold = scene["updated"].values()
    assert taken > 0
    assert refined + cold > 0
    assert taken + refined + cold == scene["tiles"]
    assert "change" in scene["files"]
    assert f"{taken} tiles taken over" in (folder / "errors.txt").read_text()


def test_a_second_run_keeps_what_is_there(folder):
    there = {path: path.stat().st_mtime_ns for path in (folder / "unbroken/s").iterdir()}
    before = json.loads((folder / "unbroken/report.json").read_text())["scenes"][0]["updated"]
    run(folder, *update(folder), "--output", "unbroken")
    assert {path: path.stat().st_mtime_ns for path in (folder / "unbroken/s").iterdir()} == there
    report = json.loads((folder / "unbroken/report.json").read_text())
    assert report["scenes"][0]["updated"] == before


def failed(folder, *words):
    with Command(folder, *words) as command:
        assert command.end() != 0
    return command.errors


def test_other_settings_than_before_are_refused(folder, tmp_path):
    said = failed(tmp_path, *update(folder), "--tta", "--output", "out")
    assert "was made with tta False (now True)" in said
    assert "leave --from out" in said


def test_a_result_that_was_not_brought_up_to_date_is_not_gone_on_with(folder, tmp_path):
    shutil.copytree(folder / "unbroken", tmp_path / "unbroken")
    said = failed(tmp_path, folder / "after/s.tif", *WORDS, "--output", "unbroken")
    assert "another earlier result (--from, --sequence): " in said
    assert "(now None); give --overwrite" in said


def test_a_scene_that_cannot_be_placed_on_its_earlier_result_is_named(
    folder, write_raster, tmp_path
):
    scene = write_raster(tmp_path / "s.tif", np.full((3, 70, 80), 90, np.uint8), crs=None)
    said = failed(tmp_path, scene, *WORDS, "--from", folder / "earlier", "--output", "out")
    assert f"{scene}: 80 x 70 pixels without coordinates, but its earlier result has 400" in said
    assert "leave --from or --sequence out" in said


def test_a_scene_that_lies_beside_its_earlier_result_says_so(folder, write_raster, tmp_path):
    elsewhere = Affine(1, 0, 700_000, 0, -1, 4_000_000)
    scene = write_raster(
        tmp_path / "s.tif", np.full((3, 70, 80), 90, np.uint8), transform=elsewhere
    )
    run(tmp_path, scene, *WORDS, "--from", folder / "earlier", "--output", "out")
    [told] = json.loads((tmp_path / "out/report.json").read_text())["scenes"]
    [said] = [one for one in told["remarks"] if "lies on its earlier result" in one]
    assert str(folder / "earlier" / "s") in said
    near = json.loads((folder / "unbroken/report.json").read_text())["scenes"][0]
    assert not [one for one in near["remarks"] if "earlier result" in one]


def test_earlier_results_are_not_replaced(folder):
    said = failed(folder, *update(folder), "--output", "earlier")
    assert "give another --output" in said


def test_a_folder_that_is_not_there_is_named(folder, tmp_path):
    said = failed(tmp_path, folder / "after/s.tif", *WORDS, "--from", "nowhere")
    assert "nowhere: no such folder of earlier results; check --from" in said


def test_a_scene_that_has_no_earlier_result_is_done_as_ever(folder, tmp_path):
    words = (folder / "frames/a.tif", *WORDS, "--output", "out")
    done = run(tmp_path, *words, "--from", folder / "earlier")
    assert "no finished result in" in done.errors
    assert not (tmp_path / "out/a/change.tif").exists()


def test_frames_are_brought_up_to_date_from_the_one_before(folder, tmp_path):
    frames = [folder / "frames" / f"{name}.tif" for name in "abc"]
    run(tmp_path, *frames, *WORDS, "--sequence", "--output", "out")
    assert not (tmp_path / "out/a/change.tif").exists()
    # The second frame shows the same as the first.
    with rasterio.open(tmp_path / "out/b/change.tif") as file:
        assert not file.read(1).any()
    for name in ("probability.tif", "mask.tif"):
        assert (tmp_path / "out/b" / name).read_bytes() == (tmp_path / "out/a" / name).read_bytes()
    with rasterio.open(tmp_path / "out/c/change.tif") as file:
        assert file.read(1).any()
