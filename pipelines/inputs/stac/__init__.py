"""STAC catalogues, items and results of searches as sources of scenes.

pystac is imported where it is needed: it is an extra.
"""
