"""A finished run for others: as a STAC catalogue, and uploaded.

Reads reports and rasters; predicts nothing. pystac and boto3 are imported where they are needed:
they are extras.
"""
