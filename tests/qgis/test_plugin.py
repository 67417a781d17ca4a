"""The plugin in QGIS itself, without a window; skipped where QGIS is not installed."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.qgis.conftest import PLUGINS

SIDE = 160
PYTHON = "/usr/bin/python3"
"""The one that Debian's QGIS comes with."""

# Debian's script of the name passes an option on that the program does not know.
QGIS_PROCESS = shutil.which("qgis_process.bin") or shutil.which("qgis_process")

pytestmark = [
    pytest.mark.soak,  # QGIS starts three times, our command line five times.
    pytest.mark.skipif(QGIS_PROCESS is None, reason="QGIS is not installed"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home in whose QGIS profile the plugin lies."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    plugins = home / ".local/share/QGIS/QGIS3/profiles/default/python/plugins"
    plugins.mkdir(parents=True)
    shutil.copytree(PLUGINS / "rurnet_qgis", plugins / "rurnet_qgis")
    return home


@pytest.fixture(scope="module")
def environment(home):
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "QT_QPA_PLATFORM": "offscreen"}


@pytest.fixture(scope="module")
def ran(environment, program, write_raster, tmp_path_factory):
    """What came of each job, then the layers, and the picture of them."""
    folder = tmp_path_factory.mktemp("ran")
    pixels = np.full((3, SIDE, SIDE), 90, np.uint8)
    pixels[:, 60:70] = 200
    road = np.zeros((1, SIDE, SIDE), np.uint8)
    road[:, 60:70] = 255
    scene = write_raster(folder / "town.tif", pixels, crs="EPSG:26986")
    label = write_raster(folder / "drawn by hand.tif", road, crs="EPSG:26986")
    other = write_raster(folder / "mask.tif", road, crs="EPSG:26986")
    roads = {"INPUT": str(scene), "OUTPUT": str(folder / "roads")}
    cut = "--tile 64 --overlap 16 --part-size 64 --batch 2"
    jobs = [
        {"algorithm": "rurnet:findroads", "parameters": {**roads, "MORE": cut}, "cancel": 20},
        {"algorithm": "rurnet:findroads", "parameters": {**roads, "MORE": cut, "LINES": True}},
        {
            "algorithm": "rurnet:vectorisemask",
            "parameters": {"INPUT": str(other), "OUTPUT": str(folder / "lines")},
        },
        {
            "algorithm": "rurnet:comparewithlabels",
            "parameters": {
                "INPUT": str(folder / "roads" / "town" / "mask.tif"),
                "LABELS": str(label),
                "OUTPUT": str(folder / "scores"),
            },
        },
        {
            "algorithm": "rurnet:findroads",
            "parameters": {**roads, "MODEL": "no-such-weights", "OUTPUT": str(folder / "none")},
        },
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    picture = folder / "picture.png"
    script = Path(__file__).with_name("in_qgis.py")
    done = subprocess.run(
        [PYTHON, script, PLUGINS, program, folder / "jobs.json", picture],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    *jobs, layers = (json.loads(line) for line in done.stdout.splitlines() if line[:1] in "{[")
    return jobs, layers, picture, folder


def test_qgis_lists_the_algorithms_once_the_plugin_is_enabled(environment):
    for words in (["plugins", "enable", "rurnet_qgis"], ["list"]):
        done = subprocess.run(
            [QGIS_PROCESS, *words], check=True, capture_output=True, text=True, env=environment
        )
    for algorithm in ("findroads", "vectorisemask", "comparewithlabels"):
        assert f"rurnet:{algorithm}" in done.stdout


def test_a_cancelled_run_goes_on_in_the_same_folder(ran):
    (stopped, whole, *_), *_ = ran
    assert "run it again with the same folder" in stopped["log"]
    assert stopped["results"] == {}
    assert whole["ok"]
    assert "parts were there already" in whole["log"]
    progress = whole["shares"][: whole["shares"].index(100) + 1]
    assert progress == sorted(progress)


def test_results_are_layers_with_a_style_lines_above_mask_above_probability(ran):
    _, layers, _, folder = ran
    of_town = [layer for layer in layers if layer[0].startswith("town: ")]
    assert [name for name, *_ in of_town if "lines" not in name] == [
        "town: mask", "town: probability",
    ]  # fmt: skip
    shown = {name: (style, visible) for name, style, visible in layers}
    assert shown["town: mask"] == ("paletted", True)
    assert shown["town: probability"] == ("singlebandpseudocolor", False)
    assert shown["misses and false alarms: errors"] == ("categorizedSymbol", True)
    assert (folder / "roads" / "town" / "mask.qml").is_file()


def test_a_mask_becomes_lines_and_is_drawn_where_it_lies(ran):
    (_, _, lines, *_), _, picture, folder = ran
    assert lines["results"]["ROADS"].startswith(str(folder / "lines"))
    drawn = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    side = len(drawn)
    # The line is red, and runs along the middle of rows 60 to 70.
    red = (drawn[..., 0] > 180) & (drawn[..., 1] < 90) & (drawn[..., 2] < 90)
    rows = np.flatnonzero(red[:, side // 2]) / side * SIDE
    assert rows.size
    assert abs(rows.mean() - 65) < 1


def test_scores_come_back_as_numbers_and_a_failure_in_its_own_words(ran):
    (*_, compared, failed), _, _, folder = ran
    assert 0 <= compared["results"]["F1"] <= 1
    assert compared["results"]["ERRORS"] == f"{folder}/scores/errors.gpkg|layername=errors"
    assert not failed["ok"]
    assert "no-such-weights" in failed["log"]
