import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiling.blend import NODATA, ONE, Accumulator, BlendWeights
from tiling.digests import Digests
from tiling.errors import SinkError
from tiling.grid import Grid
from tiling.store import PartStore
from tiling.window import Window, split

GRID = Grid(90, 110, 24, 8)
WHOLE = Window(0, 0, GRID.height, GRID.width)


def random_sums(part, bands=2):
    """The sums of a part whose tiles say something random of each pixel of the scene."""
    sums = Accumulator(BlendWeights(GRID), part, bands)
    for row in part.rows.origins:
        for column in part.columns.origins:
            random = np.random.default_rng([row, column])
            fixed = random.integers(0, ONE + 1, (bands, 24, 24)).astype(np.uint16)
            tile = Window(row, column, 24, 24)
            sums.add(tile, fixed, VALID[tile.slices()])
    return sums


VALID = np.random.default_rng(1).random((GRID.height, GRID.width)) > 0.1


def filled(folder, part_size=50, *, raw=True):
    store = PartStore(folder, GRID, GRID.parts(part_size), 2, raw)
    for part in store.parts:
        store.write(random_sums(part), Digests(f"digest of {part.name}"))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="module")
def expected():
    """Levels and probabilities of a scene that was not cut."""
    (part,) = GRID.parts(1000)
    blended = random_sums(part)
    levels = blended.weights.levels(blended.sums, WHOLE)
    probability = blended.weights.probability(blended.sums, WHOLE)
    return np.where(VALID, levels, NODATA), np.where(VALID, probability, np.float32(np.nan))


@st.composite
def windows(draw):
    row, column = draw(st.integers(0, 89)), draw(st.integers(0, 109))
    return Window(row, column, draw(st.integers(1, 90 - row)), draw(st.integers(1, 110 - column)))


@given(windows())
def test_any_window_reads_what_the_uncut_scene_has(store, expected, window):
    levels, probability = expected
    blended = store.read(window)
    np.testing.assert_array_equal(blended.levels, levels[:, *window.slices()])
    np.testing.assert_array_equal(blended.probability, probability[:, *window.slices()])


@pytest.mark.parametrize("part_size", [1, 24, 40, 56, 200])
def test_the_cut_does_not_show(tmp_path, expected, part_size):
    other = filled(tmp_path, part_size)
    for window in split(GRID.height, GRID.width, 47):
        blended = other.read(window)
        np.testing.assert_array_equal(blended.levels, expected[0][:, *window.slices()])
        np.testing.assert_array_equal(blended.probability, expected[1][:, *window.slices()])


def test_levels_are_bytes_and_probabilities_are_floats(store):
    blended = store.read(WHOLE)
    assert blended.levels.dtype == np.uint8
    assert blended.probability.dtype == np.float32
    assert (np.isnan(blended.probability) == (blended.levels == NODATA)).all()


def test_probabilities_take_room_only_where_they_are_wanted(tmp_path, store):
    lean = filled(tmp_path, raw=False)
    assert lean.read(WHOLE).probability is None
    np.testing.assert_array_equal(lean.read(WHOLE).levels, store.read(WHOLE).levels)
    for part in store.parts:
        # The core's, of four bytes; those of the rims come out of the sums.
        more = store.path(part).stat().st_size - lean.path(part).stat().st_size
        assert more >= part.core.pixels * 2 * 4


def test_parts_are_missing_until_they_are_written(tmp_path):
    store = PartStore(tmp_path, GRID, GRID.parts(50), 2)
    assert store.missing() == list(store.parts)
    store.write(random_sums(store.parts[2]), Digests(""))
    assert store.missing() == [part for part in store.parts if part is not store.parts[2]]
    assert [path.name for path in tmp_path.iterdir()] == [f"{store.parts[2].name}.npz"]


def test_a_part_keeps_the_hash_it_was_written_with(store):
    for part in store.parts:
        assert store.digests(part).part == f"digest of {part.name}"


def test_a_part_is_the_same_bytes_each_time(tmp_path, store):
    again = filled(tmp_path)
    for part in store.parts:
        assert again.path(part).read_bytes() == store.path(part).read_bytes()


# When something goes wrong.


