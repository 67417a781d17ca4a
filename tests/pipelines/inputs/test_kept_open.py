"""A scene stays open from one use to the next, and no longer than that."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.kept_open import KeptOpen
from tiling.errors import SceneError
from tiling.window import Window

WHOLE = Window(0, 0, 20, 30)


@pytest.fixture
def items(write_raster, tmp_path):
    """Scenes "a" of 10s and "b" of 20s."""
    for name, value in (("a", 10), ("b", 20)):
        write_raster(tmp_path / "in" / f"{name}.tif", np.full((3, 20, 30), value, np.uint8))
    return road_inputs([str(tmp_path / "in")], None)


def is_open(item):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("open files are counted in /proc")
    return Path(item.source).resolve() in [handle.resolve() for handle in handles.iterdir()]


def test_the_same_use_finds_the_scene_open(items):
    kept = KeptOpen(1)
    with kept.opened(items[0], "one") as first:
        pass
    assert is_open(items[0])
    with kept.opened(items[0], "one") as again:
        assert again is first
        assert (again.scene.read(WHOLE)[0] == 10).all()
    kept.close()
    assert not is_open(items[0])


@pytest.mark.parametrize("other", [0, 1])
def test_another_use_closes_it_and_opens_its_own(items, other):
    kept = KeptOpen(1)
    with kept.opened(items[0], "one") as first:
        pass
    with kept.opened(items[other], "two") as second:
        assert second is not first
        assert (second.scene.read(WHOLE)[0] == (10, 20)[other]).all()
        assert is_open(items[0]) == (other == 0)
    kept.close()


def test_two_scenes_in_turn_are_opened_once_each(items):
    kept = KeptOpen(2)
    found = []
    for number in (0, 1, 0, 1):
        with kept.opened(items[number], f"use {number}") as opened:
            found.append(opened)
    assert found[0] is found[2]
    assert found[1] is found[3]
    with kept.opened(items[0], "a third use") as third:
        assert third is not found[0]
    with kept.opened(items[1], "use 1") as again:
        assert again is found[1]
    kept.close()
    assert not any(map(is_open, items))


def test_a_scene_that_is_in_use_is_closed_by_its_last_user(items):
    kept = KeptOpen(1)
    with kept.opened(items[0], "one") as first:
        with kept.opened(items[1], "two"):
            assert (first.scene.read(WHOLE)[0] == 10).all()
        assert is_open(items[0])
    assert not is_open(items[0])
    assert is_open(items[1])
    kept.close()


def test_threads_that_want_it_at_once_share_one(items):
    kept, together = KeptOpen(1), Barrier(4)

    def scene(_):
        together.wait()
        with kept.opened(items[0], "one") as opened:
            assert (opened.scene.read(WHOLE)[0] == 10).all()
            together.wait()
            return opened

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(scene, range(4)))
    assert all(one is found[0] for one in found)
    kept.close()
    assert not is_open(items[0])


def test_a_scene_that_cannot_be_opened_leaves_nothing_behind(items):
    kept = KeptOpen(1)
    with kept.opened(items[0], "one"):
        pass
    source = Path(items[1].source)
    pixels = source.read_bytes()
    source.unlink()
    for _ in range(2):
        with pytest.raises(SceneError), kept.opened(items[1], "two"):
            pass
    assert not is_open(items[0])
    source.write_bytes(pixels)
    with kept.opened(items[1], "two") as opened:
        assert (opened.scene.read(WHOLE)[0] == 20).all()
    kept.close()
