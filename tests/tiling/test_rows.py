import zipfile

import numpy as np
import pytest

from tiling.rows import stored_arrays

ARRAYS = {
    "levels": np.arange(2 * 7 * 5, dtype=np.uint8).reshape(2, 7, 5),
    "sums0": np.arange(3 * 6 * 4, dtype=np.uint32).reshape(3, 6, 4) * 100_000,
    "valid0": np.arange(8 * 3).reshape(8, 3) % 2 == 0,
    "digest": np.array("5f00d1"),
    "none": np.zeros((2, 0, 0), np.float32),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "some.npz"
    np.savez(path, allow_pickle=False, **ARRAYS)
    return path


@pytest.mark.parametrize("name", ["levels", "sums0", "valid0"])
@pytest.mark.parametrize("rows", [slice(0, 6), slice(2, 3), slice(3, 3), slice(5, 6)])
@pytest.mark.parametrize("columns", [slice(0, 3), slice(1, 2), slice(2, 3)])
def test_rows_and_columns_are_those_of_the_array(path, name, rows, columns):
    with path.open("rb") as file:
        found = stored_arrays(file)[name].read(file, rows, columns)
    assert found.dtype == ARRAYS[name].dtype
    np.testing.assert_array_equal(found, ARRAYS[name][..., rows, columns])


def test_every_array_is_found(path):
    with path.open("rb") as file:
        found = stored_arrays(file)
    assert {name: one.shape for name, one in found.items()} == {
        name: one.shape for name, one in ARRAYS.items()
    }


def test_a_file_is_checked_to_its_last_array(path, tmp_path):
    content = bytearray(path.read_bytes())
    content[content.index(ARRAYS["sums0"].tobytes())] ^= 1
    bad = tmp_path / "bad.npz"
    bad.write_bytes(content)
    with bad.open("rb") as file, pytest.raises(zipfile.BadZipFile, match=r"sums0\.npy is not as"):
        stored_arrays(file)
