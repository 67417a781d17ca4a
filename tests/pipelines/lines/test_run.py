"""`rurnet vectorise`: from rasters of anybody to lines and a report."""

import json

import numpy as np
import pytest

from pipelines.config.lines import Vectorise
from pipelines.errors import DataError
from pipelines.lines.run import vectorise_rasters
from pipelines.results.progress import Silence
from tests.pipelines.lines.conftest import NORTH_UP, read_layer, rows_of
from tests.tiling.lines.drawings import cross


@pytest.fixture(scope="module")
def theirs(write_raster, tmp_path_factory):
    """Masks of another tool, with 0 and 255, and a file that is no raster."""
    folder = tmp_path_factory.mktemp("theirs")
    for name, mask in (("east", cross()), ("west", cross().T)):
        pixels = np.where(mask, 255, 0).astype(np.uint8)
        write_raster(folder / f"{name}.tif", pixels[None], transform=NORTH_UP)
    (folder / "broken.tif").write_text("no raster")
    return folder


@pytest.fixture(scope="module")
def run(theirs, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return vectorise_rasters(Vectorise(predictions=[str(theirs)], output=out), Silence())


def test_a_folder_of_masks_gives_lines_for_each_and_a_broken_one_fails_alone(run):
    assert [scene.name for scene in run.report.scenes] == ["east", "west"]
    [failure] = run.failed
    assert "broken.tif" in failure.input
    for scene in run.report.scenes:
        lines = read_layer(run.folder / scene.name / "lines.gpkg", "lines")
        assert set(lines.columns["scene"]) == {scene.name}
        assert sum(lines.columns["length_m"]) == pytest.approx(412, abs=0.01)


def test_the_report_says_how_long_the_roads_are(run):
    report = json.loads((run.folder / "report.json").read_text())
    for scene in report["scenes"]:
        assert scene["lines"] == {
            "kilometres": 0.412, "pixels": 206.0, "lines": 4, "junctions": 1, "ends": 4,
            "bridged": 0,
        }  # fmt: skip
        assert scene["files"]["lines"].endswith("lines.gpkg")
    assert report["settings"]["least_spur"] == 10


def test_a_folder_of_our_results_uses_mask_and_probability(ours, tmp_path):
    config = Vectorise(predictions=[str(ours.parent)], output=tmp_path)
    result = vectorise_rasters(config, Silence())
    [scene] = result.report.scenes
    assert scene.name == "city"
    lines = read_layer(tmp_path / "city" / "lines.gpkg", "lines")
    assert np.isfinite(lines.columns["probability_mean"]).all()
    assert min(lines.columns["probability_lowest"]) > 0.01
    assert len(rows_of(tmp_path / "city" / "lines.gpkg")["polygons"]) > 1


def test_two_runs_at_once_are_refused(theirs, ours, tmp_path):
    config = Vectorise(predictions=[str(theirs), str(ours.parent)], output=tmp_path)
    with pytest.raises(DataError, match="two runs"):
        vectorise_rasters(config, Silence())
