"""What is told of weights without building their network."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from benchmarks.outlines import networks, row_of
from pipelines.errors import WeightsError
from pipelines.models.names import shipped
from pipelines.models.outline import TABLE, key_of, outlined
from pipelines.models.weights import load, save
from pipelines.runtime.tensor_memory import most_held
from rurnet.registry import NETWORKS, create

SIDE = 96


@pytest.mark.parametrize("name", shipped())
def test_an_outline_says_what_the_network_is_and_holds(name):
    told, model = outlined(name), load(name)
    assert (told.name, told.digest, told.source) == (model.name, model.digest, model.source)
    assert told.card == model.card
    for what in ("classes", "steps", "one_shot"):
        assert getattr(told.network, what) == getattr(model.network, what)
    for steps in (1,) if model.network.one_shot else (1, 4):
        run = partial(model.network, torch.zeros(1, 3, SIDE, SIDE), steps=steps)
        held = most_held(run) + 4 * 3 * SIDE**2
        # Other releases of torch may hold a little more or less.
        assert told.network.held_per_pixel(steps) == pytest.approx(held / SIDE**2, rel=0.05)


def test_the_table_has_every_network():
    known = set(json.loads(TABLE.read_text()))
    wanted = {key_of(*network) for network in networks()}
    assert known == wanted, "python -m benchmarks.outlines writes the table anew"
    assert {name for name, _ in networks()} == set(NETWORKS)


@pytest.mark.parametrize("name", ["unet-bn", "sru-2", "rec-last", "icnet", "canvas"])
def test_the_table_is_that_of_the_networks_as_they_are(name):
    arguments = {"in_channels": 3, "classes": 2}
    row = json.loads(TABLE.read_text())[key_of(name, arguments)]
    found = row_of(create(name, **arguments).eval())
    for what in ("steps", "one_shot", "tensors"):
        assert row[what] == found[what], "python -m benchmarks.outlines writes the table anew"
    assert row["held"] == pytest.approx(found["held"], rel=0.05)


def test_another_default_number_of_steps_is_told(roads_model, tmp_path):
    card = replace(roads_model.card, network="dru-1", arguments={
        "in_channels": 3, "classes": 2, "steps": 5,
    })  # fmt: skip
    save(tmp_path / "five.safetensors", create("dru-1", **card.arguments), card)
    assert outlined(str(tmp_path / "five.safetensors")).network.steps == 5


def other_channels(network, card):
    arguments = {"in_channels": 3, "classes": 2, "channels": [4, 8, 8, 8, 8]}
    return create("unet-gn", **arguments), replace(card, network="unet-gn", arguments=arguments)


def not_a_number(network, card):
    next(network.parameters()).data[0] = torch.nan
    return network, card


def other_tensors(network, card):
    return create("unet-gn", in_channels=3, classes=2), card


def half_precision(network, card):
    return network.to(torch.bfloat16), card


@pytest.mark.parametrize("changed", [other_channels, not_a_number, other_tensors, half_precision])
def test_what_only_the_network_can_tell_is_not_told(changed, tmp_path):
    model = load("roads-dru4")
    path = tmp_path / "changed.safetensors"
    save(path, *changed(model.network, model.card))
    assert outlined(str(path)) is None


def test_weights_for_another_task_are_refused():
    with pytest.raises(WeightsError, match="find vessels, not roads"):
        outlined("vessels-dru4", "roads")
