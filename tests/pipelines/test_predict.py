import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rio_cogeo.cogeo import cog_validate

from pipelines.config import PredictionSettings
from pipelines.errors import PipelineError
from pipelines.predict import (
    NetworkPredictor,
    choose_device,
    predict_scene,
    threshold_level,
    tiles_to_predict,
)
from pipelines.samples import draw_road_scene
from pipelines.weights import load
from tiling.blend import NODATA
from tiling.errors import SceneError, SinkError
from tiling.scene import RasterScene

CPU = torch.device("cpu")
SMALL = PredictionSettings(tile=64, overlap=16, part_size=4096, batch=4, device="cpu", steps=1)
HEIGHT, WIDTH = 130, 150


@pytest.fixture(scope="module")
def drawn():
    """Pixels of a road scene, and which are there."""
    pixels, _, valid = draw_road_scene(HEIGHT, WIDTH, seed=4)
    return pixels, valid


@pytest.fixture(scope="module")
def model(roads_weights):
    return load(str(roads_weights))


@pytest.fixture(scope="module")
def predicted(model, drawn, write_raster, tmp_path_factory):
    """Predicts the drawn scene with `SMALL`, or with other settings; returns the prediction."""
    folder = tmp_path_factory.mktemp("predicted")
    path = write_raster(folder / "in" / "s.tif", drawn[0], nodata_kind="mask", valid=drawn[1])

    def predict(**changes):
        wanted = SMALL.model_copy(update=changes)
        to = folder / "-".join(f"{key}{value}" for key, value in changes.items() or [("as", "is")])
        with RasterScene(path) as scene:
            predictor = NetworkPredictor(model, wanted.steps, CPU)
            return predict_scene(scene, model, predictor, to, wanted)

    return predict


@pytest.fixture(scope="module")
def plain(predicted):
    return predicted()


def four_tiles(drawn):
    pixels, valid = drawn
    cuts = [(slice(row, row + 64), slice(column, column + 64)) for row, column in
            ((0, 0), (10, 70), (50, 3), (64, 80))]  # fmt: skip
    tiles = np.stack([pixels[:, *cut] for cut in cuts])
    return tiles, np.stack([valid[cut] for cut in cuts])


