"""Trainings that are taught by other weights, or by their own last step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.config.training import TrainRoads
from pipelines.errors import PipelineError, WeightsError
from pipelines.models.weights import load, save
from pipelines.results.progress import Silence
from pipelines.training.objective import Objective
from pipelines.training.run import train_roads
from pipelines.training.teaching import Teachers
from tests.pipelines.training.easy_fits import same_weights, trained
from tests.pipelines.training.small_runs import roads_config

FEW = {"iterations": 1, "scorings": 1}


def test_teachers_see_the_image_on_their_own_scale_and_are_averaged(fresh_weights, tmp_path):
    teachers = tuple(
        load(str(fresh_weights(tmp_path / f"{seed}.safetensors", seed=seed, mean=mean)))
        for seed, mean in ((1, (90.0, 120.0, 60.0)), (2, (130.0, 100.0, 110.0)))
    )
    mean, std = (100.0, 110.0, 120.0), (40.0, 50.0, 60.0)
    objective = Objective({}, (1.0, 1.0), 0.4, mean, std, teachers=teachers)
    random = np.random.default_rng(0)
    pixels = random.uniform(0, 255, (1, 3, 32, 32))
    valid = random.random((1, 1, 32, 32)) > 0.2

    def seen_by(mean, std):
        planes = (np.array(values)[:, None, None] for values in (mean, std))
        return torch.tensor((pixels - next(planes)) / next(planes) * valid).float()

    with torch.no_grad():
        by_hand = sum(
            one.network(seen_by(one.card.mean, one.card.std))[-1].softmax(dim=1) for one in teachers
        )
    found = Teachers(objective, torch.contiguous_format).probabilities(
        seen_by(mean, std), torch.tensor(valid)
    )
    torch.testing.assert_close(found, by_hand / 2, atol=1e-5, rtol=0)
    assert not found.requires_grad


@pytest.mark.usefixtures("_small_tiles")
def test_teachers_are_noted(unbroken, roads, tmp_path):
    seen = load(str(unbroken.weights)).card.trained_on
    config = roads_config(
        roads, tmp_path / "on", teacher=[str(unbroken.weights)], self_teaching=0.3,
        network_arguments={"channels": "4,8", "level": 1}, **FEW,
    )  # fmt: skip
    found = load(str(train_roads(config, Silence()).weights))
    teacher = load(str(unbroken.weights))
    (noted,) = found.card.training["teacher"]
    assert (noted["name"], noted["digest"]) == (teacher.name, teacher.digest)
    assert found.card.training["teacher_weight"] == 0.5
    assert found.card.trained_on >= seen
    assert not any("teacher" in key for key in found.network.state_dict())
    assert train_roads(config, Silence()).weights is not None
    with pytest.raises(PipelineError, match="differs in teacher_weight; resume"):
        train_roads(config.model_copy(update={"teacher_weight": 0.7}), Silence())


@pytest.mark.usefixtures("_small_tiles")
def test_images_that_a_teacher_was_trained_on_are_held_out_last(unbroken, roads, tmp_path, caplog):
    model = load(str(unbroken.weights))
    ours = model.card.training
    path = tmp_path / "teacher.safetensors"
    save(path, model.network, replace(model.card, training={"images": ours["held_out"]}))
    config = roads_config(roads, tmp_path / "on", teacher=[str(path)], **FEW)
    found = load(str(train_roads(config, Silence()).weights)).card
    assert not {*found.training["held_out"]} & {*ours["held_out"]}
    save(path, model.network, replace(model.card, training={**ours, "earlier": {
        "images": ours["held_out"]}}))  # fmt: skip
    with caplog.at_level("WARNING", "rurnet"):
        train_roads(config.model_copy(update={"output": tmp_path / "all"}), Silence())
    assert f"{path} was trained on 1 of 1 held-out images" in caplog.text


@pytest.mark.usefixtures("_small_tiles")
def test_a_teacher_that_changed_is_not_gone_on_with(unbroken, roads, tmp_path):
    path = tmp_path / "teacher.safetensors"
    path.write_bytes(unbroken.weights.read_bytes())
    config = roads_config(roads, tmp_path / "on", teacher=[str(path)], **FEW)
    train_roads(config, Silence())
    model = load(str(path))
    save(path, model.network, replace(model.card, mean=(0.0, 0.0, 0.0)))
    with pytest.raises(PipelineError, match=r"differs in teacher \(.*teacher.safetensors\)"):
        train_roads(config, Silence())


def test_teachers_are_not_written_over(copied, roads):
    teacher = copied / "roads.safetensors"
    config = roads_config(roads, copied, teacher=[str(teacher)], overwrite=True)
    with pytest.raises(PipelineError, match="overwrite the weights that teach it"):
        train_roads(config, Silence())
    assert teacher.is_file()


def test_a_teacher_of_other_bands_or_another_task_is_refused(
    roads, tmp_path, fresh_weights, vessels_weights
):
    path = fresh_weights(tmp_path / "four.safetensors", bands=4)
    with pytest.raises(WeightsError, match=r"4 bands and 2 classes.*leave --teacher out"):
        train_roads(roads_config(roads, tmp_path / "a", teacher=[str(path)]), Silence())
    with pytest.raises(WeightsError, match="find vessels, not roads; give --teacher roads-"):
        train_roads(roads_config(roads, tmp_path / "b", teacher=[str(vessels_weights)]), Silence())


@pytest.mark.parametrize("alone", [{"alpha": 0}, {"steps": 1}, {"model": "unet-gn", "steps": None}])
def test_a_single_step_does_not_teach_itself(roads, tmp_path, alone):
    with pytest.raises(PipelineError, match=r"--self-teaching 0\.5: only one step of"):
        train_roads(roads_config(roads, tmp_path, self_teaching=0.5, **alone), Silence())


@pytest.mark.usefixtures("_small_held_out_tiles")
def test_the_last_step_changes_what_is_learned(sources, tmp_path):
    few = {"iterations": 2, "scorings": 1, "random_steps": False}
    plain = trained(sources, tmp_path / "plain", **few)
    taught = trained(sources, tmp_path / "taught", self_teaching=0.5, **few)
    assert not same_weights(plain, taught)


def test_trainings_of_before_teachers_were_known_go_on():
    assert not {"teacher", "teacher_weight", "self_teaching"} & set(TrainRoads().compared())
    with pytest.raises(ValueError, match="teacher_weight without teacher"):
        TrainRoads(teacher_weight=0.3)
