import subprocess
import sys
from pathlib import Path

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


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from tiling.errors import SinkError
from tiling.spool import Spool
from tiling.window import Window

noise = np.random.default_rng(0).integers(0, 256, (2, 300, 300)).astype(np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, resource.RLIM_INFINITY))
try:
    with Spool(Path(sys.argv[1])) as spool:
        for row in range(0, 3000, 300):
            spool.write(Window(row, 0, 300, 300), noise)
            spool.read(Window(row, 0, 300, 300))
except SinkError as error:
    print(row, error)
"""


def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path):
    pytest.importorskip("resource", reason="a limit of file size stands for a full disk")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.startswith(f"300 {tmp_path}: cannot be written (")
