"""Which networks a batch takes, alone and together, and what is refused before it runs."""

import numpy as np
import pytest
import rasterio
import torch

from pipelines.errors import PipelineError
from pipelines.inference.batch import run_batch
from pipelines.inputs.discovery import check_names, road_inputs
from pipelines.inputs.labels import Labelling
from pipelines.inputs.opening import Reading
from pipelines.models.weights import WeightsCard, load, save
from pipelines.results.progress import Silence
from rurnet.registry import create
from tests.pipelines.inference.batches import SETTINGS
from tiling.blend import NODATA

# Before anything runs.


def test_two_scenes_of_one_stem_are_refused_before_anything_runs(inputs, model, tmp_path, told):
    good, again = inputs / "scenes" / "a.tif", inputs / "labels" / "a.tif"
    items = road_inputs([str(inputs / "scenes" / "z.tif"), str(good), str(again)], None)
    with pytest.raises(PipelineError) as caught:
        run_batch(items, [model], SETTINGS, tmp_path / "out", told)
    assert str(good) in str(caught.value)
    assert str(again) in str(caught.value)
    assert told.scenes == {}
    assert not (tmp_path / "out").exists()


def test_scenes_of_different_stems_are_fine(inputs):
    check_names(road_inputs([str(inputs / "scenes")], None))


@pytest.fixture(scope="module")
def one_shot(tmp_path_factory):
    """A plain U-Net: a network of one step."""
    card = WeightsCard(
        task="roads", network="unet-gn", arguments={}, classes=("background", "road"),
        mean=(120.0,) * 3, std=(50.0,) * 3, ground_sampling_distance=1.0, threshold=0.5,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("weights") / "one-shot.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(1)
        save(path, create("unet-gn"), card)
    return load(str(path))


def test_a_one_shot_network_refuses_two_steps_before_anything_runs(
    inputs, one_shot, tmp_path, told
):
    items = road_inputs([str(inputs / "scenes" / "a.tif")], None)
    settings = SETTINGS.model_copy(update={"steps": 2})
    with pytest.raises(PipelineError, match="one-shot") as caught:
        run_batch(items, [one_shot], settings, tmp_path / "out", told)
    assert "--steps" in str(caught.value)
    assert told.outcomes == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("steps", [None, 1])
def test_a_one_shot_network_predicts_in_one_step(inputs, one_shot, tmp_path, steps):
    items = road_inputs([str(inputs / "scenes" / "a.tif")], None)
    settings = SETTINGS.model_copy(update={"steps": steps})
    [outcome] = run_batch(items, [one_shot], settings, tmp_path, Silence())
    assert outcome.error is None
    assert outcome.prediction.probability.is_file()


def test_a_device_that_is_not_there_is_refused_before_anything_runs(inputs, model, tmp_path):
    items = road_inputs([str(inputs / "scenes" / "a.tif")], None)
    settings = SETTINGS.model_copy(update={"device": "cuda:99"})
    with pytest.raises(PipelineError, match="cuda:99"):
        run_batch(items, [model], settings, tmp_path / "out", Silence())
    assert not (tmp_path / "out").exists()


def test_no_scenes_are_no_outcomes(model, tmp_path):
    assert run_batch([], [model], SETTINGS, tmp_path, Silence()) == []


# Several networks.


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"classes": ("background", "road", "path")}, "classes"),
        ({"bands": 4}, "bands 3 and 4"),
        ({"ground_sampling_distance": 0.5}, "metres per pixel 1.0 and 0.5"),
        ({"field_diameters": (900, 1650)}, r"field of view None and \(900, 1650\)"),
        ({"network": "unet-gn"}, "steps 3 and 1; give --steps 1"),
    ],
)
def test_networks_that_do_not_fit_are_refused_by_name_before_anything_runs(
    both, model, fresh_weights, tmp_path, told, made, said
):
    other = load(str(fresh_weights(tmp_path / "other.safetensors", **made)))
    settings = SETTINGS.model_copy(update={"steps": None})
    with pytest.raises(PipelineError, match=said) as caught:
        run_batch(both, [model, other], settings, tmp_path / "out", told)
    assert str(caught.value).startswith(f"{model.name} and other cannot be averaged")
    assert told.outcomes == []
    assert not (tmp_path / "out").exists()


