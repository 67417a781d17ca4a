"""Runs with a backend: what is recorded, what goes on, what is refused."""

import json
import logging
from dataclasses import replace

import pytest

from pipelines.backends.choice import MEASURED, Measured, openvino_here
from pipelines.config.inference import InferRoads, PredictionSettings
from pipelines.datasets.synthetic import write_road_scene
from pipelines.errors import PipelineError
from pipelines.inference.cluster.team import Member, Team, check_member
from pipelines.inference.run import infer_roads
from pipelines.results.progress import Silence
from tests.pipelines.inference.runs import ROADS_SMALL

pytest.importorskip("openvino", reason="needs rurnet[openvino]")

HERE = openvino_here()


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """Where compiled networks are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        yield


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    write_road_scene(path, None, size=150, seed=3)
    return path


@pytest.fixture(scope="module")
def infer(scene, roads_weights):
    """Runs it into a folder; returns the report, and the bytes of both rasters."""

    def run(output, backend=None, **changes):
        changes |= {} if backend is None else {"backend": backend}
        config = InferRoads(
            scenes=[str(scene)], output=output, model=[str(roads_weights)],
            **(ROADS_SMALL | changes),
        )  # fmt: skip
        result = infer_roads(config, Silence())
        kept = [path.read_bytes() for path in sorted((output / "scene").glob("*.tif"))]
        return result, kept

    return run


def manifest(output):
    return json.loads((output / "scene" / "manifest.json").read_text())["settings"]


@pytest.fixture(scope="module")
def eager(infer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("eager") / "out"
    return folder, infer(folder, "eager")


@pytest.fixture(scope="module")
def theirs(infer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("openvino") / "out"
    return folder, infer(folder, "openvino")


def test_the_manifest_and_the_report_name_the_backend_where_it_is_not_torch(eager, theirs):
    assert "backend" not in manifest(eager[0])
    assert manifest(theirs[0])["backend"] == str(HERE)
    made_with = [
        json.loads((folder / "report.json").read_text())["made_with"] for folder in
        (eager[0], theirs[0])
    ]  # fmt: skip
    assert [one["backends"] for one in made_with] == [[], [str(HERE)]]
    assert str(HERE) in (theirs[0] / "report.html").read_text()
    assert str(HERE) not in (eager[0] / "report.html").read_text()


def test_a_small_scene_is_computed_by_torch_unless_openvino_is_asked_for(infer, eager, tmp_path):
    _, rasters = infer(tmp_path / "out")
    assert rasters == eager[1][1]
    assert "backend" not in manifest(tmp_path / "out")


def test_a_scene_for_which_it_pays_is_computed_by_openvino_and_the_log_says_why(
    infer, eager, theirs, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO, "rurnet")
    pixels = 3 * 3 * 64 * 64  # Of the tiles, in the one step.
    for work, (folder, (_, rasters)) in ((pixels, theirs), (pixels + 1, eager)):
        caplog.clear()
        row = Measured(HERE.precision, frozenset({"dru-4"}), work)
        monkeypatch.setitem(MEASURED, HERE.instructions, row)
        assert infer(tmp_path / str(work))[1] == rasters
        assert manifest(tmp_path / str(work)) == manifest(folder)
        [said] = [one for one in caplog.messages if "measured to be faster" in one]
        assert said.startswith(f"{HERE} computes")
        assert f"scene: computed by {HERE if work == pixels else 'torch'}" in caplog.messages


def test_parts_and_batches_change_no_byte(infer, theirs, tmp_path):
    _, rasters = infer(tmp_path / "out", "openvino", part_size=64, batch=7)
    assert rasters == theirs[1][1]


def test_a_run_goes_on_with_what_began_it(infer, theirs, eager):
    for folder, (_, rasters) in (theirs, eager):
        kept = manifest(folder)
        (folder / "scene" / "mask.tif").unlink()
        assert infer(folder)[1] == rasters
        assert manifest(folder) == kept


def test_another_backend_is_refused_and_the_remedies_work(infer, theirs, eager, tmp_path):
    for (folder, (_, rasters)), other in ((theirs, "eager"), (eager, "openvino")):
        result, _ = infer(folder, other)
        [failed] = result.report.failed
        assert "the two are not mixed" in failed.error
        for word in ("--backend", "--overwrite", "--output"):
            assert word in failed.error
        assert infer(folder)[1] == rasters  # It goes on with what began it.


def test_a_dry_run_says_what_will_compute(infer, theirs, tmp_path):
    for folder, backend, said in (
        (tmp_path / "a", "openvino", str(HERE)), (tmp_path / "b", "auto", None),
        (theirs[0], "auto", str(HERE)),
    ):  # fmt: skip
        result, _ = infer(folder, backend, dry_run=True)
        [estimate] = result.estimates
        assert estimate.backend == said


def test_a_worker_with_another_backend_is_refused(tmp_path):
    team = Team((), PredictionSettings(), "cpu", "2.0", tmp_path / "marker", HERE)
    member = Member("cpu", "2.0", (), shares=True, backend=HERE)
    check_member("tcp://host:1", member, team)
    for other, said in (
        (None, "no OpenVINO"), (replace(HERE, instructions="another"), "another"),
    ):  # fmt: skip
        with pytest.raises(PipelineError, match=f"tcp://host:1: a worker with .*{said}.*eager"):
            check_member("tcp://host:1", replace(member, backend=other), team)
    # Where torch computes, it does not matter what else there is.
    check_member("tcp://host:1", replace(member, backend=None), replace(team, backend=None))


def test_workers_give_the_same_bytes(infer, theirs, cluster, tmp_path):
    _, rasters = infer(tmp_path / "out", "openvino", part_size=64, scheduler=cluster.address)
    assert rasters == theirs[1][1]
    assert manifest(tmp_path / "out")["backend"] == str(HERE)
