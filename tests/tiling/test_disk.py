import pytest
import rasterio

from tiling.disk import appearing, refusals_named
from tiling.errors import SceneError, SinkError, TilingError


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "part.npz"
    with appearing(path) as partial:
        partial.write_text("half of it")
        assert not path.exists()
        partial.write_text("all of it")
    assert path.read_text() == "all of it"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_after_an_error_what_was_there_is_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "part.npz"
    path.write_text("before")

    def half():
        with appearing(path) as partial:
            partial.write_text("half of it")
            raise error

    with pytest.raises(error):
        half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_partial_file_is_hidden_and_two_at_once_do_not_meet(tmp_path):
    path = tmp_path / "part.npz"
    with appearing(path) as one, appearing(path) as other:
        assert one != other
        assert one.name.startswith(".")
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one", "the last one to finish stays"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), rasterio.errors.RasterioIOError("write\nfailed")],
)
def test_what_the_disk_refuses_is_named_in_one_line(tmp_path, error):
    path = tmp_path / "mask.tif"
    with pytest.raises(SinkError) as caught, refusals_named(path):
        raise error
    assert isinstance(caught.value, TilingError)
    assert isinstance(caught.value, OSError)
    assert str(caught.value).startswith(f"{path}: cannot be written (")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("kind", [SceneError, ValueError, KeyboardInterrupt])
def test_other_errors_stay_themselves(tmp_path, kind):
    error = kind("scene.tif: damaged")
    with pytest.raises(kind) as caught, refusals_named(tmp_path / "mask.tif"):
        raise error
    assert caught.value is error
