"""Trainings on scenes so easy that a few iterations tell."""

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines.config.training import TrainRoads
from pipelines.results.progress import Silence
from pipelines.sampling.statistics import band_statistics, contents_of
from pipelines.training.fit import train
from pipelines.training.loaders import Tile
from pipelines.training.objective import Objective

SIDE = 64

SILENCE = Silence()


def settings(**changed):
    few = {"crop_sizes": [32], "batch_pixels": 2048, "workers": 0, "steps": 2, "scorings": 3}
    # Some compare with what 32 bits give.
    return TrainRoads(**{**few, "iterations": 6, "precision": "32-true", **changed})


def trained(sources, folder, *, foreground_weight=1.0, progress=SILENCE, **changed):
    """Trains on the first two scenes, holds out the third."""
    config = settings(**changed)
    arguments = {"in_channels": 3, "classes": 2, "steps": config.steps}
    mean, std = band_statistics([contents_of(source) for source in sources[:2]])
    objective = Objective(arguments, (1.0, foreground_weight), 0.4, mean, std)
    return train(
        config, objective, sources[:2], [1, 1], labelled_tiles(sources[2:]), folder, progress
    )


def labelled_tiles(sources):
    return [Tile(source, window) for source in sources for window in contents_of(source).labelled]


def same_weights(one, other):
    a, b = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(a[key], b[key]) for key in a)


def scalars(folder, tag):
    """What the TensorBoard log says: {iteration: value}."""
    log = EventAccumulator(str(folder / "tensorboard"))
    log.Reload()
    return {event.step + 1: event.value for event in log.Scalars(tag)}
