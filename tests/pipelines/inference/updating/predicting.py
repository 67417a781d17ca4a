"""What updates are compared by: predictions, and the rasters that they leave."""

import rasterio

from pipelines.config.inference import InferRoads
from pipelines.inference.batch import run_batch
from pipelines.inference.items import items_of
from pipelines.models.weights import load
from pipelines.results.progress import Silence


def prediction_of(scene, output, **asked):
    """What is predicted of a scene, without the report."""
    config = InferRoads(scenes=[str(scene)], output=output, **asked)
    models = [load(model) for model in config.model]
    items = items_of(config, models, config.scenes)
    [outcome] = run_batch(items, models, config, output, Silence())
    assert outcome.error is None, outcome.error
    return outcome.prediction


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)
