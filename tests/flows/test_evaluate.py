"""`python -m flows.evaluate`: exit status, the table on standard output, errors of one line."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from flows.command import command
from flows.table import FLOWS

HEIGHT, WIDTH = 48, 64


def run(*words, cwd):
    """The command line, as someone types it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-m", "flows.evaluate", *words],
        cwd=cwd, env=clean | {"PREFECT_HOME": str(cwd / "prefect-home")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def errors(done):
    """What went wrong, a line each."""
    assert "Traceback" not in done.stderr
    assert "error:" not in done.stdout
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def rows(done):
    """The printed table: cells by the scene's name, which has no blanks in these tests."""
    lines = [line.split() for line in done.stdout.splitlines()]
    return {line[0]: line[1:] for line in lines if line}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_raster):
    """Labels, and two tools' rasters of them; scenes of the second are spoilt in many ways."""
    inside = tmp_path_factory.mktemp("evaluate")
    random = np.random.default_rng(1)
    for name in ("one", "two"):
        label = np.zeros((1, HEIGHT, WIDTH), np.uint8)
        label[0, 10:14], label[0, :, 30:33] = 1, 1
        noisy = (label * 0.5 + 0.25 + random.normal(0, 0.2, label.shape)).clip(0, 1)
        write_raster(inside / "labels" / f"{name}.tif", label)
        write_raster(inside / "first" / f"{name}.tif", noisy.astype(np.float32))
        write_raster(inside / "second" / f"{name}.tif", label * np.uint8(255))
        write_raster(inside / "eyes" / f"{name}_manual2.tif", np.roll(label, 1, axis=1))
        field = np.ones((HEIGHT, WIDTH), np.uint8) * 255
        field[:9] = 0
        (inside / "fov").mkdir(exist_ok=True)
        Image.fromarray(field).save(inside / "fov" / f"{name}_mask.png")
    pixels = np.full((1, HEIGHT, WIDTH), 0.5, np.float32)
    blank = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    for name in ("unlabelled", "small", "abroad", "moved", "percent"):
        write_raster(inside / "spoilt" / f"{name}.tif", pixels * (100 if name == "percent" else 1))
    write_raster(inside / "spoilt" / "whole.tif", pixels)
    write_raster(inside / "labels" / "small.tif", blank[:, 1:])
    write_raster(inside / "labels" / "abroad.tif", blank, crs="EPSG:32619")
    away = Affine(1.0, 0, 200_007.5, 0, -1.0, 900_000.25)
    write_raster(inside / "labels" / "moved.tif", blank, transform=away)
    for name in ("percent", "whole", "cut"):
        write_raster(inside / "labels" / f"{name}.tif", blank)
    cut = write_raster(inside / "spoilt" / "cut.tif", random.random(pixels.shape).astype("f4"))
    cut.write_bytes(cut.read_bytes()[:6000])
    return inside


@pytest.fixture(scope="module")
def compared(folder):
    """Two folders, with all that can be given besides."""
    return run(
        "first", "second", "--labels", "labels", "--fov", "fov", "--second", "eyes", "--rho", "3",
        "--output", "out", "--no-topology", cwd=folder,
    )  # fmt: skip


def test_all_went_well_is_status_0_and_a_table(compared, folder):
    assert compared.returncode == 0
    assert errors(compared) == []
    table = rows(compared)
    assert table["scene"][:3] == ["F1", "precision", "recall"]
    assert "clDice" not in table["scene"]  # There is none without topology.
    report = json.loads((folder / "out" / "report.json").read_text())
    for scene in report["scenes"]:
        assert table[scene["name"]][0] == f"{scene['foreground']['f1']:.3f}"
    assert table["pooled"][0] == f"{report['pooled']['foreground']['f1']:.3f}"
    assert {"one", "two", "mean", "pooled", "second"} <= set(table)
    assert compared.stdout.endswith("report: out/report.html\n")
    assert not (folder / "prefect-home").exists()


def test_what_is_printed_is_what_was_asked_for(compared, folder):
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["settings"] | {
        "predictions": ["first", "second"], "labels": "labels", "fov": "fov", "second": "eyes",
        "rho": 3.0, "topology": False,
    } == report["settings"]  # fmt: skip
    assert report["pooled"]["pixels"] == 2 * (HEIGHT - 9) * WIDTH
    assert report["comparison"]["a"] == "first"
    assert report["comparison"]["b"] == "second"
    [f1] = [row for row in report["comparison"]["rows"] if row["column"] == "foreground.f1"]
    assert f1["b"] == 1
    assert f1["difference"] > 0
    assert f"B is better: F1 +{f1['difference']:.3f} (+" in compared.stdout
    assert report["second_observer"]["pooled"]["relaxed"]["f1"] == 1
    assert report["made_with"]["command"].endswith("--no-topology")
    assert {path.name for path in (folder / "out").iterdir()} == {
        "report.json", "report.html", "scores.csv", "tables.xlsx", "errors.gpkg",
    }  # fmt: skip


def test_what_failed_is_status_1_and_a_line_for_each_scene(folder):
    done = run("spoilt", "--labels", "labels", "--output", "spoilt-out", cwd=folder)
    assert done.returncode == 1
    said = dict(
        zip(("abroad", "cut", "moved", "percent", "small", "unlabelled"), errors(done), strict=True)
    )
    for what, words in {
        "abroad": ("labels/abroad.tif", "EPSG:32619", "EPSG:26986", "rio warp"),
        "cut": ("spoilt/cut.tif", "damaged", "copy it again"),
        "moved": ("labels/moved.tif", "7.0 pixels", "spoilt/moved.tif", "mend its transform"),
        "percent": ("spoilt/percent.tif", "value 50", "--value-range"),
        "small": ("labels/small.tif", "64 x 47", "spoilt/small.tif", "64 x 48", "made for it"),
        "unlabelled": ("unlabelled", "no label", "in labels (unlabelled_manual1", "rename it"),
    }.items():
        for word in words:
            assert word in said[what]
    assert {"whole", "pooled"} <= set(rows(done))
    assert "small" not in rows(done)
    report = json.loads((folder / "spoilt-out" / "report.json").read_text())
    assert len(report["failed"]) == 6
    assert "6 failed" in (folder / "spoilt-out" / "report.html").read_text(encoding="utf-8")


def test_nothing_to_score_is_status_1_and_one_line(folder):
    done = run("first", "--labels", "nowhere", "--output", "none", cwd=folder)
    assert done.returncode == 1
    assert done.stderr == "error: nowhere: no such folder; check --labels\n"
    assert done.stdout == ""
    assert not (folder / "none").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--bogus", "3"], "--bogus"),
        (["--rho", "-1"], "--rho"),
        (["--rho", "near"], "--rho"),
        (["--threshold", "0"], "--threshold"),
        (["--threshold", "1.5"], "--threshold"),
        (["--kind", "classes"], "--kind"),
        (["--value-range", "100"], "--value-range"),
        (["--value-range", "9,3"], "value range must ascend"),
        (["--ignore", "none"], "--ignore"),
        (["--classes", "road,,rail"], "--classes"),
    ],
)
def test_wrong_usage_is_status_2_and_one_line_that_names_it(words, named, capsys):
    with pytest.raises(SystemExit) as ended:
        command(FLOWS["evaluate"], "rurnet evaluate", ["first", *words])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    [line] = said.err.splitlines()
    assert line.startswith("error: ")
    assert named in line


def test_a_wrong_option_is_status_2_of_the_process_too(tmp_path):
    done = run("first", "--rho", "wide", cwd=tmp_path)
    assert done.returncode == 2
    assert len(errors(done)) == len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
