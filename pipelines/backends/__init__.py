"""What computes networks on a CPU instead of torch: OpenVINO, and when it is taken.

Knows networks and weights; no scene, no tile grid, no Dask.
"""
