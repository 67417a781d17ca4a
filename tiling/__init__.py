"""Scenes, tiles, blending, stitching and raster files, of any size in bounded memory.

Imports numpy, rasterio and tifffile: no network, no torch. What predicts a tile is handed
in as a function of arrays (see `tiling.stitch`).
"""

# Its settings must be there before GDAL is, which reads some of them once.
from tiling.readers import gdal as gdal
