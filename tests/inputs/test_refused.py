"""What is refused, or left out, before it costs time or believes the wrong file."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from affine import Affine
from pydantic import ValidationError

from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferDrive, InferRoads
from pipelines.config.training import TrainDrive, TrainRoads
from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.folder import folder_data
from pipelines.errors import LabelError, PipelineError, WeightsError
from pipelines.evaluation.run import evaluate
from pipelines.inference.run import infer_drive, infer_roads
from pipelines.models.weights import load, save
from pipelines.results.progress import Silence
from pipelines.training.mlflow_logger import check_mlflow
from pipelines.training.run import train_folder, train_roads, train_vessels

ROAD = np.zeros((1, 40, 48), np.uint8)
ROAD[:, 5:9] = 1
PIXELS = np.random.default_rng(0).integers(1, 256, (3, 40, 48)).astype(np.uint8)


@pytest.fixture
def options(roads_weights, tmp_path):
    return {
        "model": [str(roads_weights)], "output": tmp_path / "out", "tile": 32, "overlap": 8,
        "batch": 2, "device": "cpu", "steps": 1, "topology": False,
    }  # fmt: skip


@pytest.fixture
def twice(write_raster, tmp_path):
    """Puts a label of s0 into a folder twice, as PNG and TIFF, and one of s1 once."""

    def make(folder, pixels=ROAD):
        for name in ("s0.tif", "s1.tif"):
            write_raster(tmp_path / folder / name, pixels)
        write_raster(tmp_path / folder / "s0.png", pixels, crs=None, driver="PNG")
        return tmp_path / folder

    return make


@pytest.fixture
def scenes(write_raster, tmp_path):
    for name in ("s0", "s1"):
        write_raster(tmp_path / "scenes" / f"{name}.tif", PIXELS)
    return tmp_path / "scenes"


# Two files of one stem.


def test_two_labels_of_a_scene_fail_it_alone(twice, scenes, options):
    labels = twice("labels")
    result = infer_roads(InferRoads(scenes=[str(scenes)], labels=labels, **options), Silence())
    assert [scene.name for scene in result.report.scenes] == ["s1"]
    [failure] = result.failed
    assert failure.error.startswith(f"{labels / 's0.png'} and {labels / 's0.tif'} ")


@pytest.mark.parametrize("inside", ["labels", "mask"])
def test_two_labels_or_masks_of_a_photograph_fail_it_alone(
    inside, twice, scenes, options, vessels_weights
):
    options["model"] = [str(vessels_weights)]
    photographs = scenes.rename(scenes.with_name("images"))
    twice(inside)
    labels = photographs.parent / "labels" if inside == "labels" else None
    settings = InferDrive(scenes=[str(photographs)], labels=labels, **options)
    [failure] = infer_drive(settings, Silence()).failed
    for name in ("s0.png", "s0.tif"):
        assert f"{inside}/{name}" in failure.error


@pytest.mark.parametrize("inside", ["labels", "second", "fov"])
def test_two_annotations_of_a_raster_fail_it_alone(inside, twice, write_raster, tmp_path):
    folders = {name: tmp_path / name for name in ("labels", "second", "fov")}
    for name in ("s0", "s1"):
        for folder in ("masks", *folders):
            write_raster(tmp_path / folder / f"{name}.tif", np.maximum(ROAD, folder == "fov"))
    twice(inside)
    settings = Evaluate(predictions=[str(tmp_path / "masks")], output=tmp_path / "out", **folders)
    [failure] = evaluate(settings, Silence()).failed
    for name in ("s0.png", "s0.tif"):
        assert f"{inside}/{name}" in failure.error


def test_two_predicted_rasters_of_a_scene_are_refused(twice, tmp_path):
    masks = twice("masks")
    with pytest.raises(PipelineError, match=r"s0\.png and .*s0\.tif"):
        evaluate(Evaluate(predictions=[str(masks)], labels=masks), Silence())


def test_two_labels_or_images_of_a_name_are_not_trained_on(twice, scenes, tmp_path):
    settings = {"images": scenes, "output": tmp_path / "run"}
    with pytest.raises(LabelError, match=r"s0\.png and .*s0\.tif"):
        folder_data(TrainFolder(labels=twice("labels"), **settings))
    (tmp_path / "labels" / "s0.png").unlink()
    twice("scenes", PIXELS)
    with pytest.raises(PipelineError, match=r"s0\.png and .*s0\.tif"):
        folder_data(TrainFolder(labels=tmp_path / "labels", **settings))


# Classes.


@pytest.mark.parametrize("config", [TrainFolder, Evaluate])
def test_class_names_are_those_that_are_shown(config):
    needed = {"images": "i", "labels": "l"} if config is TrainFolder else {}
    assert config(classes=" road,foot  path ", **needed).class_names == ("road", "foot path")
    for classes in ("road, road", "road,background ", "road, "):
        with pytest.raises(ValidationError):
            config(classes=classes, **needed)


# Weights.


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value, roads_weights, tmp_path):
    model = load(str(roads_weights))
    key = next(iter(model.network.state_dict()))
    with torch.no_grad():
        model.network.state_dict()[key].view(-1)[0] = value
    save(tmp_path / "bad.safetensors", model.network, model.card)
    with pytest.raises(WeightsError, match=key) as caught:
        load(str(tmp_path / "bad.safetensors"))
    assert str(caught.value).startswith(f"{tmp_path / 'bad.safetensors'}: ")


def test_a_normalisation_that_is_no_number_is_refused(roads_weights, tmp_path):
    model = load(str(roads_weights))
    card = replace(model.card, std=(50.0, float("nan"), 50.0))
    save(tmp_path / "bad.safetensors", model.network, card)
    with pytest.raises(WeightsError, match="std"):
        load(str(tmp_path / "bad.safetensors"))


# The area of interest.


@pytest.fixture
def area(write_raster, scenes, tmp_path):
    """Scenes s0 and s1 in the area, and `far`, which lies 500 km away."""
    write_raster(scenes / "far.tif", PIXELS, transform=Affine(1, 0, 700_000, 0, -1, 900_000))
    path = tmp_path / "area.geojson"

    def write(encoding="utf-8", at=None):
        corners = at or [[200_000, 899_000], [201_000, 899_000], [200_000, 901_000]]
        crs = {"type": "name", "properties": {"name": "EPSG:26986"}}
        polygon = {"type": "Polygon", "coordinates": [[*corners, corners[0]]], "crs": crs}
        path.write_text(json.dumps(polygon), encoding=encoding)
        return path

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_scene_outside_the_area_is_left_out_and_told(encoding, area, scenes, options, told):
    settings = InferRoads(scenes=[str(scenes)], aoi=area(encoding), **options)
    result = infer_roads(settings, told)
    assert not result.failed
    assert [scene.name for scene in result.report.scenes] == ["s0", "s1"]
    [skipped] = result.report.skipped
    assert skipped.input == str(scenes / "far.tif")
    assert "lies outside" in skipped.error
    assert "lies outside" in (result.folder / "report.html").read_text()
    assert {one.name: one.done for one in told.outcomes} == {"s0": True, "s1": True, "far": False}
    dry = infer_roads(settings.model_copy(update={"dry_run": True}), Silence())
    assert not dry.failed
    assert {one.name: one.done for one in dry.estimates} == {"s0": True, "s1": True, "far": False}


def test_an_area_that_no_scene_meets_is_a_failure_of_all(area, scenes, options):
    nowhere = [[0, 0], [1, 0], [1, 1]]
    settings = InferRoads(scenes=[str(scenes)], aoi=area(at=nowhere), **options)
    for dry_run in (False, True):
        result = infer_roads(settings.model_copy(update={"dry_run": dry_run}), Silence())
        assert len(result.failed) == 3
        assert result.built is None if dry_run else not result.report.skipped


# MLflow.


@pytest.mark.parametrize(
    ("run", "config"),
    [(train_roads, TrainRoads), (train_vessels, TrainDrive), (train_folder, TrainFolder)],
)
def test_a_dead_mlflow_is_found_before_the_data_are_opened(run, config, tmp_path):
    """There are no data: that would be the next error."""
    needed = {"images": tmp_path, "labels": tmp_path} if config is TrainFolder else {}
    settings = config(mlflow="http://user:s3cret@127.0.0.1:9", output=tmp_path / "run", **needed)
    with pytest.raises(PipelineError, match=r"--mlflow http://127\.0\.0\.1:9: .*sqlite") as caught:
        run(settings, Silence())
    assert "s3cret" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_no_mlflow_is_asked_where_none_is_given():
    check_mlflow(None)
