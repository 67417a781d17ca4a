"""Trainings of a user's own folder, small enough for tests."""

import pytest
from affine import Affine

from pipelines.config.training_folder import TrainFolder
from pipelines.errors import PipelineError
from pipelines.results.progress import Silence
from pipelines.training.run import train_folder
from tiling.errors import TilingError

PLACE = Affine(0.5, 0, 200_000, 0, -0.5, 900_000)
FEW = {
    "crop_sizes": [32], "batch_pixels": 2048, "steps": 2, "workers": 0, "scorings": 1,
    "iterations": 2,
}  # fmt: skip


def config(root, **changed):
    told = {"images": root / "images", "labels": root / "labels", "output": root / "out"}
    return TrainFolder(**{**FEW, **told, **changed})


def refused(root, **changed):
    """The one line that a training is refused with, which leaves nothing behind."""
    before = sorted(root.rglob("*"))
    with pytest.raises((PipelineError, TilingError)) as caught:
        train_folder(config(root, **changed), Silence())
    assert sorted(root.rglob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)
