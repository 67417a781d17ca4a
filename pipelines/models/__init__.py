"""Weights: files with networks and what is known of them, shipped and the user's.

Knows no scene and no data set.
"""
