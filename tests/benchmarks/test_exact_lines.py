"""The mosaic that lines are compared on."""

import numpy as np
import rasterio

from benchmarks.exact_lines import mosaic_of


def test_a_mosaic_has_the_tiles_row_by_row_and_begins_anew_with_the_first(write_raster, tmp_path):
    for name, value in (("a", 1), ("b", 2)):
        pixels = np.full((3, 40, 40), value, np.uint8)
        pixels[1:] += np.arange(1, 3, dtype=np.uint8).reshape(2, 1, 1) * 10
        write_raster(tmp_path / "tiles" / f"{name}.tif", pixels)
    path = mosaic_of(tmp_path / "tiles", 100, tmp_path / "mosaic.vrt")
    with rasterio.open(path) as mosaic:
        pixels = mosaic.read()
        assert mosaic.crs is not None
    assert pixels.shape == (3, 100, 100)
    corners = pixels[:, ::40, ::40]
    np.testing.assert_array_equal(corners[0], [[1, 2, 1], [2, 1, 2], [1, 2, 1]])
    np.testing.assert_array_equal(corners[2], corners[0] + 20)
    assert (pixels[0, :40, 40:80] == 2).all()
    assert (pixels > 0).all()
