"""Trainings that start from weights."""

from dataclasses import replace

import lightning
import pytest
import torch

from pipelines.errors import PipelineError, WeightsError
from pipelines.models.weights import load, save
from pipelines.results.progress import Silence
from pipelines.training.checkpoints import read_checkpoint
from pipelines.training.run import train_roads
from tests.pipelines.training.small_runs import roads_config

pytestmark = pytest.mark.usefixtures("_small_tiles")


def test_weights_to_start_from_bring_their_normalisation_and_are_noted(unbroken, roads, tmp_path):
    few = {"iterations": 1, "scorings": 1, "learning_rate": 1e-9}
    config = roads_config(roads, tmp_path / "on", start_from=str(unbroken.weights), **few)
    found = load(str(train_roads(config, Silence()).weights))
    start = load(str(unbroken.weights))
    assert (found.card.mean, found.card.std) == (start.card.mean, start.card.std)
    assert found.card.training["earlier"] == start.card.training
    assert found.card.training["start_from"] == unbroken.weights.name
    for key, value in start.network.state_dict().items():
        torch.testing.assert_close(found.network.state_dict()[key], value, rtol=0, atol=1e-6)


def test_a_training_that_does_not_help_keeps_the_weights_that_it_started_from(
    unbroken, roads, tmp_path
):
    spoiling = {"iterations": 2, "scorings": 1, "learning_rate": 1.0}
    config = roads_config(roads, tmp_path / "on", start_from=str(unbroken.weights), **spoiling)
    result = train_roads(config, Silence())
    found, start = load(str(result.weights)), load(str(unbroken.weights))
    for key, value in start.network.state_dict().items():
        assert torch.equal(found.network.state_dict()[key], value)
    assert found.card.training["chosen_iteration"] == 0
    (end,) = result.endings
    assert f"no scoring was better than {unbroken.weights}: its weights are kept" in end.said
    assert "a lower --learning-rate (such as 0.25)" in end.advice[-1]


def test_an_average_with_the_start_is_kept_where_it_is_best(unbroken, roads, tmp_path, monkeypatch):
    config = roads_config(
        roads, tmp_path / "on", start_from=str(unbroken.weights), iterations=4, scorings=1
    )
    # Which share is best is not left to chance.
    validate = lightning.Trainer.validate
    shares = iter((0.0, 0.25, 0.5, 0.75))

    def best_at_three_quarters(trainer, *given, **named):
        (scores,) = validate(trainer, *given, **named)
        return [scores | {"held_out/break_even": 0.9 if next(shares) == 0.75 else 0.1}]

    monkeypatch.setattr(lightning.Trainer, "validate", best_at_three_quarters)
    result = train_roads(config, Silence())
    found, start = (load(str(path)).network for path in (result.weights, unbroken.weights))
    checkpoint = read_checkpoint(tmp_path / "on" / "checkpoints" / "best.ckpt")
    for key, before in start.state_dict().items():
        after = checkpoint["state_dict"][f"network.{key}"]
        torch.testing.assert_close(found.state_dict()[key], before + 0.75 * (after - before))
    assert any(not torch.equal(found.state_dict()[k], v) for k, v in start.state_dict().items())
    training = load(str(result.weights)).card.training
    assert (training["chosen_iteration"], training["chosen_share"]) == (4, 0.75)
    (end,) = result.endings
    assert f"an average of {unbroken.weights} and those of iteration 4" in end.said


def test_weights_to_start_from_that_changed_are_not_gone_on_from(unbroken, roads, tmp_path):
    start = tmp_path / "start.safetensors"
    start.write_bytes(unbroken.weights.read_bytes())
    config = roads_config(roads, tmp_path / "on", start_from=str(start), iterations=1, scorings=1)
    train_roads(config, Silence())
    model = load(str(start))
    save(start, model.network, replace(model.card, mean=(0.0, 0.0, 0.0)))
    with pytest.raises(
        PipelineError, match=r"differs in start_from \(.*start.safetensors\); resume"
    ):
        train_roads(config, Silence())


def test_weights_to_start_from_are_not_written_over(copied, roads):
    start = copied / "roads.safetensors"
    config = roads_config(roads, copied, start_from=str(start), overwrite=True)
    with pytest.raises(PipelineError, match="choose another --output"):
        train_roads(config, Silence())
    fold = copied / "fold-1"
    fold.mkdir()
    start = start.rename(fold / "roads-1.safetensors")
    with pytest.raises(PipelineError, match="choose another --output"):
        train_roads(config.model_copy(update={"start_from": str(start)}), Silence())
    assert start.is_file()


def test_weights_of_another_network_or_task_are_no_start(
    unbroken, roads, tmp_path, vessels_weights
):
    config = roads_config(roads, tmp_path, start_from=str(unbroken.weights), model="sru-4")
    with pytest.raises(WeightsError, match="--model dru-4"):
        train_roads(config, Silence())
    with pytest.raises(WeightsError, match="find vessels, not roads; give --start-from roads-"):
        train_roads(roads_config(roads, tmp_path, start_from=str(vessels_weights)), Silence())
