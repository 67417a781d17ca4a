"""Small predictions, and the rasters that they leave."""

import rasterio

from pipelines.config.inference import PredictionSettings
from tiling.readers.raster import without_georeferencing_warning

SMALL = PredictionSettings(tile=64, overlap=16, part_size=100, batch=4, device="cpu", steps=1)
HEIGHT, WIDTH = 130, 150


def read(path):
    with without_georeferencing_warning(), rasterio.open(path) as raster:
        return raster.read()


def grid_of(path):
    with rasterio.open(path) as raster:
        return raster.shape, raster.crs, raster.transform
