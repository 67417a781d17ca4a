"""A drawn scene of any size, as aerial surveys deliver them."""

from pathlib import Path

import rasterio

from pipelines.datasets.synthetic import draw_road_scene

DRAWN = 3000
"""Side in pixels of the drawn scene; larger scenes repeat it."""


def write_scene(path: Path, size: int) -> None:
    """Writes a JPEG-compressed GeoTIFF of `size` x `size` px, as aerial surveys deliver them."""
    pixels, _, _ = draw_road_scene(min(size, DRAWN), min(size, DRAWN), seed=3)
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 3, "height": size, "width": size,
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "jpeg",
        "photometric": "ycbcr", "jpeg_quality": 90, "num_threads": "ALL_CPUS",
        "crs": "EPSG:26986", "transform": rasterio.transform.from_origin(0, size, 1, 1),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as raster:
        for row in range(0, size, DRAWN):
            for column in range(0, size, DRAWN):
                height, width = min(DRAWN, size - row), min(DRAWN, size - column)
                window = rasterio.windows.Window(column, row, width, height)
                raster.write(pixels[:, :height, :width], window=window)
