"""What tests of trainings share."""

import pytest

from pipelines.sampling.batches import CropBatches


@pytest.fixture
def numbers(monkeypatch):
    """The numbers of the batches that were made."""
    made = []
    make = CropBatches.__getitem__

    def noted(self, number):
        made.append(number)
        return make(self, number)

    monkeypatch.setattr(CropBatches, "__getitem__", noted)
    return made
