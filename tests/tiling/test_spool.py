import numpy as np
import pytest

from tiling.errors import SinkError
from tiling.spool import Spool
from tiling.window import Window, split

PLANES = np.random.default_rng(0).integers(0, 256, (2, 70, 50)).astype(np.uint8)


def test_what_was_put_aside_comes_back_in_any_order(tmp_path):
    windows = list(split(70, 50, 32))
    with Spool(tmp_path) as spool:
        for window in windows:
            spool.write(window, PLANES[:, *window.slices()])
        for window in reversed(windows):
            np.testing.assert_array_equal(spool.read(window), PLANES[:, *window.slices()])


def test_a_window_that_is_put_aside_again_takes_the_place_of_the_first(tmp_path):
    window = Window(0, 0, 70, 50)
    with Spool(tmp_path) as spool:
        spool.write(window, PLANES)
        spool.write(window, 255 - PLANES)
        np.testing.assert_array_equal(spool.read(window), 255 - PLANES)


def test_a_mask_takes_a_fraction_of_its_room(tmp_path):
    mask = np.zeros((1, 2048, 2048), np.uint8)
    mask[:, 100:110] = mask[:, :, 500:507] = 1
    with Spool(tmp_path) as spool:
        spool.write(Window(0, 0, 2048, 2048), mask)
        assert spool.size < mask.nbytes / 50


def test_the_folder_shows_nothing_of_it(tmp_path):
    with Spool(tmp_path) as spool:
        spool.write(Window(0, 0, 70, 50), PLANES)
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SinkError, match=r"gone: cannot be written"):
        Spool(tmp_path / "gone")
