"""A scene's rasters: the same bytes however the work is cut, in the scene's own place."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rio_cogeo.cogeo import cog_validate

from pipelines.config.inference import PredictionSettings
from pipelines.datasets.synthetic import draw_road_scene
from pipelines.inference.fingerprint import grid_of
from pipelines.models.weights import load
from pipelines.runtime.device import device_kind
from tests.pipelines.inference.updating.predicting import prediction_of
from tiling.blend import NODATA
from tiling.errors import SceneError, SinkError
from tiling.readers.raster import RasterScene

SMALL = PredictionSettings(tile=64, overlap=16, part_size=4096, batch=4, device="cpu", steps=1)
HEIGHT, WIDTH = 130, 150


@pytest.fixture(scope="module")
def drawn():
    """Pixels of a road scene, and which are there."""
    pixels, _, valid = draw_road_scene(HEIGHT, WIDTH, seed=4)
    return pixels, valid


@pytest.fixture(scope="module")
def model(roads_weights):
    return load(str(roads_weights))


@pytest.fixture(scope="module")
def source(drawn, write_raster, tmp_path_factory):
    """The drawn scene as a file."""
    path = tmp_path_factory.mktemp("in") / "s.tif"
    return write_raster(path, drawn[0], nodata_kind="mask", valid=drawn[1])


@pytest.fixture(scope="module")
def predicted(model, source, predict, tmp_path_factory):
    """Predicts the drawn scene with `SMALL`, or with other settings; returns the prediction."""

    def run(**changes):
        with RasterScene(source) as scene:
            folder = tmp_path_factory.mktemp("predicted") / "out"
            return predict(scene, [model], SMALL.model_copy(update=changes), folder)

    return run


@pytest.fixture(scope="module")
def plain(predicted):
    return predicted()


# One scene.


@settings(max_examples=8)
@given(part_size=st.integers(64, 200), batch=st.integers(2, 7))
def test_parts_and_batches_change_not_one_byte_of_the_files(predicted, plain, part_size, batch):
    again = predicted(part_size=part_size, batch=batch)
    assert again.probability.read_bytes() == plain.probability.read_bytes()
    assert again.mask.read_bytes() == plain.mask.read_bytes()


_IN_A_PROCESS = """
import sys
from pathlib import Path
import torch
threads, weights, scene, output = int(sys.argv[1]), *sys.argv[2:]
if threads:
    torch.set_num_threads(threads)
