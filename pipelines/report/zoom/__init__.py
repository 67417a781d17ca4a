"""Scenes at full resolution: tiles for the viewer of the report that zooms.

What the page does with them is in `pipelines/report/page.zoom.js`.
"""
