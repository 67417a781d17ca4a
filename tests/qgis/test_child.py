"""A command as a child: what it tells of its progress, its errors, and how it is cancelled."""

from pathlib import Path

import numpy as np
import pytest

from tests.qgis.conftest import PLUGINS


@pytest.fixture(scope="module")
def child(plugin_module):
    return plugin_module("child")


@pytest.fixture(scope="module")
def run(plugin_module, child, program):
    import os

    environment = plugin_module("commands").environment(os.environ)

    def run(words, end=None):
        class Noted(child.Listener):
            shares, lines = [], []

            def share(self, share, said):
                self.shares.append(share)

            def line(self, text):
                self.lines.append(text)

            def cancelled(self):
                return end is not None and bool(self.shares) and self.shares[-1] >= end

        listener = Noted()
        return child.run(program, words, environment, listener), listener

    return run


def test_a_scene_is_told_with_its_files_and_one_that_is_cancelled_goes_on(
    run, write_raster, tmp_path
):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (3, 320, 320), np.uint8)
    scene = write_raster(tmp_path / "a.tif", pixels, crs="EPSG:26986")
    words = [
        "infer-roads", str(scene), "--output", str(tmp_path / "out"), "--tile", "64", "--overlap",
        "16", "--part-size", "64", "--batch", "2",
    ]  # fmt: skip
    ended, listener = run(words, end=0.2)
    assert ended.status is None
    assert 0.2 <= listener.shares[-1] < 1
    assert list((tmp_path / "out" / "a" / ".parts").glob("*.npz"))
    assert not (tmp_path / "out" / "a" / "mask.tif").exists()
    ended, listener = run(words)
    assert ended.status == 0
    assert listener.shares == sorted(listener.shares)
    assert listener.shares[-1] == 1
    assert any("parts were there already" in line for line in listener.lines)
    [done] = ended.scenes
    assert done.name == "a"
    assert done.files["mask"] == str(tmp_path / "out" / "a" / "mask.tif")


def test_an_error_is_kept_in_its_own_words(run):
    ended, _ = run(["vectorise", "nowhere.tif"])
    assert ended.status == 1
    assert ended.errors == ["nowhere.tif: no such file or folder; check the path"]
    assert ended.scenes == []


def test_a_child_that_prints_nothing_is_cancelled(child, tmp_path):
    class Stop(child.Listener):
        def cancelled(self):
            return True

    assert child.run("sleep", ["60"], {"PATH": "/usr/bin:/bin"}, Stop()).status is None


@pytest.mark.parametrize("line", ["{", "{not json", '{"other": 1}', "12:00:00 a: 3 tiles", "[1]"])
def test_lines_for_people_are_no_progress(child, line):
    assert child.progress_in(line) is None


def test_the_plugin_runs_on_the_python_that_qgis_brings():
    import ast

    for path in Path(PLUGINS / "rurnet_qgis").glob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        assert "from __future__ import annotations" in path.read_text(encoding="utf-8")
