"""What tests of inference share."""

from contextlib import ExitStack

import numpy as np
import pytest

from pipelines.datasets.synthetic import draw_road_scene, write_road_scene
from pipelines.inputs.discovery import road_inputs
from pipelines.models.weights import load
from tests.pipelines.inference.clusters import Cluster
from tests.pipelines.inference.rasters import HEIGHT, SMALL, WIDTH


@pytest.fixture(scope="session")
def road_folder(tmp_path_factory):
    """Two drawn scenes with labels, and a file that is no scene."""
    folder = tmp_path_factory.mktemp("roads")
    for seed, name in ((1, "north"), (2, "south")):
        write_road_scene(folder / "sat" / f"{name}.tif", folder / "map" / f"{name}.tif", 150, seed)
    (folder / "sat" / "broken.tif").write_text("no raster")
    return folder


@pytest.fixture(scope="session")
def drawn():
    """Pixels of a road scene, and which are there."""
    pixels, _, valid = draw_road_scene(HEIGHT, WIDTH, seed=4)
    valid[30:50, 60:90] = False
    return pixels, valid


@pytest.fixture(scope="session")
def model(roads_weights):
    return load(str(roads_weights))


@pytest.fixture(scope="session")
def source(drawn, write_raster, tmp_path_factory):
    """The drawn scene as a file, of a metre per pixel."""
    path = tmp_path_factory.mktemp("in") / "s.tif"
    return write_raster(path, drawn[0], nodata_kind="mask", valid=drawn[1])


@pytest.fixture(scope="session")
def predicted(model, source, predict, tmp_path_factory):
    """Predicts a scene, the drawn one if no other, as it is read; returns the prediction."""

    def run(scene=None, models=None, reading=None, png=False, **changes):
        [item] = road_inputs([str(scene or source)], None, reading)
        folder = tmp_path_factory.mktemp("predicted") / "out"
        wanted = SMALL.model_copy(update=changes)
        with item.open() as opened:
            return predict(
                opened.scene, models or [model], wanted, folder, seen=opened.seen, png=png
            )

    return run


@pytest.fixture(scope="session")
def plain(predicted):
    return predicted()


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture(scope="session")
def inputs(write_raster, tmp_path_factory):
    """Scenes that are bad, each in its way, between two that are good; labels beside them."""
    folder = tmp_path_factory.mktemp("inputs")
    scenes, labels = folder / "scenes", folder / "labels"
    for seed, name in enumerate(("a", "z", "mislabelled")):
        pixels, label, valid = draw_road_scene(90, 100, seed)
        write_raster(scenes / f"{name}.tif", pixels, nodata_kind="nodata", valid=valid)
        if name == "mislabelled":
            label = label[:, :-1]
        if name != "z":
            write_raster(labels / f"{name}.tif", label[None] * np.uint8(255))
    noise = np.random.default_rng(0).integers(0, 256, (3, 90, 100))
    cut_in_half(write_raster(scenes / "cut.tif", noise.astype(np.uint8), compress="deflate"))
    write_raster(scenes / "deep.tif", noise.astype(np.uint32))
    write_raster(scenes / "grey.tif", noise[:1].astype(np.uint8))
    (scenes / "text.tif").write_text("no raster")
    return folder


@pytest.fixture
def both(inputs):
    """The two scenes that are good."""
    return road_inputs([str(inputs / "scenes" / f"{name}.tif") for name in "az"], inputs / "labels")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of two workers."""
    with ExitStack() as stack:
        cluster = Cluster(tmp_path_factory.mktemp("cluster"), stack)
        cluster.add("one")
        cluster.add("two")
        yield cluster