def damaged(content, kind, place):
    if kind == "cut off":
        return content[:place]
    return content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :]


@settings(max_examples=150)
@given(kind=st.sampled_from(["cut off", "a byte changed"]), share=st.floats(0, 1, exclude_max=True))
def test_a_damaged_part_is_named_or_does_no_harm(tmp_path, store, expected, kind, share):
    part = store.parts[4]
    content = store.path(part).read_bytes()
    bad = PartStore(tmp_path, GRID, [part], 2, raw=True)
    bad.path(part).write_bytes(damaged(content, kind, int(share * len(content))))
    error, blended = None, None
    try:
        blended = bad.read(part.core)
    except SinkError as raised:
        error = str(raised)
    if error is None:
        # Zip files have bytes that mean nothing here, like the time of writing.
        assert kind == "a byte changed"
        np.testing.assert_array_equal(blended.levels, expected[0][:, *part.core.slices()])
        np.testing.assert_array_equal(blended.probability, expected[1][:, *part.core.slices()])
    else:
        assert error.startswith(f"{bad.path(part)}: cannot be read back (")
        assert "\n" not in error


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_part_that_is_cut_off_is_an_error_that_names_it(tmp_path, share):
    store = filled(tmp_path)
    path = store.path(store.parts[4])
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(SinkError, match=f"{path.name}: cannot be read back.*; delete it"):
        store.read(WHOLE)
    with pytest.raises(SinkError, match=f"{path.name}: cannot be read back.*; delete it"):
        store.digests(store.parts[4])


def test_a_changed_pixel_is_noticed(tmp_path):
    store = filled(tmp_path)
    part = store.parts[4]
    content = bytearray(store.path(part).read_bytes())
    levels = store.read(part.core).levels[0, :1].tobytes()
    content[content.index(levels)] ^= 1
    store.path(part).write_bytes(content)
    # Who has read a part before has checked it.
    again = PartStore(tmp_path, GRID, store.parts, 2, raw=True)
    with pytest.raises(SinkError, match=store.path(part).name):
        again.read(part.core)


def test_a_part_that_is_not_there_is_an_error_that_names_it(tmp_path):
    store = filled(tmp_path)
    store.path(store.parts[0]).unlink()
    with pytest.raises(SinkError, match=f"{store.parts[0].name}.npz: cannot be read back"):
        store.read(WHOLE)


def test_a_folder_that_is_not_there_is_an_error_that_names_the_part(tmp_path):
    store = PartStore(tmp_path / "gone", GRID, GRID.parts(50), 2)
    with pytest.raises(SinkError, match=r"gone/0-0\.npz: cannot be written"):
        store.write(random_sums(store.parts[0]), Digests(""))


FULL_DISK = """
import json, resource, sys
from pathlib import Path
import numpy as np
from tiling.blend import Accumulator, BlendWeights
from tiling.digests import Digests
from tiling.errors import SinkError
from tiling.grid import Grid
from tiling.store import PartStore

grid = Grid(300, 300, 64, 16)
folder = Path(sys.argv[1])
store = PartStore(folder, grid, grid.parts(150), 1, True)
sums = Accumulator(BlendWeights(grid), store.parts[0], 1)
store.write(sums, Digests(""))
size = store.path(store.parts[0]).stat().st_size
store.path(store.parts[0]).unlink()
outcomes = []
for share in (0, 0.01, 0.5, 0.9, 0.999):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), resource.RLIM_INFINITY))
    try:
        store.write(sums, Digests(""))
        outcomes.append("no error")
    except SinkError as error:
        outcomes.append(str(error))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    left = [path.name for path in folder.iterdir()]
    assert left == [], left
store.write(sums, Digests(""))
assert store.read(store.parts[0].core).levels.max() == 255
print(json.dumps(outcomes))
"""


def test_on_a_disk_that_is_full_at_any_moment_no_part_appears(tmp_path):
    pytest.importorskip("resource", reason="a limit of file size stands for a full disk")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, str(tmp_path)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    outcomes = json.loads(result.stdout)
    assert len(outcomes) == 5
    for message in outcomes:
        assert message.startswith(f"{tmp_path}/0-0.npz: cannot be written (")
        assert "free some space" in message
    assert result.stderr == ""