def test_networks_of_other_steps_are_averaged_at_the_steps_that_the_error_names(
    both, model, fresh_weights, tmp_path
):
    other = load(str(fresh_weights(tmp_path / "other.safetensors", network="unet-gn")))
    for steps in (3, "auto"):
        with pytest.raises(PipelineError, match=r"one step, not .*; give --steps 1"):
            run_batch(
                both[:1], [model, other], SETTINGS.model_copy(update={"steps": steps}),
                tmp_path / "out", Silence(),
            )  # fmt: skip
    asked = SETTINGS.model_copy(update={"steps": 1})
    [outcome] = run_batch(both[:1], [model, other], asked, tmp_path / "out", Silence())
    assert outcome.error is None


def test_the_raster_of_two_networks_is_the_mean_of_theirs(both, model, fresh_weights, tmp_path):
    other = load(str(fresh_weights(tmp_path / "other.safetensors", seed=9)))
    levels = []
    for place, models in enumerate(([model], [other], [model, other])):
        [outcome] = run_batch(both[:1], models, SETTINGS, tmp_path / str(place), Silence())
        with rasterio.open(outcome.prediction.probability) as raster:
            levels.append(raster.read(1).astype(float))
    first, second, mean = levels
    assert np.abs(first - second).max() > 5
    assert np.abs((first + second) / 2 - mean).max() <= 1


def test_several_classes_are_scored_together_and_one_by_one(
    inputs, fresh_weights, write_raster, tmp_path
):
    classes = ("background", "road", "path")
    drawn = np.random.default_rng(0).integers(0, 3, (1, 90, 100)).astype(np.uint8)
    write_raster(tmp_path / "labels" / "a.tif", drawn)
    reading = Reading(labelling=Labelling(3))
    both = road_inputs([str(inputs / "scenes" / "a.tif")], tmp_path / "labels", reading)
    three = load(str(fresh_weights(tmp_path / "three.safetensors", classes, seed=3)))
    [outcome] = run_batch(both[:1], [three], SETTINGS, tmp_path, Silence())
    with rasterio.open(outcome.prediction.probability) as raster:
        levels = raster.read().astype(int)
    there = levels[0] != NODATA
    total = np.minimum(levels.sum(axis=0), 254)[there]
    expected = np.bincount(total, minlength=255)
    np.testing.assert_array_equal(outcome.scores.counts.strict[0].sum(axis=0), expected)
    for index in (1, 2):
        one = np.bincount(levels[index - 1][there & (drawn[0] == index)], minlength=255)
        np.testing.assert_array_equal(outcome.scores.counts.strict[index, 1], one)


def test_a_label_that_is_no_class_fails_its_scene_and_says_which(inputs, fresh_weights, tmp_path):
    classes = ("background", "road", "path")
    three = load(str(fresh_weights(tmp_path / "three.safetensors", classes, seed=3)))
    reading = Reading(labelling=Labelling(3))
    items = road_inputs([str(inputs / "scenes" / "a.tif")], inputs / "labels", reading)
    [outcome] = run_batch(items, [three], SETTINGS, tmp_path, Silence())
    assert "value 255 is no class of 0 to 2; leave it out with --ignore" in outcome.error


def test_floats_score_like_their_levels(both, model, tmp_path):
    counts = []
    for dtype in ("uint8", "float32"):
        settings = SETTINGS.model_copy(update={"dtype": dtype})
        [outcome] = run_batch(both[:1], [model], settings, tmp_path / dtype, Silence())
        counts.append(outcome.scores.counts.strict[0])
    np.testing.assert_array_equal(*counts)
