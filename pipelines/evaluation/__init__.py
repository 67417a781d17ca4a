"""Scores what was predicted, by us or by another tool, against labels.

Reads rasters; predicts nothing.
"""
