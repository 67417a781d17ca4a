"""Trains networks: what is learned from which images, resumed after a kill, reported at the end.

The only room that imports lightning.
"""
