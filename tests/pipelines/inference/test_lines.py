"""`infer-roads --lines`: lines of the predicted rasters, in any part size and after any end."""

import json
import shutil

import pytest

from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import write_road_scene
from pipelines.inference.run import infer_roads
from pipelines.results.progress import Silence
from tests.pipelines.inference.runs import ROADS_SMALL
from tests.pipelines.lines.conftest import rows_of


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "town.tif"
    write_road_scene(path, None, 150, 1)
    return path


def infer(scene, output, **changes):
    config = InferRoads(
        scenes=[str(scene)], output=output, **{**ROADS_SMALL, "lines": True, **changes}
    )
    result = infer_roads(config, Silence())
    assert not result.failed
    return result.report.scenes[0]


@pytest.fixture(scope="module")
def done(scene, tmp_path_factory):
    """A finished run with lines, and what its report says."""
    folder = tmp_path_factory.mktemp("done")
    return folder, infer(scene, folder)


@pytest.fixture
def again(done, tmp_path):
    shutil.copytree(done[0], tmp_path / "out")
    return tmp_path / "out"


def manifest(folder):
    return json.loads((folder / "town" / "manifest.json").read_text())


def test_lines_lie_beside_the_rasters_and_the_report_knows_them(done):
    folder, entry = done
    assert entry.lines.kilometres > 0.1
    assert set(entry.files) == {"probability", "mask", "lines"}
    assert rows_of(folder / "town/lines.gpkg")["lines"]


def test_parts_of_any_size_give_the_same_lines(done, scene, tmp_path):
    infer(scene, tmp_path, part_size=64)
    assert rows_of(tmp_path / "town/lines.gpkg") == rows_of(done[0] / "town/lines.gpkg")


def test_lines_that_are_gone_are_made_again_without_predicting(done, scene, again):
    (again / "town/lines.gpkg").unlink()
    entry = infer(scene, again)
    assert entry.parts_computed == 0
    assert rows_of(again / "town/lines.gpkg") == rows_of(done[0] / "town/lines.gpkg")


def test_a_run_without_lines_takes_them_on_later_with_its_rasters_as_they_are(scene, tmp_path):
    assert infer(scene, tmp_path, lines=False).lines is None
    before = manifest(tmp_path)
    assert "derived" not in before
    entry = infer(scene, tmp_path)
    assert entry.parts_computed == 0
    assert entry.lines is not None
    after = manifest(tmp_path)
    assert after.pop("derived") == ["lines.gpkg"]
    assert after == before


def test_joined_lines_of_a_batch_lie_beside_its_report(done, scene, again):
    config = InferRoads(scenes=[str(scene)], output=again, lines=True, join=True, **ROADS_SMALL)
    result = infer_roads(config, Silence())
    [entry] = result.report.scenes
    assert entry.parts_computed == 0
    assert result.report.joined.found == entry.lines
    assert len(rows_of(again / "lines.gpkg")["lines"]) == entry.lines.lines
    # The scene's own are kept: to join or not is nothing to them.
    assert (again / "town/lines.gpkg").read_bytes() == (done[0] / "town/lines.gpkg").read_bytes()
    with pytest.raises(ValueError, match="give lines too"):
        InferRoads(scenes=[str(scene)], join=True)


def test_a_dry_run_says_of_which_scenes_lines_are_to_be_made(done, scene, tmp_path):
    def left(output, **changes):
        config = InferRoads(
            scenes=[str(scene)], output=output, dry_run=True, **{**ROADS_SMALL, **changes}
        )
        [estimate] = infer_roads(config, Silence()).estimates
        return estimate.lines_left

    assert left(tmp_path, lines=True) is True
    assert left(done[0], lines=True) is False
    assert left(done[0], lines=True, format="flatgeobuf") is True
    assert left(tmp_path) is None


def test_other_settings_of_lines_do_not_refuse_the_rasters(scene, again):
    entry = infer(scene, again, least_line=60.0, tolerance=2.0)
    assert entry.parts_computed == 0


def test_lines_of_a_scene_that_changed_go_with_its_rasters(scene, again, tmp_path):
    changed = tmp_path / "town.tif"
    write_road_scene(changed, None, 150, 2)
    assert infer(changed, again, lines=False).parts_computed > 0
    assert not (again / "town/lines.gpkg").exists()
