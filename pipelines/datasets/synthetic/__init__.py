"""Draws small images with exact labels, for tests, the demo and first trials.

`python -m pipelines.datasets.synthetic DIR` writes both kinds. A drawing depends only on its seed.
"""

from pipelines.datasets.synthetic.fundus import draw_fundus, write_drive_folder
from pipelines.datasets.synthetic.roads import draw_road_scene, write_road_scene, write_roads_folder

__all__ = [
    "draw_fundus",
    "draw_road_scene",
    "write_drive_folder",
    "write_road_scene",
    "write_roads_folder",
]
