"""Networks over scenes of any size: from tiles to rasters, one process or many workers.

Imports neither training, prefect, lightning nor monai; Dask only where it is asked for.
"""
