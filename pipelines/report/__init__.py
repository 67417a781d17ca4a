"""Builds and writes the report of a run: `report.json`, `scores.csv`, `report.html`, figures.

Nothing here counts a pixel or computes a score: numbers come ready from `pipelines.scores`.
"""
