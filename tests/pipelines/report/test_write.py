"""The files of a report: whole or not at all, and the same for the same run."""

import json
import multiprocessing
import os
import resource
import signal
from contextlib import contextmanager
from dataclasses import replace
from html import unescape
from uuid import uuid4

import numpy as np
import pytest

from pipelines.config.scoring import ScoringSettings
from pipelines.errors import PipelineError
from pipelines.report.build import THERE, build_report
from pipelines.report.write import write_report
from pipelines.results.outcome import SceneOutcome
from pipelines.results.report import as_json
from tiling.disk import appearing

FILES = ["report.html", "report.json", "scores.csv", "tables.xlsx"]
AWKWARD = "a&b <i>, 'c' \"d\" {{ 1 + 1 }} </script><script>alert(1)</script> Ü"


@pytest.fixture
def report(sample_report):
    """With all there may be in one, of scenes with awkward names."""

    def make(names=(AWKWARD, "plain"), **options):
        return sample_report(names, classes=("road", "path"), **options)

    return make


@pytest.fixture
def outcomes(write_raster, tmp_path):
    """Two scenes that can be shown."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 30, 40)).astype(np.uint8)
    source = str(write_raster(tmp_path / "scene.tif", pixels))
    levels = write_raster(tmp_path / "levels.tif", pixels[:1], nodata=255)
    label = str(write_raster(tmp_path / "label.tif", pixels[1:2] // 128))
    scene = SceneOutcome(
        AWKWARD, source, 30, 40, files={"probability": levels}, image=source, label=label
    )
    return [scene, replace(scene, name="plain")]


@contextmanager
def full_disk(size):
    """Makes files of more than so many bytes impossible, as a disk that is full does.

    Only as long as the report is written: what pytest prints may go to a file too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_three_files_are_left_and_nothing_partial(report, outcomes, tmp_path):
    folder = tmp_path / "new" / "report"
    assert write_report(folder, report(), outcomes) == folder / "report.html"
    assert names_in(folder) == FILES


def test_figures_are_written_where_they_are_asked_for(report, outcomes, tmp_path):
    folder = tmp_path / "report"
    write_report(folder, report(figures=True), outcomes)
    assert names_in(folder) == sorted([*FILES, "pr-curve.png", "reliability.png", "steps.png"])


def test_the_json_is_the_report(report, outcomes, tmp_path):
    made = report()
    write_report(tmp_path / "report", made, outcomes)
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == json.loads(
        json.dumps(as_json(made))
    )


def test_the_same_report_twice_is_the_same_bytes(report, outcomes, tmp_path):
    for name in ("one", "two"):
        write_report(tmp_path / name, report(), outcomes)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_report_replaces_the_one_before(report, outcomes, tmp_path):
    for names in (("formerly",), (AWKWARD, "plain")):
        write_report(tmp_path / "report", report(names), outcomes if "plain" in names else [])
    assert names_in(tmp_path / "report") == FILES
    for name in FILES:
        assert b"formerly" not in (tmp_path / "report" / name).read_bytes()


def killed_while_it_writes(path):
    with appearing(path) as partial:
        partial.write_text("half of it")
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_run_left_is_removed_later_and_what_others_are_writing_is_not(
    report, outcomes, tmp_path
):
    folder = tmp_path / "report"
    write_report(folder, report(), outcomes)
    killed = multiprocessing.get_context("fork").Process(
        target=killed_while_it_writes, args=(folder / "report.html",)
    )
    killed.start()
    killed.join()
    [left] = set(names_in(folder)) - {*FILES}
    tiles = folder / f".report-tiles.{uuid4().hex}"
    (tiles / "1").mkdir(parents=True)
    (tiles / "1" / "0-0-0-image.jpeg").touch()
    # Another job may be at it.
    write_report(folder, report(), outcomes)
    assert names_in(folder) == sorted([left, tiles.name, *FILES])
    hours_ago = (folder / "report.json").stat().st_mtime - 2 * 3600
    for one in (folder / left, tiles):
        os.utime(one, (hours_ago, hours_ago))
    (folder / ".nobody-knows").touch()
    os.utime(folder / ".nobody-knows", (hours_ago, hours_ago))
    write_report(folder, report(), outcomes)
    assert names_in(folder) == sorted([".nobody-knows", *FILES])


def test_awkward_names_stand_in_every_file_as_they_are_and_do_nothing(report, outcomes, tmp_path):
    failed = [(f"/data/{AWKWARD}.tif", f"{AWKWARD}: not a raster")]
    html = write_report(tmp_path / "report", report(failed=failed), outcomes).read_text()
    assert "<script>alert" not in html
    assert "<i>, 'c'" not in html
    assert f"{AWKWARD}: not a raster" in unescape(html)
    assert '"' + AWKWARD.replace('"', '""') + '"' in (tmp_path / "report" / "scores.csv").read_text(
        encoding="utf-8"
    )
    assert html.count("data:image/webp;base64,") == 3 * 2


def test_there_is_a_report_of_nothing(tmp_path):
    made = build_report([], ScoringSettings(), counted=THERE)
    write_report(tmp_path / "report", made, [])
    assert names_in(tmp_path / "report") == FILES
    assert json.loads((tmp_path / "report" / "report.json").read_text())["scenes"] == []
    assert (tmp_path / "report" / "scores.csv").read_text().count("\n") == 1


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(report, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(PipelineError) as caught:
        write_report(tmp_path / "taken", report(), [])
    assert str(caught.value).startswith(f"{tmp_path / 'taken'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 5_000, 30_000])
def test_a_full_disk_is_one_error_and_leaves_nothing_partial(report, outcomes, tmp_path, size):
    folder = tmp_path / "report"
    with pytest.raises(PipelineError, match="cannot be written") as caught, full_disk(size):
        write_report(folder, report(), outcomes)
    assert str(caught.value).startswith(f"{folder}: ")
    assert "--output" in str(caught.value)
    assert "\n" not in str(caught.value)
    whole = names_in(folder)
    assert set(whole) < set(FILES)
    assert all((folder / name).stat().st_size > 0 for name in whole)


def test_a_full_disk_leaves_the_report_before_as_it_was(report, outcomes, tmp_path):
    folder = tmp_path / "report"
    write_report(folder, report(("formerly",)), [])
    before = {name: (folder / name).read_bytes() for name in FILES}
    with pytest.raises(PipelineError), full_disk(100):
        write_report(folder, report(), outcomes)
    assert {name: (folder / name).read_bytes() for name in names_in(folder)} == before
