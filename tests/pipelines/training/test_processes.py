"""Two processes on one machine, started as users start them."""

import csv
import os
import subprocess
import sys

import pytest

from pipelines.config.training import TrainRoads
from pipelines.datasets.synthetic import write_roads_folder
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.training.run import train_roads

# Three crops of 48 pixels: the processes have unlike numbers of them, and of labelled pixels.
# Plain SGD: AdamW makes much of a gradient that is nearly zero. Two iterations: the second begins
# with what the first one shared, and more would only amplify rounding, which differs with the
# number of crops that go through a convolution together.
SETTINGS = {
    "protocol": "paper", "learning_rate": 0.1, "ema": 0.9, "damaged_starts": 0.5,
    "random_steps": True,
    "iterations": 2, "scorings": 2, "crop_sizes": [48], "batch_pixels": 3 * 48**2, "steps": 2,
    "workers": 0, "held_out": [1],
    "precision": "32-true",  # Rounding is compared.
}  # fmt: skip

ROUNDING = 1e-5
"""Of a weight after two iterations: 6e-8 was seen on one processor, others round otherwise; a
training on two of the three crops differs by more than ten times this."""


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
        "--random-steps", "--iterations", "2", "--scorings", "2", "--crop-sizes", "48",
        "--batch-pixels", str(3 * 48**2), "--steps", "2", "--workers", "0", "--held-out", "1",
        "--precision", "32-true",
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


def weights_apart(one, other):
    """The largest difference between the weights of two files."""
    ours, theirs = (load(str(path)).network.state_dict() for path in (one, other))
    assert ours.keys() == theirs.keys()
    return max(float((ours[key] - theirs[key]).abs().max()) for key in ours)


def test_two_processes_train_as_one_does(roads, together):
    output, _ = together
    alone = train_roads(
        TrainRoads(data=[roads], output=roads.parent / "alone", **SETTINGS), Silence()
    )
    theirs, ours = losses(output), losses(roads.parent / "alone")
    assert {key for _, key in ours} == {"train/loss", "held_out/break_even"}
    assert theirs == pytest.approx(ours, rel=1e-4)
    assert weights_apart(output / "roads.safetensors", alone.weights) < ROUNDING


def test_a_batch_without_one_of_its_crops_trains_otherwise(roads, together):
    output, _ = together
    fewer = {**SETTINGS, "batch_pixels": 2 * 48**2}
    less = train_roads(TrainRoads(data=[roads], output=roads.parent / "less", **fewer), Silence())
    assert weights_apart(output / "roads.safetensors", less.weights) > 10 * ROUNDING


def test_only_the_first_process_writes_and_speaks(together):
    output, done = together
    assert {path.name for path in output.iterdir()} == {
        "checkpoints", "csv", "held-out", "roads.safetensors", "settings.json", "tensorboard",
        "valid",
    }  # fmt: skip
    assert done.stdout.count("pooled") == 1
    assert done.stderr.count("iteration 2 of 2") == 1
