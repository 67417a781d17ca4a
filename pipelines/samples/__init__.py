"""Small drawn images with exact labels, for tests, the demo and trying things out.

`python -m pipelines.samples DIR` writes both kinds. The drawings depend on the seed alone.
"""

from pipelines.samples.fundus import draw_fundus, write_drive_folder
from pipelines.samples.roads import draw_road_scene, write_road_scene, write_roads_folder

__all__ = [
    "draw_fundus",
    "draw_road_scene",
    "write_drive_folder",
    "write_road_scene",
    "write_roads_folder",
]
