"""Weights files: networks with their metadata, shipped with the package or the user's own.

Nothing here depends on scenes or data sets.
"""
