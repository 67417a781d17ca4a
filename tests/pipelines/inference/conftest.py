"""What tests of inference share."""

import pytest

from pipelines.datasets.synthetic import write_road_scene


@pytest.fixture(scope="session")
def road_folder(tmp_path_factory):
    """Two drawn scenes with labels, and a file that is no scene."""
    folder = tmp_path_factory.mktemp("roads")
    for seed, name in ((1, "north"), (2, "south")):
        write_road_scene(folder / "sat" / f"{name}.tif", folder / "map" / f"{name}.tif", 150, seed)
    (folder / "sat" / "broken.tif").write_text("no raster")
    return folder
