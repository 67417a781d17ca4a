"""Massachusetts Roads in the Toronto layout."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipelines.config.training import TrainRoads
from pipelines.datasets.massachusetts import _scales, road_data, road_pairs
from pipelines.datasets.synthetic import write_roads_folder
from pipelines.errors import DataError
from tiling.window import Window

DATA = Path(os.environ.get("RURNET_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
ROADS = DATA / "massachusetts_roads"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_roads_folder(
        tmp_path_factory.mktemp("roads") / "massachusetts_roads", train=3, valid=1, size=96
    )


def refused(folder, split="train"):
    with pytest.raises(DataError) as caught:
        road_pairs(folder, split)
    assert isinstance(caught.value, OSError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_scenes_are_paired_with_the_labels_of_their_names(folder):
    pairs = road_pairs(folder, "train")
    assert [p.name for p in pairs] == ["sample_000", "sample_001", "sample_002"]
    for pair in pairs:
        assert pair.image == folder / "train" / "sat" / f"{pair.name}.tiff"
        assert pair.label == folder / "train" / "map" / f"{pair.name}.tif"
    assert [p.name for p in road_pairs(folder, "valid")] == ["sample_003"]


def test_a_pair_opens_as_three_bands_and_one(folder):
    pair = road_pairs(folder, "train")[0]
    with pair.scene_input().open() as opened:
        whole = Window(0, 0, opened.scene.height, opened.scene.width)
        assert opened.scene.read(whole)[0].shape == (3, 96, 96)
        assert set(np.unique(opened.label.read(whole))) == {0, 1}
        assert opened.label.values() == {0, 255}


def test_white_patches_are_missing_pixels_and_small_white_things_are_not(tmp_path, write_raster):
    pixels = np.full((3, 100, 100), 90, np.uint8)
    pixels[:, :40, :50] = 250
    pixels[:, 80:84, 80:84] = 255
    write_raster(tmp_path / "train" / "sat" / "a.tiff", pixels)
    write_raster(tmp_path / "train" / "map" / "a.tif", pixels[:1])
    with road_pairs(tmp_path, "train")[0].scene_input().open() as opened:
        _, valid = opened.scene.read(Window(0, 0, 100, 100))
    assert not valid[:40, :50].any()
    assert valid.sum() == 100 * 100 - 40 * 50


def test_a_scene_without_label_is_an_error_that_names_it(folder, tmp_path):
    write_roads_folder(tmp_path, train=2, valid=0, size=96)
    (tmp_path / "train" / "sat" / "sample_000.tiff.aux.xml").write_text("<PAMDataset/>")
    assert len(road_pairs(tmp_path, "train")) == 2
    (tmp_path / "train" / "map" / "sample_001.tif").unlink()
    message = refused(tmp_path)
    assert str(tmp_path / "train" / "sat" / "sample_001.tiff") in message
    assert str(tmp_path / "train" / "map") in message
    (tmp_path / "train" / "map" / "sample_000.tif").unlink()
    message = refused(tmp_path)
    assert str(tmp_path / "train" / "sat") in message
    assert "no scene with a label" in message


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_missing_folder_is_named_with_where_to_get_it(tmp_path, split):
    message = refused(tmp_path / "roads", split)
    assert str(tmp_path / "roads" / split / "sat") in message
    assert "https://www.cs.toronto.edu/~vmnih/data/" in message
    assert "sat/*.tiff" in message


@pytest.mark.skipif(not ROADS.is_dir(), reason=f"no Massachusetts Roads at {ROADS}")
def test_massachusetts_roads_itself():
    assert len(road_pairs(ROADS, "train")) == 30
    pairs = road_pairs(ROADS, "valid")
    assert len(pairs) == 7
    with pairs[0].scene_input().open() as opened:
        for raster in (opened.scene, opened.label):
            assert (raster.height, raster.width) == (1500, 1500)
    with rasterio.open(road_pairs(ROADS, "train")[0].image) as scene:
        assert scene.crs.to_epsg() == 26986


def test_a_scene_is_cut_at_its_own_pixel_size_the_networks_and_all_between():
    assert _scales(1.0, 1.0, 1.0) == (1.0, 1.0)
    assert _scales(None, None, 1.25) == (0.8, 1.25)
    assert _scales(0.8, 1.0, 1.0) == pytest.approx((0.8, 1.0))
    assert _scales(1.5, 1.0, 1.0) == pytest.approx((1.0, 1.5))
    # Pixels of 0.2 m are seen at 0.5 to 1 m, not at their own: no network of 1 m would be good.
    assert _scales(0.2, 1.0, 1.25) == pytest.approx((0.16, 0.5))


def test_folders_of_several_places_have_their_pixel_sizes_and_shares(folder):
    config = TrainRoads(data=[folder, folder], pixel_sizes=[1, 0.5], shares=[3, 1], zoom=1.0)
    data = road_data(config)
    ours, others = (items[0].source for items in data.folders)
    assert (data.ground_sampling_distance, list(data.shares)) == (1.0, [3.0, 1.0])
    assert (ours.shape(), ours.scales) == ((96, 96), (1.0, 1.0))
    assert (others.shape(), others.scales) == ((48, 48), (0.5, 1.0))


@pytest.mark.parametrize("option", ["pixel_sizes", "shares"])
def test_one_number_for_two_folders_is_refused(folder, option):
    config = TrainRoads(data=[folder, folder], **{option: [1]})
    with pytest.raises(DataError, match="has 1 numbers, but there are 2 folders of --data"):
        road_data(config)
