"""Two processes on one machine, started as users start them."""

import csv
import os
import subprocess
import sys

import pytest
import torch

from pipelines.config.training import TrainRoads
from pipelines.datasets.synthetic import write_roads_folder
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.training.run import train_roads

# Three crops of 48 pixels: the processes have unlike numbers of them, and of labelled pixels.
# Plain SGD: AdamW makes much of a gradient that is nearly zero.
SETTINGS = {
    "protocol": "paper", "learning_rate": 0.1, "ema": 0.9, "damaged_starts": 0.5,
    "random_steps": True,
    "iterations": 6, "scorings": 2, "crop_sizes": [48], "batch_pixels": 3 * 48**2, "steps": 2,
    "workers": 0, "held_out": [1],
}  # fmt: skip


def losses(output):
    """Of each iteration that is in the log, and the held-out scores."""
    (file,) = (output / "csv").glob("version_*/metrics.csv")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {
        (row["step"], key): float(row[key])
        for row in rows
        for key in ("train/loss", "held_out/break_even")
        if row[key]
    }


@pytest.fixture(scope="module")
def roads(tmp_path_factory):
    return write_roads_folder(tmp_path_factory.mktemp("ddp") / "roads", train=3, valid=1, size=96)


@pytest.fixture(scope="module")
def together(roads):
    """What two processes leave."""
    output = roads.parent / "together"
    options = [
        "--protocol", "paper", "--learning-rate", "0.1", "--ema", "0.9", "--damaged-starts", "0.5",
        "--random-steps", "--iterations", "6", "--scorings", "2", "--crop-sizes", "48",
        "--batch-pixels", str(3 * 48**2), "--steps", "2", "--workers", "0", "--held-out", "1",
    ]  # fmt: skip
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m",
            "flows.train_roads", "--data", str(roads), "--output", str(output), *options,
        ],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return output, done


def test_two_processes_train_as_one_does(roads, together):
    output, _ = together
    alone = train_roads(
        TrainRoads(data=[roads], output=roads.parent / "alone", **SETTINGS), Silence()
    )
    theirs, ours = losses(output), losses(roads.parent / "alone")
    assert {key for _, key in ours} == {"train/loss", "held_out/break_even"}
    assert theirs == pytest.approx(ours, rel=1e-4)
    state = load(str(alone.weights)).network.state_dict()
    for key, value in load(str(output / "roads.safetensors")).network.state_dict().items():
        torch.testing.assert_close(value, state[key], atol=5e-5, rtol=0)


def test_only_the_first_process_writes_and_speaks(together):
    output, done = together
    assert {path.name for path in output.iterdir()} == {
        "checkpoints", "csv", "held-out", "roads.safetensors", "settings.json", "tensorboard",
        "valid",
    }  # fmt: skip
    assert done.stdout.count("break-even") == 1
    assert done.stderr.count("iteration 6 of 6") == 1
