"""What a run leaves to be read: `report.json`, `scores.csv`, `report.html`, figures.

Nothing here counts a pixel or computes a score: numbers come ready from `pipelines.scores`.
"""
