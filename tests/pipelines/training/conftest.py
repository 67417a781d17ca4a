"""What tests of trainings share."""

import shutil

import numpy as np
import pytest

from pipelines.datasets.massachusetts import RoadPair
from pipelines.datasets.synthetic import write_roads_folder
from pipelines.results.progress import Silence
from pipelines.sampling import statistics
from pipelines.sampling.sources import SceneSource
from pipelines.training.run import train_roads
from tests.pipelines.training.easy_fits import SIDE
from tests.pipelines.training.small_runs import roads_config, small_tiles


@pytest.fixture
def _small_tiles():
    with small_tiles():
        yield


@pytest.fixture(scope="session")
def roads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes") / "massachusetts_roads"
    return write_roads_folder(folder, train=3, valid=1, size=96)


@pytest.fixture(scope="session")
def unbroken(roads):
    """A training of roads from beginning to end."""
    with small_tiles():
        return train_roads(roads_config(roads, roads.parent / "unbroken"), Silence())


@pytest.fixture
def copied(unbroken, tmp_path):
    """The folder of that training, to do something to."""
    output = unbroken.weights.parent
    kept = output.with_name("kept")
    shutil.copytree(output, kept)
    yield output
    shutil.rmtree(output)
    kept.rename(output)


@pytest.fixture
def _small_held_out_tiles(monkeypatch):
    """Tiles of the scenes' own size, so that nothing is scored but them."""
    monkeypatch.setattr(statistics, "TILE", SIDE)


@pytest.fixture(scope="session")
def sources(tmp_path_factory, write_raster):
    """Three scenes of bright roads on dark ground; one corner is missing."""
    folder = tmp_path_factory.mktemp("scenes")
    made = []
    for number in range(3):
        random = np.random.default_rng(number)
        road = np.zeros((SIDE, SIDE), bool)
        for start in random.choice(SIDE - 6, 3, replace=False):
            road[start : start + 6] = True
        road = road if number % 2 else road.T
        valid = np.ones((SIDE, SIDE), bool)
        valid[:10, :10] = False
        pixels = random.normal(60 + 120 * road, 12, (3, SIDE, SIDE)).clip(1, 254).astype(np.uint8)
        image, label = folder / f"{number}.tif", folder / f"{number}_label.tif"
        write_raster(image, pixels, nodata_kind="nodata", valid=valid)
        write_raster(label, (road * 255).astype(np.uint8)[None])
        made.append(SceneSource(RoadPair(str(number), image, label).scene_input()))
    return made
