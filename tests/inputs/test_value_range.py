"""The range that pixels are scaled from: guessed, told, or found; and noted by weights."""

import json
import logging

import numpy as np
import pytest
import rasterio

from pipelines.config.inference import InferRoads, PredictionSettings
from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.folder import folder_data
from pipelines.errors import DataError, PipelineError
from pipelines.inference.planning.averaged import check_models
from pipelines.inference.run import infer_roads
from pipelines.inputs.opening import Reading, opened_scene
from pipelines.inputs.pixel_values import GIVE_RANGE_OR_AUTO, looked_at
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.sampling.statistics import band_statistics, contents_of
from pipelines.training.run import train_folder
from tiling.window import Window

SIDE = 64
WHOLE = Window(0, 0, SIDE, SIDE)
BYTES = np.random.default_rng(8).integers(0, 256, (3, SIDE, SIDE)).astype(np.uint8)


def looked(path, value_range=None):
    with opened_scene(str(path), None, Reading(value_range=value_range)) as opened:
        return looked_at(opened, GIVE_RANGE_OR_AUTO).remarks


@pytest.mark.parametrize(
    ("dtype", "top", "profile", "given"),
    [
        ("uint16", 2040, {}, "0,2047"),
        ("uint16", 4080, {"nbits": 12}, "0,4095"),
        ("uint16", 800, {"nbits": 12}, "0,4095"),
        ("int16", 2040, {}, "0,2047"),
        ("uint16", 9900, {}, "0,10000"),
        ("uint8", 15, {"nbits": 4}, "0,15"),
    ],
)
def test_a_range_that_is_hardly_used_is_named_with_the_one_to_give(
    write_raster, tmp_path, dtype, top, profile, given
):
    pixels = (BYTES / 255 * top).astype(dtype)
    path = write_raster(tmp_path / "a.tif", pixels, **profile)
    (remark,) = looked(path)
    assert f"a.tif: pixels are {dtype}" in remark
    assert f"from 0 to {pixels.max()}: " in remark
    assert f"--value-range {given}, or --value-range auto" in remark
    assert looked(path, tuple(map(float, given.split(",")))) == ()


@pytest.mark.parametrize(("dtype", "top"), [("uint16", 255), ("int16", 255), ("float32", 0.005)])
def test_a_scene_that_would_be_black_is_refused_with_the_range_to_give(
    write_raster, tmp_path, dtype, top
):
    path = write_raster(tmp_path / "a.tif", (BYTES / 255 * top).astype(dtype))
    given = f"--value-range 0,{max(top, 1):g}"
    with pytest.raises(DataError, match=rf"a\.tif: .*nothing would be seen; give {given}"):
        looked(path)
    assert looked(path, (0, top)) == ()


def test_a_declared_scale_tells_the_range(write_raster, tmp_path):
    path = write_raster(tmp_path / "a.tif", BYTES.astype(np.uint16) * 10)
    with rasterio.open(path, "r+") as raster:
        raster.scales = (1 / 8000,) * 3
        raster.offsets = (-0.125,) * 3
    (remark,) = looked(path)
    assert "--value-range 1000,9000," in remark


@pytest.mark.parametrize(
    ("dtype", "factor"), [("uint8", 1), ("uint16", 257), ("int16", 128), ("float32", 1 / 255)]
)
def test_nothing_is_said_of_a_scene_that_uses_its_range(write_raster, tmp_path, dtype, factor):
    assert looked(write_raster(tmp_path / "a.tif", (BYTES * float(factor)).astype(dtype))) == ()


@pytest.mark.parametrize("odd", [0, 200])
def test_the_own_range_of_a_scene_ignores_the_odd_ones(write_raster, tmp_path, odd):
    pixels = 1000 + BYTES.astype(np.float32) * 4
    if odd:
        pixels.reshape(-1)[:odd] = -9999
        pixels.reshape(-1)[-odd:] = 1e6
    path = write_raster(tmp_path / "a.tif", pixels)
    with opened_scene(str(path), None, Reading(value_range="auto")) as opened:
        low, high = opened.value_range
        read, there = opened.scene.read(WHOLE)
        read = read[:, there]
    assert low == pytest.approx(1005, abs=6)
    assert high == pytest.approx(2015, abs=6)
    assert (read.min(), read.max()) == (np.float32(low), np.float32(high))


@pytest.mark.parametrize("workers", [0, 2])
def test_auto_gives_the_same_for_every_unit_tile_and_worker(
    write_raster, tmp_path, roads_weights, workers
):
    if workers:
        pytest.importorskip("distributed")
    for name, pixels in (("a", BYTES), ("b", BYTES.astype(np.uint16) * 8)):
        write_raster(tmp_path / "scenes" / f"{name}.tif", pixels)
    config = InferRoads(
        scenes=[str(tmp_path / "scenes")], output=tmp_path / "out", model=[str(roads_weights)],
        value_range="auto", tile=32, overlap=8, part_size=64, workers=workers,
    )  # fmt: skip
    result = infer_roads(config, Silence())
    assert not result.failed
    masks = []
    for name, ends in (("a", "1,254"), ("b", "8,2032")):
        with rasterio.open(tmp_path / "out" / name / "probability.tif") as raster:
            masks.append(raster.read())
            assert raster.tags()["RURNET_VALUE_RANGE"] == ends
        manifest = json.loads((tmp_path / "out" / name / "manifest.json").read_text())
        assert manifest["settings"]["value_range"] == ends
    assert np.abs(masks[0].astype(int) - masks[1]).max() <= 1


