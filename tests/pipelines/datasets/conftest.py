"""What tests of data sets share."""

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path, write_raster):
    """Writes an image and its label of these values, row by row, into a folder's `images`."""

    def write(name="a", values=(0, 1), *, bands=3, split="", label=True, nodata=None, **profile):
        random = np.random.default_rng(len(name))
        rows = np.array(values)[np.arange(16) * len(values) // 16]
        drawn = np.repeat(rows[:, None], 16, axis=1)[None]
        pixels = random.integers(1, 250, (bands, 16, 16)).astype(np.uint8)
        write_raster(tmp_path / f"{split}images" / f"{name}.tif", pixels, **profile)
        if label:
            kind = np.uint8 if np.array_equal(drawn, drawn.astype(np.uint8)) else np.float32
            path = tmp_path / f"{split}labels" / f"{name}.tif"
            write_raster(path, drawn.astype(kind), nodata=nodata, **profile)
        return tmp_path

    return write
