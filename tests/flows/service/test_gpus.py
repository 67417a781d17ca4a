"""How many GPUs a run is to have, and which of those that are free."""

import pytest

from flows.service.gpus import free_gpus, wanted_gpus
from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferRoads
from pipelines.config.training import TrainDrive


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (InferRoads(), 1),
        (InferRoads(workers=3), 3),
        (InferRoads(workers=9), 4),
        (InferRoads(device="cpu"), 0),
        (InferRoads(device="cuda:1"), 0),
        (InferRoads(scheduler="tcp://host:8786"), 0),
        (InferRoads(dry_run=True), 0),
        (InferRoads(dry_run=True, measure=True), 1),
        (TrainDrive(), 1),
        (Evaluate(), 0),
    ],
    ids=[
        "inference", "workers", "more workers than GPUs", "cpu", "a GPU by its number",
        "on a cluster", "estimate", "measured estimate", "training", "evaluation",
    ],
)  # fmt: skip
def test_a_run_wants_a_gpu_for_itself_or_for_each_of_its_workers(values, wanted):
    assert wanted_gpus(values, 4) == wanted
    assert wanted_gpus(values, 0) == 0


def test_the_gpu_with_the_fewest_runs_comes_first_and_those_out_of_use_never():
    slots = {"a": (1, 2), "b": (0, 1), "c": (1, 1), "d": (0, 0)}
    assert free_gpus(list(slots), slots) == ["b", "a"]
