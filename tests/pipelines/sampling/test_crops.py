"""Crops depend on the seed and their number alone, and missing pixels are told apart."""

import pickle
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from torch.utils.data import DataLoader

from pipelines.datasets.fundus import fundus_samples
from pipelines.datasets.massachusetts import road_pairs
from pipelines.datasets.synthetic import write_drive_folder, write_roads_folder
from pipelines.inputs.discovery import aerial_input
from pipelines.inputs.field_of_view import field_diameter
from pipelines.inputs.normalisation import on_8_bits
from pipelines.inputs.opening import Reading
from pipelines.sampling import sources as crops
from pipelines.sampling.batches import CropBatches, CropSchedule, NumbersFrom, stream
from pipelines.sampling.fundi import FundusSource, load_fundus
from pipelines.sampling.samples import KEYS
from pipelines.sampling.sources import SceneSource
from pipelines.sampling.statistics import band_statistics, contents_of
from pipelines.sampling.transforms import augmentation
from rurnet.loss import IGNORE_INDEX

PLAN = CropSchedule((32, 48, 64), 4 * 48 * 48, seed=7)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = write_roads_folder(tmp_path_factory.mktemp("crops"), train=2, valid=0, size=150)
    return road_pairs(folder, "train")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A fundus of 565 x 584 pixels, 541 across its field of view."""
    folder = write_drive_folder(tmp_path_factory.mktemp("crops"), train=1, test=0)
    return fundus_samples(folder, "train")[0]


@pytest.fixture(scope="module")
def fundus(sample):
    return FundusSource(sample, (300, 600))


@pytest.fixture
def sources(pairs, fundus):
    return [*(SceneSource(pair.scene_input()) for pair in pairs), fundus]


def batches(sources, plan=PLAN, weights=(1, 1, 2)):
    return CropBatches(sources, weights, plan, augmentation((120.0,) * 3, (50.0,) * 3))


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in ("image", "label", "valid"))


def test_a_batch_does_not_depend_on_what_came_before(sources, pairs, fundus):
    first = batches(sources)
    in_order = [first[number] for number in range(5)]
    backwards = {number: first[number] for number in reversed(range(5))}
    fresh = batches([*(SceneSource(pair.scene_input()) for pair in pairs), fundus])
    assert all(same(in_order[number], backwards[number]) for number in range(5))
    assert same(fresh[3], in_order[3])


def test_a_batch_does_not_depend_on_the_process_that_makes_it(sources):
    dataset = batches(sources)
    here = dataset[2]  # Opens the scenes, which a copy must not share.
    assert same(pickle.loads(pickle.dumps(dataset))[2], here)
    with_worker = DataLoader(dataset, None, sampler=[2], num_workers=1)
    assert same(next(iter(with_worker)), here)


def test_what_is_drawn_for_one_purpose_tells_nothing_of_another():
    """numpy takes (1, 2) and (1, 2, 0) for one seed."""
    drawn = [
        stream(purpose, 1, 2, place).random()
        for purpose in ("crop", "size", "steps")
        for place in (0, 1)
    ]
    assert len(set(drawn)) == 6


def test_batches_differ_by_number_by_seed_and_within(sources):
    plan = CropSchedule((32,), 3 * 32 * 32, seed=1)
    one, two = batches(sources, plan)[0], batches(sources, plan)[1]
    other = batches(sources, CropSchedule((32,), 3 * 32 * 32, seed=2))[0]
    assert not same(one, two)
    assert not same(one, other)
    assert not torch.equal(one["image"][0], one["image"][1])


def test_every_batch_has_one_size_of_the_plan_and_about_its_pixels(sources):
    dataset = batches(sources)
    seen = set()
    for number in range(12):
        batch = dataset[number]
        count, bands, height, width = batch["image"].shape
        assert bands == 3
        assert height == width
        assert batch["label"].shape == batch["valid"].shape == (count, 1, height, width)
        assert count * height * width == pytest.approx(PLAN.batch_pixels, rel=0.15)
        seen.add(height)
    assert seen == {32, 48, 64}


def test_a_batch_has_two_crops_at_least():
    plan = CropSchedule((256, 16), 1024, seed=0)
    assert {plan.batch(number) for number in range(9)} == {(256, 2), (16, 4)}
    assert plan.pixels() == (2 * 256**2 + 1024) / 2


def test_a_crop_has_all_that_a_narrow_scene_gives(write_raster, tmp_path):
    pixels = np.full((3, 10, 90), 50, np.uint8)
    image = write_raster(tmp_path / "a.tif", pixels)
    label = write_raster(tmp_path / "b.tif", pixels[:1] * 0)
    source = SceneSource(aerial_input(str(image), label, Reading()))
    crop = source.crop(32, np.random.default_rng(0))
    assert crop["image"].shape == (3, 32, 32)
    np.testing.assert_array_equal(crop["valid"][0], np.arange(32)[:, None] < np.full(32, 10))


def test_sources_are_drawn_as_often_as_they_weigh(pairs):
    class Counted(SceneSource):
        drawn = 0

        def crop(self, size, random):
            self.drawn += 1
            return super().crop(size, random)

    often, rarely, never = (
        Counted(pairs[0].scene_input()),
        Counted(pairs[1].scene_input()),
        Counted(pairs[1].scene_input()),
    )
    dataset = batches([often, rarely, never], CropSchedule((32,), 40 * 32 * 32, 0), (6, 2, 0))
    for number in range(3):
        dataset[number]
    assert often.drawn + rarely.drawn == 120
    assert 75 <= often.drawn <= 105
    assert never.drawn == 0


def test_labels_are_ignored_exactly_where_nothing_is_valid(sources):
    dataset = batches(sources)
    seen = []
    for number in range(6):
        batch = dataset[number]
        missing = batch["valid"] == 0
        assert torch.equal(batch["label"] == IGNORE_INDEX, missing)
        assert (batch["image"][missing.expand_as(batch["image"])] == 0).all()
        assert set(batch["label"].unique().tolist()) <= {0, 1, IGNORE_INDEX}
        seen.append(missing.any().item())
    assert any(seen)


def test_missing_pixels_of_a_scene_are_ignored(pairs):
    (sample,) = SceneSource(pairs[0].scene_input()).tiles(150)
    with rasterio.open(pairs[0].image) as raster, rasterio.open(pairs[0].label) as label:
        there, roads = raster.dataset_mask() > 0, label.read(1) > 0
        pixels = raster.read()
    assert not there.all()
    np.testing.assert_array_equal(sample["valid"][0], there)
    np.testing.assert_array_equal(sample["label"][0] == IGNORE_INDEX, ~there)
    np.testing.assert_array_equal(sample["label"][0] == 1, roads)
    np.testing.assert_array_equal(sample["image"], pixels)


def test_a_crop_larger_than_its_scene_is_filled_up_with_missing_pixels(pairs):
    sample = SceneSource(pairs[0].scene_input()).crop(200, np.random.default_rng(0))
    assert sample["image"].shape == (3, 200, 200)
    assert (sample["valid"][:, 150:] == 0).all()
    assert (sample["label"][:, :, 150:] == IGNORE_INDEX).all()
    assert (sample["valid"][:, :150, :150] == 1).sum() > 0.8 * 150 * 150


def test_crops_look_for_roads(pairs):
    source = SceneSource(pairs[0].scene_input())
    (whole,) = source.tiles(150)
    share = (whole["label"] == 1).mean()
    random = np.random.default_rng(0)
    crops = [(source.crop(32, random)["label"] == 1).mean() for _ in range(60)]
    assert np.mean(crops) > 1.15 * share


@pytest.mark.parametrize("size", [64, 150, 512])
def test_tiles_hold_every_pixel_once(pairs, fundus, size):
    for source, pixels in ((SceneSource(pairs[0].scene_input()), 150 * 150), (fundus, 584 * 565)):
        tiles = list(source.tiles(size))
        assert {tile["image"].shape for tile in tiles} == {(3, size, size)}
        (whole,) = source.tiles(600)
        assert whole["valid"].sum() < pixels
        for value in (0, 1):
            found = sum(int((tile["label"] == value).sum()) for tile in tiles)
            assert found == (whole["label"] == value).sum()


def test_statistics_are_those_of_the_valid_pixels(pairs, fundus):
    sources = [*(SceneSource(pair.scene_input()) for pair in pairs), fundus]
    there = []
    for source in sources:
        (whole,) = source.tiles(600)
        there.append(whole["image"][:, whole["valid"][0] == 1].astype(float))
    everything = np.concatenate(there, axis=1)
    mean, std = band_statistics([contents_of(source) for source in sources])
    np.testing.assert_allclose(mean, everything.mean(axis=1), atol=1e-3)
    np.testing.assert_allclose(std, everything.std(axis=1), atol=1e-3)


def test_a_fundus_of_a_diameter_trained_at_is_taken_as_it_is(fundus, sample):
    whole = load_fundus(sample)
    assert fundus.diameter == 541
    for key in KEYS:
        np.testing.assert_array_equal(fundus.arrays[key], whole[key])


@pytest.mark.parametrize(("diameters", "working"), [((200, 300), 300), ((900, 1650), 900)])
def test_a_fundus_of_another_diameter_is_brought_to_it_with_its_label(
    fundus, sample, diameters, working
):
    source = FundusSource(sample, diameters)
    assert source.diameter == working
    assert abs(field_diameter(source.arrays["valid"][0] > 0) - working) <= 1
    (tile,) = source.tiles(1024)
    there = tile["label"] != IGNORE_INDEX
    np.testing.assert_array_equal(there, tile["valid"] > 0)
    assert set(np.unique(tile["label"])) == {0, 1, IGNORE_INDEX}
    assert tile["valid"].sum() == pytest.approx(
        fundus.arrays["valid"].sum() * (working / 541) ** 2, rel=0.01
    )
    share, own = (
        (label == 1).sum() / (label != IGNORE_INDEX).sum()
        for label in (tile["label"], fundus.arrays["label"])
    )
    # A thin vessel that has half of a larger pixel gets all of it.
    assert own * 0.98 < share < own * 1.25
    dark = [tile["image"][1][tile["label"][0] == value].mean() for value in (1, 0)]
    assert dark[0] < 0.9 * dark[1]


def test_crops_of_a_fundus_are_a_little_smaller_or_larger_than_at_its_diameter(sample):
    source = FundusSource(sample, (300, 300))
    columns = (np.arange(source.arrays["image"].shape[2]) // 2).astype(np.uint8)
    source.arrays = {**source.arrays, "image": np.zeros_like(source.arrays["image"]) + columns,
                     "valid": np.ones_like(source.arrays["valid"])}  # fmt: skip
    random = np.random.default_rng(0)
    scales = []
    for _ in range(80):
        row = source.crop(200, random)["image"][0, 100].astype(float)
        scales.append(150 / (2 * (row[175] - row[25])))
    assert 0.78 < min(scales) < 0.85
    assert 1.18 < max(scales) < 1.29
    assert 25 <= (np.array(scales) < 1).sum() <= 55


def test_without_diameters_a_fundus_and_its_crops_are_as_they_are(sample):
    source = FundusSource(sample, None)
    assert source.diameter == 541
    crop = source.crop(96, np.random.default_rng(1))
    image, cut = source.arrays["image"], np.asarray(crop["image"])
    # Where its first pixels are, first.
    starts = np.lib.stride_tricks.sliding_window_view(image[:, :-95], (3, 1, 96))
    _, rows, columns = np.nonzero((starts == cut[:, :1]).all(axis=(3, 4, 5)))
    assert any(
        (image[:, row : row + 96, column : column + 96] == cut).all()
        for row, column in zip(rows, columns, strict=True)
    )


def test_a_band_that_is_the_same_everywhere_is_not_divided_by_nothing(write_raster, tmp_path):
    pixels = np.full((3, 20, 20), 9, np.uint16)
    pixels[0, :10], pixels[1, :10] = 12, 60_000
    image = write_raster(tmp_path / "a.tif", pixels)
    label = write_raster(tmp_path / "b.tif", pixels[:1] * 0)
    mean, std = band_statistics(
        [contents_of(SceneSource(aerial_input(str(image), label, Reading())))]
    )
    scale = 255 / 65535
    assert mean == pytest.approx((10.5 * scale, 30_004.5 * scale, 9 * scale), rel=1e-4)
    assert std == pytest.approx((1.5 * scale, 29_995.5 * scale, 1), rel=1e-4)


def test_rounding_is_no_deviation(write_raster, tmp_path):
    pixels = np.full((3, 20, 20), 0.123, np.float32)
    pixels[1], pixels[2, :10] = 40, 0.1231
    image = write_raster(tmp_path / "a.tif", pixels)
    label = write_raster(tmp_path / "b.tif", (pixels[:1] * 0).astype(np.uint8))
    _, std = band_statistics([contents_of(SceneSource(aerial_input(str(image), label, Reading())))])
    assert std == pytest.approx((1, 1, 0.0001 / 2 * 255), rel=1e-2)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_pixels_of_other_types_are_on_the_scale_that_prediction_has(write_raster, tmp_path, dtype):
    largest = 1 if dtype == "float32" else np.iinfo(dtype).max
    pixels = (np.linspace(0, 1, 3 * 400).reshape(3, 20, 20) * largest).astype(dtype)
    image = write_raster(tmp_path / "a.tif", pixels)
    label = write_raster(tmp_path / "b.tif", np.zeros((1, 20, 20), np.uint8))
    (tile,) = SceneSource(aerial_input(str(image), label, Reading())).tiles(20)
    np.testing.assert_allclose(tile["image"], pixels.astype(float) / largest * 255, rtol=1e-5)
    np.testing.assert_array_equal(tile["image"], on_8_bits(pixels))


def test_only_so_many_scenes_are_open_at_a_time(pairs, monkeypatch):
    def open_files():
        return len(list(Path("/proc/self/fd").iterdir()))

    def crops_of(sources):
        return [source.crop(32, np.random.default_rng(1))["image"] for source in sources]

    expected = crops_of(SceneSource(pair.scene_input()) for pair in pairs)
    monkeypatch.setattr(SceneSource, "_lately_opened", deque())
    monkeypatch.setattr(crops, "MOST_OPEN", 2)
    sources = [SceneSource(pair.scene_input()) for _ in range(5) for pair in pairs]
    before = open_files()
    for _ in range(2):
        np.testing.assert_array_equal(crops_of(sources), expected * 5)
    # An image and a label each.
    assert open_files() - before == 4


def test_numbers_go_on_from_where_training_stands():
    done = 0
    numbers = NumbersFrom(10, lambda: done)
    assert list(numbers) == list(range(10))
    done = 4
    assert list(numbers) == [4, 5, 6, 7, 8, 9]
    assert len(numbers) == 10
    done = 10
    assert list(numbers) == []