@pytest.fixture
def threads(request):
    """So many threads in torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


# One tile.


@pytest.mark.parametrize(
    "threads",
    [
        1,
        2,
        3,
        4,
    ],
    indirect=True,
)
@pytest.mark.usefixtures("threads")
def test_a_tiles_levels_do_not_depend_on_its_batch(model, drawn):
    predict = NetworkPredictor(model, 1, CPU)
    pixels, valid = four_tiles(drawn)
    together = predict(pixels, valid)
    for place in range(4):
        alone = predict(pixels[place : place + 1], valid[place : place + 1])
        np.testing.assert_array_equal(alone[0], together[place])
    for size in (2, 3):
        np.testing.assert_array_equal(predict(pixels[:size], valid[:size]), together[:size])
    np.testing.assert_array_equal(predict(pixels[::-1].copy(), valid[::-1].copy()), together[::-1])


def test_a_tiles_levels_are_those_of_the_networks_last_step(model, drawn):
    pixels, valid = four_tiles(drawn)
    there = valid[:, None]
    levels = NetworkPredictor(model, None, CPU)(pixels, valid)
    mean, std = (
        np.array(values, np.float32)[:, None, None] for values in (model.card.mean, model.card.std)
    )
    image = torch.from_numpy(np.where(there, (pixels - mean) / std, 0).astype(np.float32))
    with torch.no_grad():
        every = model.network(image)
    assert len(every) == 3
    probability = every[-1].softmax(dim=1)[:, 1:].numpy()
    assert levels.shape == probability.shape
    assert levels.dtype == np.uint16
    np.testing.assert_allclose(levels / 65_535, probability, atol=1e-4)


def test_more_steps_change_the_result_and_the_networks_own_number_is_the_default(model, drawn):
    pixels, valid = four_tiles(drawn)
    one, three, default = (
        NetworkPredictor(model, steps, CPU)(pixels, valid) for steps in (1, 3, None)
    )
    assert (one != three).any()
    np.testing.assert_array_equal(three, default)


def test_what_lies_under_missing_pixels_does_not_matter(model, drawn):
    predict = NetworkPredictor(model, 1, CPU)
    pixels, _ = four_tiles(drawn)
    valid = np.ones((4, 64, 64), bool)
    valid[:, 20:50, 10:30] = False
    noise = np.random.default_rng(0).integers(0, 256, pixels.shape).astype(np.uint8)
    other = np.where(valid[:, None], pixels, noise)
    np.testing.assert_array_equal(predict(pixels, valid), predict(other, valid))


def test_missing_pixels_look_like_the_training_mean(model, drawn):
    predict = NetworkPredictor(model, 1, CPU)
    pixels, _ = four_tiles(drawn)
    valid = np.ones((4, 64, 64), bool)
    valid[:, 20:50, 10:30] = False
    mean = np.array(model.card.mean, np.uint8)[:, None, None]
    assert tuple(mean.ravel()) == model.card.mean
    filled = np.where(valid[:, None], pixels, mean)
    np.testing.assert_array_equal(predict(pixels, valid), predict(filled, np.ones_like(valid)))


# One scene.


@settings(max_examples=8)
@given(part_size=st.integers(64, 200), batch=st.integers(2, 7))
def test_parts_and_batches_change_not_one_byte_of_the_files(predicted, plain, part_size, batch):
    again = predicted(part_size=part_size, batch=batch)
    assert again.probability.read_bytes() == plain.probability.read_bytes()
    assert again.mask.read_bytes() == plain.mask.read_bytes()


def test_both_files_are_valid_cogs_in_the_scenes_place(plain, drawn):
    for path in (plain.probability, plain.mask):
        assert cog_validate(str(path), strict=True) == (True, [], [])
        with rasterio.open(path) as raster:
            assert raster.shape == (HEIGHT, WIDTH)
            assert raster.crs.to_epsg() == 26986
            np.testing.assert_array_equal(raster.read(1) == NODATA, ~drawn[1])


def test_tags_say_how_the_files_were_made(plain, model, roads_weights):
    for path in (plain.probability, plain.mask):
        with rasterio.open(path) as raster:
            tags = raster.tags()
        assert tags["RURNET_MODEL"] == roads_weights.stem
        assert tags["RURNET_WEIGHTS_SHA256"] == model.digest
        assert tags["RURNET_STEPS"] == "1"
        assert (tags["RURNET_TILE"], tags["RURNET_OVERLAP"]) == ("64", "16")
        assert tags["RURNET_THRESHOLD"] == "0.5"


def test_the_tags_name_the_networks_own_steps_where_none_were_asked_for(predicted, plain):
    three = predicted(steps=None)
    with rasterio.open(three.probability) as raster, rasterio.open(plain.probability) as one:
        assert raster.tags()["RURNET_STEPS"] == "3"
        assert (raster.read() != one.read()).any()


def test_the_threshold_moves_the_mask_and_not_the_probability(predicted, plain):
    with rasterio.open(plain.probability) as raster:
        levels = raster.read(1)
    wanted = 0.53
    strict = predicted(threshold=wanted)
    with rasterio.open(strict.probability) as raster:
        np.testing.assert_array_equal(raster.read(1), levels)
    for path, threshold in ((plain.mask, 0.5), (strict.mask, wanted)):
        with rasterio.open(path) as raster:
            mask = raster.read(1)
        foreground = (levels / 254 >= threshold) & (levels != NODATA)
        assert 0 < foreground.sum() < foreground.size
        np.testing.assert_array_equal(mask == 1, foreground)


@pytest.mark.parametrize("kind", ["nodata", "alpha", "mask", "none"])
def test_masked_in_is_masked_out_pixel_for_pixel(model, drawn, write_raster, tmp_path, kind):
    valid = drawn[1].copy()
    valid[40:60, 50:120] = False
    path = write_raster(tmp_path / "s.tif", drawn[0], nodata_kind=kind, valid=valid)
    expected = valid if kind != "none" else np.ones_like(valid)
    with RasterScene(path) as scene:
        predictor = NetworkPredictor(model, 1, CPU)
        done = predict_scene(scene, model, predictor, tmp_path / "out", SMALL)
    for written in (done.probability, done.mask):
        with rasterio.open(written) as raster:
            np.testing.assert_array_equal(raster.read(1) != NODATA, expected)


@pytest.mark.parametrize("size", [(40, 50), (1, 200), (64, 65)])
def test_scenes_as_small_as_a_tile_keep_their_size(model, write_raster, tmp_path, size):
    path = write_raster(tmp_path / "s.tif", np.full((3, *size), 90, np.uint8))
    with RasterScene(path) as scene:
        predictor = NetworkPredictor(model, 1, CPU)
        done = predict_scene(scene, model, predictor, tmp_path / "out", SMALL)
    with rasterio.open(done.probability) as raster:
        assert raster.shape == size
        assert (raster.read() != NODATA).all()


@pytest.mark.parametrize("part_size", [64, 100, 4096])
def test_progress_counts_up_to_the_tiles_announced(model, drawn, write_raster, tmp_path, part_size):
    valid = drawn[1].copy()
    valid[:80] = False
    path = write_raster(tmp_path / "s.tif", drawn[0], nodata_kind="alpha", valid=valid)
    wanted = SMALL.model_copy(update={"part_size": part_size})
    told = []
    with RasterScene(path) as scene:
        predictor = NetworkPredictor(model, 1, CPU)
        done = predict_scene(scene, model, predictor, tmp_path, wanted, told.append)
        announced = tiles_to_predict(scene, wanted)
    assert sum(told) == announced
    assert announced >= done.tiles
    if part_size > WIDTH:
        assert announced == done.tiles == 9


def test_a_damaged_scene_leaves_no_folder(model, drawn, write_raster, tmp_path):
    path = write_raster(tmp_path / "s.tif", drawn[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    predictor = NetworkPredictor(model, 1, CPU)
    with RasterScene(path) as scene, pytest.raises(SceneError, match=r"s\.tif"):
        predict_scene(scene, model, predictor, tmp_path / "out", SMALL)
    assert [left.name for left in tmp_path.iterdir()] == ["s.tif"]


def test_an_output_that_is_a_file_is_an_error_that_names_it(model, drawn, write_raster, tmp_path):
    path = write_raster(tmp_path / "s.tif", drawn[0])
    (tmp_path / "out").touch()
    predictor = NetworkPredictor(model, 1, CPU)
    with RasterScene(path) as scene, pytest.raises(SinkError, match=str(tmp_path / "out")):
        predict_scene(scene, model, predictor, tmp_path / "out", SMALL)


# Thresholds and devices.


def test_half_is_level_127():
    assert threshold_level(0.5) == 127


@given(st.floats(min_value=1e-6, max_value=1))
def test_a_threshold_takes_all_levels_of_at_least_its_probability(threshold):
    level = threshold_level(threshold)
    assert 1 <= level <= 254
    assert level / 254 >= threshold - 1e-9
    assert level == 1 or (level - 1) / 254 < threshold


def test_a_levels_own_probability_is_a_threshold_that_takes_it():
    for level in range(1, 255):
        assert threshold_level(level / 254) == level


def test_the_automatic_device_is_one_that_is_there():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda:99", "nonsense", "cpu:x"])
def test_a_device_that_is_not_there_is_an_error_of_one_line(name):
    with pytest.raises(PipelineError, match=name) as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)
