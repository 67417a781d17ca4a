"""Trainings of a data folder, small enough for tests."""

import hashlib
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from PIL import Image

from pipelines.config.inference import PredictionSettings
from pipelines.config.training import TrainRoads
from pipelines.datasets import fundus
from pipelines.sampling import statistics
from pipelines.training import run as recipes

TILE = 128

FEW = {
    "crop_sizes": [32],
    "batch_pixels": 2048,
    "steps": 2,
    "workers": 0,
    "held_out": [1],
    "scorings": 1,
}


def roads_config(data, output, **changed):
    return TrainRoads(
        **{**FEW, "iterations": 12, "scorings": 2, "data": [data], "output": output, **changed}
    )


def quartered(folder):
    """The same images and annotations at a quarter of the width and height."""
    for path in (p for p in folder.rglob("*") if p.is_file()):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB" if path.suffix == ".tif" else "L"))
        Image.fromarray(pixels[::4, ::4]).save(path)
    return folder


@contextmanager
def small_tiles():
    """Tiles about as small as the images: the rest would be padding."""
    smaller = partial(PredictionSettings, tile=TILE, overlap=32)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(statistics, "TILE", TILE)
        patched.setattr(recipes, "PredictionSettings", smaller)
        # The quartered images' fields of view have 135.
        patched.setattr(fundus, "FIELD_DIAMETERS", (100, 120))
        yield


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
