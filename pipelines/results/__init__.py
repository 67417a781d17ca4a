"""The values that a run leaves: outcomes of its scenes, report, result; its rasters as levels.

Knows neither what predicted nor how it is shown.
"""
