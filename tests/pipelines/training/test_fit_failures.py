"""What ends a training before its time, said in one line."""

import lightning
import numpy as np
import pytest
import torch

from pipelines.datasets.massachusetts import RoadPair
from pipelines.errors import DeviceMemoryError, PipelineError, TrainingError
from pipelines.results.progress import Silence
from pipelines.sampling.sources import SceneSource
from pipelines.sampling.statistics import contents_of
from pipelines.training import module as training_module
from pipelines.training.fit import train
from pipelines.training.module import SegmentationModule
from pipelines.training.objective import Objective
from tests.pipelines.training.easy_fits import SIDE, labelled_tiles, settings, trained
from tiling.errors import SceneError

pytestmark = pytest.mark.usefixtures("_small_held_out_tiles")


def test_what_crops_cannot_be_cut_from_is_said_in_one_line(sources, tmp_path, write_raster):
    """Also where another process reads it."""
    gone = tmp_path / "gone.tif"
    write_raster(gone, np.full((3, SIDE, SIDE), 90, np.uint8))
    label = write_raster(tmp_path / "label.tif", np.eye(SIDE, dtype=np.uint8)[None])
    source = SceneSource(RoadPair("gone", gone, label).scene_input())
    assert contents_of(source).foreground
    source.close()
    gone.unlink()
    objective = Objective({"in_channels": 3, "classes": 2}, (1.0, 1.0), 0.4, (9.0,) * 3, (9.0,) * 3)
    config = settings(workers=1, steps=None)
    with pytest.raises(SceneError) as caught:
        train(
            config,
            objective,
            [source],
            [1],
            labelled_tiles(sources[2:]),
            tmp_path / "out",
            Silence(),
        )
    assert str(caught.value) == f"{gone}: no such file; check the path"


def test_a_loss_that_is_no_number_ends_it_and_keeps_what_was_good(sources, tmp_path, monkeypatch):
    few = {"iterations": 8, "scorings": 4}
    good = training_module.multi_step_loss
    calls = []

    def bad(*arguments, **named):
        calls.append(1)
        return good(*arguments, **named) * (float("nan") if len(calls) > 5 else 1)

    with monkeypatch.context() as patched:
        patched.setattr(training_module, "multi_step_loss", bad)
        with pytest.raises(TrainingError, match=r"iteration 6: the loss is not a number any more"):
            trained(sources, tmp_path, **few)
    checkpoints = tmp_path / "checkpoints"
    last = torch.load(checkpoints / "last.ckpt", weights_only=False)
    assert last["global_step"] in (4, 5)
    assert all(torch.isfinite(value).all() for value in last["state_dict"].values())
    assert torch.load(checkpoints / "best.ckpt", weights_only=False)["global_step"] in (2, 4)
    # What was bad is gone: it goes on from there.
    result = trained(sources, tmp_path, **few)
    assert torch.load(checkpoints / "last.ckpt", weights_only=False)["global_step"] == 8
    assert result.chosen.iteration >= 2


def test_a_batch_that_does_not_fit_into_memory_is_said(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(SegmentationModule, "training_step", lambda *_: torch.empty(1 << 58))
    with pytest.raises(DeviceMemoryError, match=r"does not fit into memory .*--accumulate"):
        trained(sources, tmp_path)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), PipelineError),
        (EOFError(), PipelineError),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), PipelineError),
        # All processes of a job were.
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. "),
            KeyboardInterrupt,
        ),
    ],
    ids=repr,
)
def test_the_death_of_a_process_of_crops_is_told_by_any_of_its_signs(
    sources, tmp_path, monkeypatch, error, raised
):
    def died(*_, **__):
        raise error

    monkeypatch.setattr(lightning.Trainer, "fit", died)
    with pytest.raises(raised) as caught:
        trained(sources, tmp_path)
    if raised is PipelineError:
        assert "a process that makes crops died" in str(caught.value)
