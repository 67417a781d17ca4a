"""Where a training ends, and that it goes on from there."""

import shutil
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from pipelines.errors import PipelineError
from pipelines.results.progress import Progress
from pipelines.training.checkpoints import WholeFiles, read_checkpoint
from tests.pipelines.training.easy_fits import SIDE, same_weights, trained

pytestmark = pytest.mark.usefixtures("_small_held_out_tiles")


@pytest.mark.parametrize("seed", [1, 8])  # The best scoring is the last, and an earlier one.
def test_wherever_it_is_killed_it_ends_with_the_same_weights(
    sources, tmp_path, monkeypatch, numbers, seed
):
    """What is on disk changes where a checkpoint is written: kills between are all the same.

    Each goes on in a folder of another name, as where one was moved.
    """
    running, shots = tmp_path / "running", []
    few = {"iterations": 4, "scorings": 2}
    save = lightning.Trainer.save_checkpoint

    def save_and_photograph(self, path, *arguments, **others):
        save(self, path, *arguments, **others)
        shots.append((self.global_step, tmp_path / f"shot{len(shots)}"))
        shutil.copytree(running, shots[-1][1])

    with monkeypatch.context() as patched:
        patched.setattr(lightning.Trainer, "save_checkpoint", save_and_photograph)
        unbroken = trained(sources, running, seed=seed, **few)
    assert numbers == [0, 1, 2, 3]
    assert {step for step, _ in shots} == {1, 2, 3, 4}
    for step, folder in shots:
        numbers.clear()
        resumed = trained(sources, folder, seed=seed, **few)
        # At most the iterations since the checkpoint before are done again.
        assert numbers in (list(range(step, 4)), list(range(step - 1, 4)))
        assert resumed.chosen.iteration == unbroken.chosen.iteration
        assert same_weights(resumed, unbroken)
        np.testing.assert_array_equal(resumed.held_out, unbroken.held_out)


def test_a_checkpoint_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    """Wherever temporary files are: a kill between is a write that does not end."""
    path = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"global_step": 1}, path)

    def broken_off(checkpoint, file):
        Path(file).write_bytes(b"half of it")
        raise RuntimeError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", broken_off)
        with pytest.raises(OSError, match="no space"):
            WholeFiles().save_checkpoint({"global_step": 2}, path)
    assert read_checkpoint(path) == {"global_step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_checkpoint_is_named(sources, tmp_path, numbers):
    trained(sources, tmp_path, scorings=1)
    numbers.clear()
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    with pytest.raises(PipelineError, match=r"last\.ckpt: cannot be read .* --overwrite"):
        trained(sources, tmp_path, scorings=1)
    assert numbers == []


def test_a_training_that_is_done_is_not_done_again(sources, tmp_path, numbers):
    first = trained(sources, tmp_path, scorings=1)
    numbers.clear()
    again = trained(sources, tmp_path, scorings=1)
    assert numbers == []
    assert same_weights(first, again)


class Told(Progress):
    """Keeps what is told of a training."""

    def __init__(self):
        self.standings = []

    def training(self, standing):
        self.standings.append(standing)


def test_time_ends_it_with_what_it_reached(sources, tmp_path, numbers):
    told = Told()
    few = {"iterations": 10_000, "scorings": 1}
    result = trained(sources, tmp_path, max_time=0.03, progress=told, **few)
    assert 0 < len(numbers) < 10_000
    assert result.chosen.iteration == len(numbers)
    assert result.reached.iteration == len(numbers)
    assert result.reached.seconds >= 1.8
    assert [iteration for iteration, _ in result.reached.scores] == [len(numbers)]
    assert result.held_out.sum() == SIDE**2 - 100
    # The time is told by the limit that comes first, and the share goes by it.
    assert {one.limit for one in told.standings} == {"--max-time"}
    lefts = [one.seconds_left for one in told.standings]
    assert lefts == sorted(lefts, reverse=True)
    assert 1 < lefts[0] <= 1.8
    assert lefts[-1] == 0
    assert told.standings[-1].share == 1
    assert [one.phase for one in (told.standings[0], told.standings[-2])] == [
        "waiting for the first crops",
        "scoring held-out images",
    ]
    numbers.clear()
    again = trained(sources, tmp_path, max_time=0.03, **few)
    assert numbers == []
    assert again.reached == result.reached
    # The advice of the end: more time, in the same folder.
    more = trained(sources, tmp_path, max_time=0.06, **few)
    assert numbers[0] == result.chosen.iteration
    assert len(more.reached.scores) == 2
    assert more.reached.seconds >= 3.6


def test_without_a_limit_of_time_the_iterations_tell_what_is_left(sources, tmp_path):
    told = Told()
    trained(sources, tmp_path, progress=told)
    assert {one.limit for one in told.standings} == {"--iterations"}
    last = told.standings[-1]
    assert (last.iteration, last.iterations, last.share) == (6, 6, 1)
    assert last.held_out is not None


def test_patience_ends_it_when_nothing_gets_better(sources, tmp_path, numbers):
    stuck = {"iterations": 60, "scorings": 30, "learning_rate": 1e-12, "patience": 2}
    result = trained(sources, tmp_path, **stuck)
    assert len(numbers) < 20
    assert result.chosen.iteration == 2
    numbers.clear()
    trained(sources, tmp_path, **stuck)
    assert numbers == []
    # It goes on with more patience, and counts from where it was.
    trained(sources, tmp_path, **stuck | {"patience": 5})
    assert 3 <= len(numbers) / 2 <= 4
    # Without any it goes on to the end, and nothing of Lightning's is said (warnings are errors).
    trained(sources, tmp_path, **stuck | {"patience": 0})
    assert numbers[-1] == 59
