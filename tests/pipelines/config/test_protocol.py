"""Ours, and the authors' way of training."""

import pytest
from pydantic import ValidationError

from pipelines.config.training import TrainDrive, TrainRoads


@pytest.mark.parametrize("config", [TrainRoads, TrainDrive])
def test_what_is_set_stands_in_place_of_the_protocols(config):
    plain = config().how
    told = config(iterations=7, ema=0.0, crop_sizes=[64], foreground_weight="median").how
    assert (told.iterations, told.ema, told.crop_sizes) == (7, 0.0, (64,))
    assert told.foreground_weight == "median"
    assert told.learning_rate == plain.learning_rate
    assert told.damaged_starts == plain.damaged_starts > 0


def test_the_paper_trains_as_its_authors_configuration_says():
    vessels = TrainDrive(protocol="paper").how
    assert (vessels.iterations, vessels.optimizer, vessels.learning_rate) == (12_000, "sgd", 1e-3)
    # 0.95 every 180 iterations.
    assert vessels.iterations * vessels.decay_interval == 180
    assert vessels.batch_pixels == 10 * vessels.crop_sizes[0] ** 2
    roads = TrainRoads(protocol="paper").how
    assert (roads.iterations, roads.crop_sizes, roads.batch_pixels) == (60_000, (448,), 2 * 448**2)
    for how in (vessels, roads):
        assert (how.ema, how.damaged_starts, how.random_steps) == (0, 0, False)
        assert how.foreground_weight == 1


def test_a_training_has_one_length():
    with pytest.raises(ValidationError, match="leave one out"):
        TrainRoads(epochs=2, iterations=10)
