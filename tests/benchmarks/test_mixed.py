"""Weights between two."""

import sys

import pytest
import torch

from benchmarks import mixed
from pipelines.errors import PipelineError
from pipelines.models.weights import load, save


@pytest.fixture
def two(roads_model, tmp_path):
    """A file of weights, and one of weights further on."""
    before, after = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    save(before, roads_model.network, roads_model.card)
    with torch.no_grad():
        for parameter in roads_model.network.parameters():
            parameter += 1.0
    save(after, roads_model.network, roads_model.card)
    return before, after


def test_a_quarter_of_the_way_is_written_with_a_note(two, tmp_path, monkeypatch):
    output = tmp_path / "new.safetensors"
    words = [*map(str, two), "--share", "0.25", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["mixed", *words])
    mixed.main()
    before, after, new = (load(str(path)) for path in (*two, output))
    for name, parameter in new.network.named_parameters():
        first = dict(before.network.named_parameters())[name]
        torch.testing.assert_close(parameter, first + 0.25)
    assert new.card.training["mixed"] == {
        "before": before.digest, "after": after.digest, "share": 0.25,
    }  # fmt: skip


def test_networks_of_other_scales_are_refused(two):
    with pytest.raises(PipelineError, match="no networks of one kind and scale"):
        mixed.mixed(load(str(two[0])), load("vessels-dru4"), 0.5)
