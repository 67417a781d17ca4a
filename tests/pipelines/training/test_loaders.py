"""How many processes make crops, and the tiles that choose the weights."""

import pytest
import torch

from pipelines.config.training import TrainRoads
from pipelines.datasets.massachusetts import road_pairs
from pipelines.datasets.synthetic import write_roads_folder
from pipelines.sampling.sources import SceneSource
from pipelines.sampling.statistics import contents_of
from pipelines.training.loaders import Tile, crop_loader, held_out_loader
from pipelines.training.objective import objective_of


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = write_roads_folder(tmp_path_factory.mktemp("loading"), train=1, valid=0, size=64)
    return SceneSource(road_pairs(folder, "train")[0].scene_input())


@pytest.mark.parametrize(
    ("gpu", "cores", "processes", "told", "expected"),
    [
        (False, 16, 1, None, 1),
        (True, 16, 1, None, 4),
        (True, 3, 1, None, 2),
        (True, 1, 1, None, 1),
        (True, 16, 8, None, 1),
        (True, 16, 1, 7, 7),
        (False, 16, 1, 0, 0),
    ],
)
def test_a_gpu_has_as_many_as_its_share_of_the_cores_allows(
    monkeypatch, source, gpu, cores, processes, told, expected
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    config = TrainRoads(workers=told)
    objective = objective_of(config, "roads", 2, [contents_of(source)])
    loader = crop_loader(config, objective, [source], [1.0], lambda: 0)
    assert loader.num_workers == expected


def test_small_images_are_scored_without_the_padding_of_a_tile(source, tmp_path):
    folder = write_roads_folder(tmp_path, train=1, valid=0, size=100)
    larger = SceneSource(road_pairs(folder, "train")[0].scene_input())
    objective = objective_of(TrainRoads(), "roads", 2, [contents_of(source)])
    tiles = [
        Tile(one, window, number)
        for number, one in enumerate((source, larger))
        for window in contents_of(one).labelled
    ]
    (alone,) = held_out_loader(objective, tiles[:1])
    assert alone["image"].shape == (1, 3, 64, 64)
    batches = [*held_out_loader(objective, [*tiles[:1] * 5, *tiles[1:]])]
    assert [batch["image"].shape[-2:] for batch in batches] == [(64, 64), (64, 64), (100, 100)]
    assert [batch["data_set"].tolist() for batch in batches] == [[0] * 4, [0], [1]]
    assert torch.equal(batches[1]["image"], alone["image"])
