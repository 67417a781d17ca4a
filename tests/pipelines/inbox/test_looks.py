"""Whether the files of a scene have changed."""

import os
import time

from pipelines.inbox.looks import is_gone, look_at, still_written


def age(path, seconds=3600):
    then = time.time() - seconds
    os.utime(path, (then, then))


def look(path, *others):
    return look_at({"s": str(path)}, {"s": map(str, others)})["s"]


def test_a_look_sees_a_scene_the_files_of_its_stem_and_those_that_are_named(tmp_path):
    for name in ("a.tif", "a.tfw", "a.tif.aux.xml", "ab.tif", "b.a.tif", "label.png"):
        (tmp_path / name).write_text(name)
    seen = look(tmp_path / "a.tif", tmp_path / "label.png", tmp_path / "gone.tif")
    assert sorted(seen) == [
        str(tmp_path / name) for name in ("a.tfw", "a.tif", "a.tif.aux.xml", "label.png")
    ]
    assert seen[str(tmp_path / "a.tif")] == [5, (tmp_path / "a.tif").stat().st_mtime_ns]


def test_a_file_that_was_taken_away_is_gone_and_an_address_is_not(tmp_path):
    path = tmp_path / "s.tif"
    path.write_text("s")
    (tmp_path / "s.tif.aux.xml").write_text("beside")
    seen = look(path)
    assert not is_gone("inbox/s.tif", seen)
    path.unlink()
    assert is_gone("inbox/s.tif", seen)
    assert is_gone(str(path), {})
    assert not is_gone("https://tiles.example/s.tif", {})


def test_what_is_no_local_file_has_nothing_to_look_at(tmp_path):
    assert look("https://example.com/a.tif") == look(tmp_path / "missing.tif") == {}


def written_between(path, change):
    """The scenes still written, where something happens between two looks; and the pauses."""
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        change(path)

    found = still_written({"s": look(path)}, lambda names: {n: look(path) for n in names}, pause)
    return found, len(pauses)


def test_a_file_that_grows_between_two_looks_is_still_written(tmp_path):
    path = tmp_path / "a.tif"
    path.write_text("half")
    assert written_between(path, lambda path: path.write_text("half and more")) == ({"s"}, 1)
    assert written_between(path, lambda path: None) == (set(), 1)


def test_an_old_file_is_not_waited_for(tmp_path):
    path = tmp_path / "a.tif"
    path.write_text("whole")
    age(path)
    assert written_between(path, lambda path: None) == (set(), 0)
