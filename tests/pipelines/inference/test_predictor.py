"""What a tile's probabilities depend on: its pixels and the settings, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.datasets.synthetic import draw_road_scene
from pipelines.errors import DeviceMemoryError, PipelineError
from pipelines.inference.lanes import LEAST, Lanes
from pipelines.inference.predictor import NetworkPredictor
from pipelines.models.weights import load
from pipelines.runtime.device import choose_device, cpu_threads
from tiling.blend import ONE

CPU = torch.device("cpu")
LEVEL = ONE / 254
"""A level of the rasters, in the predictor's finer ones."""


@pytest.fixture(scope="module")
def model(roads_weights):
    return load(str(roads_weights))


@pytest.fixture(scope="module")
def other(fresh_weights, tmp_path_factory):
    """Another network, with a normalisation of its own."""
    path = tmp_path_factory.mktemp("weights") / "other.safetensors"
    return load(str(fresh_weights(path, seed=11, mean=(90.0, 80.0, 70.0), std=(30.0, 40.0, 50.0))))


@pytest.fixture(scope="module")
def tiles():
    """Four tiles of a drawn scene, some of whose pixels are missing."""
    pixels, _, valid = draw_road_scene(130, 150, seed=4)
    cuts = [(slice(row, row + 64), slice(column, column + 64)) for row, column in
            ((0, 0), (10, 70), (50, 3), (64, 80))]  # fmt: skip
    tiles = np.stack([pixels[:, *cut] for cut in cuts])
    return tiles, np.stack([valid[cut] for cut in cuts])


def predictor(models, steps=1, **options):
    return NetworkPredictor(models, steps, CPU, **options)


