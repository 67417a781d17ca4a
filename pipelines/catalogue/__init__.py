"""A finished run as a STAC catalogue: an item for each scene, one for the weights, a collection.

Reads reports and rasters; predicts nothing. pystac is imported where it is needed: it is an extra.
"""