from pipelines.inference.batch import run_batch
from pipelines.results.progress import Silence
from pipelines.config.inference import PredictionSettings
from pipelines.inputs.discovery import road_inputs
from pipelines.models.weights import load
settings = PredictionSettings(tile=64, overlap=16, device="cpu", steps=1, batch=4)
models = [load(weights)]
before = torch.get_num_threads()
[outcome] = run_batch(road_inputs([scene], None), models, settings, Path(output), Silence())
assert outcome.error is None, outcome.error
print(before, torch.get_num_threads())
"""


@pytest.mark.parametrize(("omp", "threads"), [("1", 0), ("2", 0), ("3", 1), ("4", 2), (None, 3)])
def test_threads_change_not_one_byte_and_stay_as_they_were(
    plain, roads_weights, source, tmp_path, omp, threads
):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    if omp is not None:
        environment["OMP_NUM_THREADS"] = omp
    ended = subprocess.run(
        [sys.executable, "-c", _IN_A_PROCESS, str(threads), roads_weights, source, tmp_path],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in ("probability.tif", "mask.tif"):
        expected = plain.probability.with_name(name).read_bytes()
        assert (tmp_path / "s" / name).read_bytes() == expected
    before, after = ended.stdout.split()
    assert before == after
    if threads:
        assert after == str(threads)


def test_both_files_are_valid_cogs_in_the_scenes_place(plain, drawn):
    for path in (plain.probability, plain.mask):
        assert cog_validate(str(path), strict=True) == (True, [], [])
        with rasterio.open(path) as raster:
            assert raster.shape == (HEIGHT, WIDTH)
            assert raster.crs.to_epsg() == 26986
            np.testing.assert_array_equal(raster.read(1) == NODATA, ~drawn[1])


@pytest.mark.parametrize("kind", ["nodata", "alpha", "mask", "none"])
def test_masked_in_is_masked_out_pixel_for_pixel(
    model, predict, drawn, write_raster, tmp_path, kind
):
    valid = drawn[1].copy()
    valid[40:60, 50:120] = False
    path = write_raster(tmp_path / "s.tif", drawn[0], nodata_kind=kind, valid=valid)
    expected = valid if kind != "none" else np.ones_like(valid)
    with RasterScene(path) as scene:
        done = predict(scene, [model], SMALL, tmp_path / "out")
    for written in (done.probability, done.mask):
        with rasterio.open(written) as raster:
            np.testing.assert_array_equal(raster.read(1) != NODATA, expected)


@pytest.mark.parametrize("size", [(40, 50), (1, 200), (64, 65)])
def test_scenes_as_small_as_a_tile_keep_their_size(model, predict, write_raster, tmp_path, size):
    path = write_raster(tmp_path / "s.tif", np.full((3, *size), 90, np.uint8))
    with RasterScene(path) as scene:
        done = predict(scene, [model], SMALL, tmp_path / "out")
    with rasterio.open(done.probability) as raster:
        assert raster.shape == size
        assert (raster.read() != NODATA).all()


@pytest.mark.parametrize("there", [0, 1])
def test_a_scene_without_any_pixel_is_told(roads_weights, write_raster, tmp_path, caplog, there):
    pixels = np.zeros((3, 80, 90), np.uint8)
    pixels[:, 70, 60] = there
    scene = write_raster(tmp_path / "s.tif", pixels, nodata=0)
    found = prediction_of(
        scene, tmp_path / "out", model=[str(roads_weights)], tile=64, overlap=16, device="cpu"
    )
    said = [f"{scene}: none of its pixels is there"] * (1 - there)
    assert [one.split(" (")[0] for one in found.remarks] == said
    assert [one for one in caplog.messages if "none of its pixels" in one] == [*found.remarks]


@pytest.mark.parametrize("kind", ["nodata", "alpha"])
def test_what_is_said_of_a_scene_without_any_pixel_uncovers_it(
    roads_weights, write_raster, tmp_path, monkeypatch, kind
):
    monkeypatch.chdir(tmp_path)
    scene = write_raster(tmp_path / "a b.tif", np.zeros((3, 80, 90), np.uint8), nodata_kind=kind,
                         valid=np.zeros((80, 90), bool))  # fmt: skip
    options = {"model": [str(roads_weights)], "tile": 64, "overlap": 16, "device": "cpu"}
    [remark] = prediction_of(scene, tmp_path / "out", **options).remarks
    rio = Path(sys.executable).parent / "rio"
    command = shlex.split(remark[remark.index("rio ") + 4 :])
    subprocess.run([rio, *command], check=True)
    if kind == "alpha":
        scene.unlink()
        scene = tmp_path / "NEW.tif"
    found = prediction_of(scene, tmp_path / "again", **options)
    assert not [one for one in found.remarks if "none of its pixels" in one]
    with rasterio.open(found.files["mask"]) as mask:
        assert (mask.read(1) != NODATA).all()


@pytest.mark.parametrize("part_size", [64, 100, 4096])
def test_progress_counts_up_to_the_tiles_of_the_grid(
    model, predict, drawn, write_raster, tmp_path, part_size
):
    valid = drawn[1].copy()
    valid[:80] = False
    path = write_raster(tmp_path / "s.tif", drawn[0], nodata_kind="alpha", valid=valid)
    wanted = SMALL.model_copy(update={"part_size": part_size})
    told = []
    with RasterScene(path) as scene:
        done = predict(scene, [model], wanted, tmp_path / "out", progress=told.append)
    assert sum(told) == done.tiles == 9
    assert done.computed == done.parts


def test_a_damaged_scene_leaves_no_folder(model, predict, drawn, write_raster, tmp_path):
    path = write_raster(tmp_path / "s.tif", drawn[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with RasterScene(path) as scene, pytest.raises(SceneError, match=r"s\.tif"):
        predict(scene, [model], SMALL, tmp_path / "out")
    assert [left.name for left in tmp_path.iterdir()] == ["s.tif"]


def test_an_output_that_is_a_file_is_an_error_that_names_it(
    model, predict, drawn, write_raster, tmp_path
):
    path = write_raster(tmp_path / "s.tif", drawn[0])
    (tmp_path / "out").touch()
    with RasterScene(path) as scene, pytest.raises(SinkError, match=str(tmp_path / "out")):
        predict(scene, [model], SMALL, tmp_path / "out")


# What results are the same bytes on.


def test_the_kind_of_device_names_what_computes():
    assert device_kind(SMALL.device) == f"cpu, torch {torch.__version__}"


def test_the_grid_is_of_what_the_network_sees(source):
    with RasterScene(source) as scene:
        grid = grid_of(scene, SMALL)
    assert (grid.height, grid.width, grid.tile, grid.overlap) == (HEIGHT, WIDTH, 64, 16)