def test_what_is_remarked_is_in_log_and_reports(write_raster, tmp_path, roads_weights, caplog):
    path = write_raster(tmp_path / "a.tif", BYTES.astype(np.uint16) * 8)
    config = InferRoads(scenes=[str(path)], output=tmp_path / "out", model=[str(roads_weights)],
                        tile=64, overlap=16)  # fmt: skip
    with caplog.at_level(logging.WARNING, "rurnet"):
        infer_roads(config, Silence())
    (line,) = [one.getMessage() for one in caplog.records]
    assert "a.tif: pixels are uint16" in line
    assert "--value-range 0,2047" in line
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["scenes"][0]["remarks"] == [line]
    assert "--value-range 0,2047" in (tmp_path / "out" / "report.html").read_text()


def test_a_scene_that_is_not_bounded_has_the_fingerprint_of_before(
    write_raster, tmp_path, roads_weights
):
    pixels = BYTES / np.float32(255)
    keys = []
    for name, value in (("a", 0.5), ("b", -9999)):
        pixels[0, 3, 3] = value
        path = write_raster(tmp_path / f"{name}.tif", pixels)
        config = InferRoads(scenes=[str(path)], output=tmp_path / "out", tile=64, overlap=16,
                            model=[str(roads_weights)])  # fmt: skip
        infer_roads(config, Silence())
        manifest = json.loads((tmp_path / "out" / name / "manifest.json").read_text())
        keys.append(set(manifest["settings"]))
    assert keys[1] - keys[0] == {"outside range"}
    assert keys[0] >= {*PredictionSettings().of_the_result()} - {"threshold", "noted_threshold"}


# Training.


@pytest.fixture
def folder(write_raster, tmp_path):
    """Writes two images and their labels."""

    def write(root, pixels):
        for name in "ab":
            turned = pixels if name == "a" else pixels[:, ::-1]
            write_raster(tmp_path / root / "images" / f"{name}.tif", turned)
            label = (turned[:1] > pixels.mean()).astype(np.uint8)
            write_raster(tmp_path / root / "labels" / f"{name}.tif", label)
        root = tmp_path / root
        return {"images": root / "images", "labels": root / "labels", "output": root / "out"}

    return write


def test_a_training_scales_from_the_range_that_it_is_told(folder):
    found = []
    for root, pixels, told in (
        ("bytes", BYTES, None),
        ("bits", BYTES.astype(np.uint16) * 8, "0,2040"),
        ("floats", BYTES.astype(np.float32) - 100, "-100,155"),
    ):
        data = folder_data(TrainFolder(**folder(root, pixels), value_range=told))
        assert data.value_range == (told and tuple(map(float, told.split(","))))
        found.append(band_statistics([contents_of(one.source) for one in data.folders[0]]))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-5)


def test_a_training_names_images_of_another_range(folder, caplog):
    with caplog.at_level(logging.WARNING, "rurnet"):
        folder_data(TrainFolder(**folder("bits", BYTES.astype(np.uint16) * 8)))
    lines = [one.getMessage() for one in caplog.records]
    assert [line.split(".tif")[0][-1] for line in lines] == ["a", "b"]
    assert all(line.endswith("give --value-range 0,2047") for line in lines)
    with pytest.raises(DataError, match=r"a\.tif: 4096 of 4096 .*give --value-range 0,255$"):
        folder_data(TrainFolder(**folder("floats", np.maximum(BYTES, 2).astype(np.float32))))


def test_settings_of_trainings_without_a_range_are_those_of_before():
    assert "value_range" not in TrainFolder().compared()
    assert TrainFolder(value_range="0,9").compared()["value_range"] == "0,9"


def test_weights_note_the_range_and_are_used_with_it(folder, tmp_path, write_raster):
    few = {"crop_sizes": [32], "batch_pixels": 2048, "steps": 2, "workers": 0, "scorings": 1,
           "iterations": 1}  # fmt: skip
    told = folder("bits", BYTES.astype(np.uint16) * 8)
    result = train_folder(TrainFolder(**told, **few, value_range="0,2040"), Silence())
    (weights,) = result.trained
    assert load(str(weights)).card.value_range == (0, 2040)
    tags = []
    for options in ({}, {"value_range": "0,4095"}):
        output = tmp_path / f"out{len(tags)}"
        config = InferRoads(scenes=[str(told["images"] / "a.tif")], output=output, tile=64,
                            overlap=16, model=[str(weights)], **options)  # fmt: skip
        infer_roads(config, Silence())
        with rasterio.open(output / "a" / "mask.tif") as raster:
            tags.append(raster.tags()["RURNET_VALUE_RANGE"])
    assert tags == ["0,2040", "0,4095"]


def test_weights_of_two_ranges_are_averaged_only_for_one_that_is_told(tmp_path, fresh_weights):
    models = [
        load(str(fresh_weights(tmp_path / f"{name}.safetensors", value_range=ends)))
        for name, ends in (("a", (0, 2047)), ("b", None))
    ]
    with pytest.raises(PipelineError, match="value range"):
        check_models(models, PredictionSettings())
    check_models(models, PredictionSettings(value_range="0,2047"))
