"""`rurnet label-queue`: the least certain tiles of a run, and what becomes of them."""

import csv
import logging
import shutil

import numpy as np
import pyogrio
import pytest
import rasterio
from affine import Affine
from PIL import Image

from flows.operations.label_queue import label_queue as command
from flows.operations.tool import run_tool
from pipelines.config.inference import InferRoads
from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.folder import folder_data
from pipelines.datasets.synthetic import write_road_scene
from pipelines.errors import DataError
from pipelines.inference.run import infer_roads
from pipelines.labelling.queue import label_queue
from pipelines.results.progress import Silence
from pipelines.results.reading import read_report
from tests.pipelines.inference.runs import ROADS_SMALL
from tiling.readers.raster import without_georeferencing_warning


@pytest.fixture(autouse=True)
def without_warnings():
    """Rasters without coordinates are read here, too."""
    with without_georeferencing_warning():
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory, write_raster):
    """A run over a scene with coordinates, and a smaller one without."""
    folder = tmp_path_factory.mktemp("run")
    write_road_scene(folder / "in" / "town.tif", None, 200, 1)
    pixels = np.random.default_rng(3).integers(0, 255, (3, 70, 80)).astype(np.uint8)
    write_raster(folder / "in" / "sketch.tif", pixels, crs=None, transform=Affine.identity())
    config = InferRoads(scenes=[str(folder / "in")], output=folder / "out", **ROADS_SMALL)
    assert not infer_roads(config, Silence()).failed
    return folder / "out"


@pytest.fixture(scope="module")
def queue(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("queue")
    return folder, label_queue(run, read_report(run), folder, tiles=6, side=48)


def mean_entropy(levels):
    p = np.clip(levels[levels != 255] / 254, 1e-12, 1 - 1e-12)
    return float(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)).mean())


def test_tiles_are_the_least_certain_of_all_scenes(run, queue):
    folder, tiles = queue
    assert {one.scene for one in tiles} == {"town", "sketch"}
    assert [one.entropy for one in tiles] == sorted((one.entropy for one in tiles), reverse=True)
    for one in tiles:
        with rasterio.open(run / one.scene / "probability.tif") as raster:
            levels = raster.read(1)[one.window.slices()]
        # At the border a tile is moved inward, and so a little more is seen.
        assert one.entropy == pytest.approx(mean_entropy(levels), abs=0.1)
    with (folder / "queue.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [one.name for one in tiles]


def test_images_are_the_scenes_own_pixels_at_their_place(run, queue):
    folder, tiles = queue
    for one in tiles:
        with (
            rasterio.open(folder / "images" / f"{one.name}.tif") as image,
            rasterio.open(run.parent / "in" / f"{one.scene}.tif") as scene,
        ):
            np.testing.assert_array_equal(image.read(), scene.read()[:, *one.window.slices()])
            assert image.crs == scene.crs
            assert image.shape == (48, 48)
            # Without coordinates there is no place to keep.
            there = (one.window.row, one.window.column) if one.scene == "town" else (0, 0)
            assert image.xy(0, 0) == scene.xy(*there)


def test_drafts_are_what_was_found(run, queue):
    folder, tiles = queue
    for one in tiles:
        with rasterio.open(run / one.scene / "mask.tif") as mask:
            found = mask.read(1)[one.window.slices()]
        draft = np.asarray(Image.open(folder / "drafts" / f"{one.name}.png"))
        np.testing.assert_array_equal(draft, np.where(found == 1, 255, 0))
        polygons = folder / "drafts" / f"{one.name}.gpkg"
        assert polygons.exists() == (one.scene == "town")
        if polygons.exists():
            features = pyogrio.read_info(polygons)["features"]
            assert (features > 0) == bool((found == 1).any())


def test_corrected_drafts_are_learned_from_and_stay(run, queue, tmp_path, caplog):
    _, tiles = queue
    label_queue(run, read_report(run), tmp_path, tiles=6, side=48)
    by_png, by_polygons = (
        next(one.name for one in tiles if one.scene == scene) for scene in ("sketch", "town")
    )
    for name, kind in ((by_png, "png"), (by_polygons, "gpkg")):
        shutil.copy(tmp_path / "drafts" / f"{name}.{kind}", tmp_path / "labels")
    config = TrainFolder(images=tmp_path / "images", labels=tmp_path / "labels", labelled_only=True)
    with caplog.at_level(logging.INFO, "rurnet"):
        data = folder_data(config)
    assert {one.source.name for one in data.folders[0]} == {by_png, by_polygons}
    assert "without a label, and so left out" in caplog.text
    again = label_queue(run, read_report(run), tmp_path, tiles=6, side=48)
    assert {one.name for one in again if one.labelled} == {by_png, by_polygons}
    assert (tmp_path / "labels" / f"{by_png}.png").exists()


def test_changed_drafts_and_the_pictures_of_labels_stay(run, tmp_path, caplog):
    first, second, third = label_queue(run, read_report(run), tmp_path, tiles=3, side=48)
    draft = tmp_path / "drafts" / f"{first.name}.png"
    Image.fromarray(np.full((48, 48), 255, np.uint8)).save(draft)
    shutil.copy(tmp_path / "drafts" / f"{second.name}.png", tmp_path / "labels")
    for tile in (second, third):  # As if the scene had other pixels by now.
        (tmp_path / "images" / f"{tile.name}.tif").write_text("of before")
    label_queue(run, read_report(run), tmp_path, tiles=3, side=48)
    assert np.asarray(Image.open(draft)).all()
    assert f"{draft}: was changed since it was written, so it stays" in caplog.text
    assert (tmp_path / "images" / f"{second.name}.tif").read_bytes() == b"of before"
    assert (tmp_path / "images" / f"{third.name}.tif").read_bytes() != b"of before"


def test_the_command_says_what_to_do_next(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run_tool(command, "rurnet label-queue", [str(run), "--output", str(tmp_path / "queue")])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert f"--images {tmp_path / 'queue' / 'images'}" in said
    assert "--labelled-only --start-from roads-dru4-wide --classes road" in said


def test_a_scene_smaller_than_a_tile_is_a_tile_of_its_shorter_side(run, tmp_path):
    found = label_queue(run, read_report(run), tmp_path)
    sizes = {(one.scene, one.window.height, one.window.width) for one in found}
    assert sizes == {("town", 200, 200), ("sketch", 70, 70)}


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"report\.json"):
        command(tmp_path, output=tmp_path / "queue")
    assert not (tmp_path / "queue").exists()