@pytest.fixture
def batches_as_given(monkeypatch):
    """Lanes take batches of the size that is asked for, as those of a GPU do."""

    def lanes(batch, steps, *, on_cpu, alone):
        return Lanes(cpu_threads(), 1, max(LEAST, batch // cpu_threads()), 1)

    monkeypatch.setattr("pipelines.inference.predictor.lanes_of", lanes)


@pytest.fixture
def threads(request):
    """So many threads in torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


# Batches and threads.


@pytest.mark.parametrize("threads", [1, 2, 3, 4], indirect=True)
@pytest.mark.parametrize("lanes", ["1", "3"])
@pytest.mark.usefixtures("threads", "batches_as_given")
def test_a_tiles_levels_do_not_depend_on_its_batch(model, tiles, monkeypatch, lanes):
    monkeypatch.setenv("OMP_NUM_THREADS", lanes)
    pixels, valid = tiles
    expected = predictor([model], batch=2)(pixels, valid)
    for batch in (2, 3, 7, 12):
        predict = predictor([model], batch=batch)
        assert predict.lanes == int(lanes)
        np.testing.assert_array_equal(predict(pixels, valid), expected)
        for place in range(4):
            alone = predict(pixels[place : place + 1], valid[place : place + 1])
            np.testing.assert_array_equal(alone[0], expected[place])
        for size in (2, 3):
            np.testing.assert_array_equal(predict(pixels[:size], valid[:size]), expected[:size])
        backwards = predict(pixels[::-1].copy(), valid[::-1].copy())
        np.testing.assert_array_equal(backwards, expected[::-1])


@pytest.mark.parametrize("value", ["3", "1"])
def test_omp_num_threads_says_how_many_tiles_are_computed_side_by_side(monkeypatch, value):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cpu_threads() == int(value)


@pytest.mark.parametrize("value", ["0", "many", ""])
def test_what_is_no_number_of_threads_stands_for_all_cores(monkeypatch, value):
    import os

    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cpu_threads() == len(os.sched_getaffinity(0))


def test_a_thread_of_a_cpu_takes_two_tiles_whatever_the_batch(model, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert [predictor([model], batch=batch).batch for batch in (2, 8, 12)] == [2, 2, 2]


# The network.


def test_a_tiles_levels_are_those_of_the_networks_last_step(model, tiles):
    pixels, valid = tiles
    there = valid[:, None]
    levels = predictor([model], None)(pixels, valid)
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
    np.testing.assert_allclose(levels / ONE, probability, atol=1e-4)


def test_more_steps_change_the_result_and_the_networks_own_number_is_the_default(model, tiles):
    one, three, default = (predictor([model], steps)(*tiles) for steps in (1, 3, None))
    assert (one != three).any()
    np.testing.assert_array_equal(three, default)


def test_saved_steps_are_what_fewer_steps_give(model, tiles):
    predict = predictor([model], None, save_steps=True)
    together = predict(*tiles)
    assert predict.bands == 3
    for step in (1, 2, 3):
        np.testing.assert_array_equal(
            together[:, step - 1 : step], predictor([model], step)(*tiles)
        )


def test_what_lies_under_missing_pixels_does_not_matter(model, tiles):
    predict = predictor([model])
    pixels, _ = tiles
    valid = np.ones((4, 64, 64), bool)
    valid[:, 20:50, 10:30] = False
    noise = np.random.default_rng(0).integers(0, 256, pixels.shape).astype(np.uint8)
    hidden = np.where(valid[:, None], pixels, noise)
    np.testing.assert_array_equal(predict(pixels, valid), predict(hidden, valid))


def test_missing_pixels_look_like_the_training_mean(model, tiles):
    predict = predictor([model])
    pixels, _ = tiles
    valid = np.ones((4, 64, 64), bool)
    valid[:, 20:50, 10:30] = False
    mean = np.array(model.card.mean, np.uint8)[:, None, None]
    assert tuple(mean.ravel()) == model.card.mean
    filled = np.where(valid[:, None], pixels, mean)
    np.testing.assert_array_equal(predict(pixels, valid), predict(filled, np.ones_like(valid)))


# Averages.


def turned(array, quarter, flipped):
    array = np.rot90(array, quarter, (-2, -1))
    return (array[..., ::-1] if flipped else array).copy()


def turned_back(array, quarter, flipped):
    return np.rot90(array[..., ::-1] if flipped else array, -quarter, (-2, -1)).copy()


EIGHT = [(quarter, flipped) for quarter in range(4) for flipped in (False, True)]


def close(found, expected, within=8):
    """Of 65535 levels; floats are added up in another order."""
    np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=0, atol=within)


def test_the_average_of_eight_is_that_of_the_turned_tiles(model, tiles):
    pixels, valid = tiles
    plain, averaging = predictor([model]), predictor([model], tta=True)
    each = [
        turned_back(plain(turned(pixels, *view), turned(valid, *view)), *view) for view in EIGHT
    ]
    assert np.ptp(np.stack(each).astype(float), axis=0).max() > 5 * LEVEL
    close(averaging(pixels, valid), np.mean(each, axis=0))


@pytest.mark.parametrize("view", EIGHT[1:])
def test_with_the_average_of_eight_a_turned_tile_gives_the_turned_result(model, tiles, view):
    pixels, valid = tiles
    averaging = predictor([model], tta=True)
    found = averaging(turned(pixels, *view), turned(valid, *view))
    close(found, turned(averaging(pixels, valid), *view))


def test_two_networks_are_averaged_each_with_its_own_normalisation(model, other, tiles):
    first, second = predictor([model])(*tiles), predictor([other])(*tiles)
    assert np.abs(first.astype(int) - second).max() > 5 * LEVEL
    close(predictor([model, other])(*tiles), (first.astype(float) + second) / 2, within=2)


def test_every_step_of_all_networks_and_views_is_averaged(model, other, tiles):
    together = predictor([model, other], 2, save_steps=True, tta=True)(*tiles)
    for step in (1, 2):
        alone = [predictor([one], step, tta=True)(*tiles).astype(float) for one in (model, other)]
        close(together[:, step - 1 : step], np.mean(alone, axis=0))


# Types of pixels.


@pytest.mark.parametrize(
    ("dtype", "factor"),
    [("uint16", 257), ("int16", 32767 / 255), ("float32", 1 / 255)],
)
def test_the_whole_range_of_a_type_is_that_of_8_bits(model, tiles, dtype, factor):
    pixels, valid = tiles
    scaled = pixels * float(factor)
    scaled = np.rint(scaled).astype(dtype) if dtype != "float32" else scaled.astype(dtype)
    # An int16 is up to half a 32767th off.
    close(predictor([model])(scaled, valid), predictor([model])(pixels, valid), within=60)


@pytest.mark.parametrize(
    ("dtype", "factor", "offset"),
    [("uint16", 8, 16), ("int16", 4, -300), ("float32", 2, 0.5)],
)
def test_a_value_range_is_stretched_to_that_of_8_bits(model, tiles, dtype, factor, offset):
    pixels, valid = tiles
    values = (pixels.astype(float) * factor + offset).astype(dtype)
    ends = float(offset), float(255 * factor + offset)
    found = predictor([model]).scaled_from(ends)(values, valid)
    np.testing.assert_array_equal(found, predictor([model])(pixels, valid))


def test_a_value_range_is_heeded_for_8_bits_too(model, tiles):
    pixels, valid = tiles
    found = predictor([model]).scaled_from((0.0, 127.5))(pixels, valid)
    doubled = pixels.astype(np.float32) * 2
    np.testing.assert_array_equal(
        found, predictor([model]).scaled_from((0.0, 255.0))(doubled, valid)
    )
    assert (found != predictor([model])(pixels, valid)).any()


# Memory.


def limited(path, most, error=torch.OutOfMemoryError):
    """A network with memory for so many tiles, and the sizes of the batches it was given."""
    model, sizes = load(str(path)), []

    start = model.network.initial_state

    def refuse(image):
        sizes.append(len(image))
        if len(image) > most:
            raise error(
                "out of memory"
                if error is torch.OutOfMemoryError
                else "DefaultCPUAllocator: can't allocate memory: you tried to allocate"
            )
        return start(image)

    model.network.initial_state = refuse
    return model, sizes


@pytest.mark.usefixtures("batches_as_given")
@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_a_batch_that_does_not_fit_is_halved_and_changes_nothing(
    roads_weights, model, tiles, monkeypatch, error
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pixels, valid = (np.concatenate([array, array]) for array in tiles)
    expected = predictor([model], batch=8)(pixels, valid)
    small, sizes = limited(roads_weights, 3, error)
    predict = predictor([small], batch=8)
    np.testing.assert_array_equal(predict(pixels, valid), expected)
    assert sizes == [8, 4, 2, 2, 2, 2]
    # It is remembered.
    assert predict.batch == 2
    predict(pixels, valid)
    assert sizes[6:] == [2, 2, 2, 2]


@pytest.mark.usefixtures("batches_as_given")
def test_an_odd_batch_is_not_halved_to_one(roads_weights, tiles, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    small, sizes = limited(roads_weights, 2)
    predictor([small], batch=3)(*tiles)
    assert sizes == [3, 2, 2]


@pytest.mark.usefixtures("batches_as_given")
def test_where_not_even_two_tiles_fit_the_error_says_what_to_do(roads_weights, tiles, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    small, sizes = limited(roads_weights, 1)
    with pytest.raises(DeviceMemoryError, match=r"2 tiles at once.*--tile") as caught:
        predictor([small], batch=4)(*tiles)
    assert isinstance(caught.value, MemoryError)
    assert sizes == [4, 2]


def test_other_errors_of_a_network_are_not_taken_for_a_lack_of_memory(model, tiles):
    pixels, valid = tiles
    with pytest.raises(RuntimeError) as caught:
        predictor([replace(model, card=replace(model.card, mean=(1.0, 2.0)))])(pixels, valid)
    assert not isinstance(caught.value, MemoryError)


# Devices.


def test_the_automatic_device_is_one_that_is_there():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda:99", "nonsense", "cpu:x"])
def test_a_device_that_is_not_there_is_an_error_of_one_line(name):
    with pytest.raises(PipelineError, match=name) as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)
