"""`--budget`: a run whose steps the clock decides on."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio

from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import write_road_scene
from pipelines.inference.run import infer_roads
from pipelines.models.stopping import StopRule
from pipelines.models.weights import load, save
from pipelines.results.progress import Silence
from tests.pipelines.inference.commands import rasters, run_killed
from tests.pipelines.inference.commands import run as run_command


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in-time")
    model = load("roads-dru4")
    ruled = replace(model.card, stopping=StopRule(unsure=30_000, changing=1_000_000))
    save(folder / "ruled.safetensors", model.network, ruled)
    for name, seed in (("one", 3), ("two", 4)):
        write_road_scene(folder / "scenes" / f"{name}.tif", None, size=200, seed=seed)
    return {
        "scenes": [str(folder / "scenes")], "model": [str(folder / "ruled.safetensors")],
        "output": folder / "out", "tile": 64, "overlap": 16, "part_size": 64, "device": "cpu",
        "measurements": False,
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(words):
    return infer_roads(InferRoads(**words, budget="10h"), Silence())


def steps(folder):
    with rasterio.open(folder / "steps.tif") as file:
        levels, scale = file.read(1), file.scales[0]
    return levels[levels != 255] * scale


def test_with_hours_all_tiles_but_the_first_take_all_steps(run, words):
    assert not run.failed
    assert [scene.name for scene in run.report.scenes] == ["one", "two"]
    np.testing.assert_allclose(steps(words["output"] / "two"), 3, atol=0.02)
    assert run.report.scenes[1].mean_steps == pytest.approx(3, abs=0.02)
    full = infer_roads(
        InferRoads(**{**words, "output": words["output"].with_name("full")}), Silence()
    )
    for name in ("probability.tif", "mask.tif"):
        found, expected = (
            rasterio.open(result.folder / "two" / name) for result in (run, full)
        )  # fmt: skip
        with found, expected:
            np.testing.assert_array_equal(found.read(), expected.read())


def test_what_is_there_stays_whatever_time_the_next_run_has(run, words):
    manifest = json.loads((words["output"] / "one" / "manifest.json").read_text())
    assert manifest["settings"]["steps"] == "in time"
    again = infer_roads(InferRoads(**words, deadline="06:00"), Silence())
    assert [scene.parts_computed for scene in again.report.scenes] == [0, 0]
    assert not again.failed


def test_what_cannot_be_done_in_time_is_refused_and_no_scene_is_to_blame(words, tmp_path):
    result = infer_roads(InferRoads(**{**words, "output": tmp_path}, budget="0s"), Silence())
    assert len(result.failed) == 2
    assert all("--budget 0s: one step on each" in one.error for one in result.failed)
    # What was done is kept for a run with more time.
    assert (tmp_path / "one" / ".parts").is_dir()
    longer = infer_roads(InferRoads(**{**words, "output": tmp_path}, budget="10h"), Silence())
    assert not longer.failed
    assert longer.report.scenes[0].parts_computed < longer.report.scenes[0].parts


@pytest.mark.soak
def test_where_the_time_asks_for_nothing_less_neither_kills_nor_parts_change_a_byte(
    words, tmp_path
):
    # By these weights' own rule the first tiles take all steps, too.
    model = load("roads-dru4")
    every = replace(model.card, stopping=StopRule(unsure=0, changing=0))
    save(tmp_path / "every.safetensors", model.network, every)
    typed = (
        words["scenes"][0], "--model", tmp_path / "every.safetensors", "--tile", 64,
        "--overlap", 16, "--device", "cpu", "--no-measurements", "--budget", "10h",
    )  # fmt: skip
    run_command(tmp_path, *typed, "--output", "unbroken")
    killed = tmp_path / "killed"
    run_killed(tmp_path, killed / "two", (1, 3), *typed, "--part-size", 64, "--output", killed)
    for name in ("one", "two"):
        assert rasters(killed / name) == rasters(tmp_path / "unbroken" / name)
        assert set(rasters(killed / name)) == {"probability.tif", "mask.tif", "steps.tif"}
