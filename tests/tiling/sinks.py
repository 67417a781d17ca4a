"""Rasters that tests write, and how they look at them."""

from functools import partial

import numpy as np
import rasterio
from rio_cogeo.cogeo import cog_validate

from tiling.readers.raster import without_georeferencing_warning
from tiling.sink import BLOCK, ClassCogSink, CogSink, Description, PngSink, publish
from tiling.window import split

HEIGHT, WIDTH = 700, 1100
TAGS = {"RURNET_MODEL": "fresh", "RURNET_STEPS": "3"}


def levels_with_every_value(bands=1):
    """Levels [bands, 700, 1100] from 0 to 254, and nodata in a corner and a line."""
    levels = np.arange(HEIGHT * WIDTH, dtype=np.int64).reshape(1, HEIGHT, WIDTH) % 255
    levels = np.concatenate([(levels + 50 * band) % 255 for band in range(bands)])
    levels[:, :300, :200] = 255
    levels[:, 650] = 255
    return levels.astype(np.uint8)


def description(pixels, nodata=255, **more):
    """Of pixels [bands, h, w]."""
    bands, height, width = pixels.shape
    names = [f"probability of class {band}" for band in range(1, bands + 1)]
    return Description(height, width, str(pixels.dtype), nodata, names, tags=TAGS, **more)


def cog(path, pixels, *, kind=CogSink, nodata=255, **more):
    return kind(path, path.parent, description(pixels, nodata, **more))


def png(path, pixels):
    return PngSink(path, path.parent, description(pixels, None))


def write(sink, pixels, size=BLOCK):
    for window in split(*pixels.shape[1:], size):
        sink.write(window, pixels[:, *window.slices()])


def written(sink, pixels, size=BLOCK):
    """The file of a sink that has taken all pixels."""
    write(sink, pixels, size)
    (path,) = publish([sink])
    return path


def opened(path):
    with without_georeferencing_warning():
        return rasterio.open(path)


def opened_level(path, level):
    with without_georeferencing_warning():
        return rasterio.open(path, overview_level=level)


def check_cog(path):
    with without_georeferencing_warning():
        assert cog_validate(path, strict=True) == (True, [], [])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


SINKS = {"tif": cog, "classes.tif": partial(cog, kind=ClassCogSink), "png": png}
"""A file of each kind."""
