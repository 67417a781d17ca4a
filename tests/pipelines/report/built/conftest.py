"""A run that has everything, with its report: scenes, steps, classes, a second observer."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import draw_road_scene
from pipelines.evaluation.comparison import compared
from pipelines.evaluation.scoring import count
from pipelines.inference.batch import run_batch
from pipelines.inference.measuring import measured
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.labels import Labelling, open_label
from pipelines.inputs.opening import Reading
from pipelines.models.weights import load
from pipelines.report.build import THERE, build_report
from pipelines.report.write import write_report
from pipelines.results.outcome import SceneScores
from pipelines.results.progress import Silence
from pipelines.results.this_run import Failure, ThisRun
from tiling.masks.mask import threshold_level

HEIGHT, WIDTH = 80, 120
AWKWARD = "a&b <i>, 'c'"
BAD = "bad <b>"
CLASSES = ("road", "path")
STEPS = (0.5, 1.1, 1.7)


@pytest.fixture(scope="session")
def run():
    """The size, names, classes and measured times of the run."""
    return SimpleNamespace(
        height=HEIGHT, width=WIDTH, awkward=AWKWARD, bad=BAD, classes=CLASSES, step_seconds=STEPS
    )


@pytest.fixture(scope="session")
def model(fresh_weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "fresh.safetensors"
    return load(str(fresh_weights(path, ("background", *CLASSES), seed=3)))


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return InferRoads(
        scenes=[str(folder / "scenes")], labels=folder / "labels", output=folder / "out",
        tile=64, overlap=16, batch=2, device="cpu", save_steps=True, ignore="9", threshold=0.6,
        rho=2.0,
    )  # fmt: skip


@pytest.fixture(scope="session")
def outcomes(config, model, write_raster):
    """Three scenes with labels (nothing is on the second), one without, and one that fails."""
    folder = config.output.parent
    for seed, name in enumerate((AWKWARD, "empty", "other", "plain")):
        pixels, roads, valid = draw_road_scene(HEIGHT, WIDTH, seed)
        write_raster(folder / "scenes" / f"{name}.tif", pixels, nodata_kind="mask", valid=valid)
        label = np.where((roads > 0) & (np.arange(WIDTH) > WIDTH // 2), 2, roads).astype(np.uint8)
        if name == "empty":
            label[:] = 0
        label[:9, :9] = 9
        if name != "plain":
            write_raster(folder / "labels" / f"{name}.tif", label[None])
            write_raster(folder / "second" / f"{name}.tif", np.roll(label, 2, axis=0)[None])
    (folder / "scenes" / f"{BAD}.tif").write_text("no raster")
    labelling = Labelling(3, (9,))
    items = road_inputs(config.scenes, config.labels, Reading(labelling=labelling))
    found = run_batch(items, [model], config, config.output, Silence())
    found = [one if one.label is None else with_second(one, labelling, config) for one in found]
    return measured(found, CLASSES, {})


def with_second(outcome, labelling, config):
    """The same with a second observer's label, which lies in another folder."""
    second = Path(outcome.label.replace("labels", "second"))
    with (
        outcome.open_raster(outcome.files["probability"]) as levels,
        open_label(Path(outcome.label), labelling) as label,
        open_label(second, labelling) as other,
    ):
        drawn = count([levels], label, other, config).second
    return replace(outcome, scores=replace(outcome.scores, second=drawn))


@pytest.fixture(scope="session")
def whole(outcomes, config, model, tmp_path_factory):
    """The report, as it is built; the run is compared with the second observer."""
    drawn = [replace(one, scores=SceneScores(one.scores.second)) for one in outcomes if one.scores]
    comparison = compared("ours", outcomes, "drawn", drawn, threshold_level(0.6), CLASSES)
    report = build_report(
        outcomes, config, [model], counted=THERE, classes=CLASSES, seconds=12.34,
        step_seconds=STEPS, comparison=comparison,
    )  # fmt: skip
    left = [Failure("late.tif", "is still written")]
    return replace(report, this_run=ThisRun("run", [AWKWARD], left, left))


@pytest.fixture(scope="session")
def report(whole, outcomes, tmp_path_factory):
    """What `report.json` holds of it."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    folder = tmp_path_factory.mktemp("report")
    write_report(folder, whole, outcomes)
    return json.loads((folder / "report.json").read_text(), parse_constant=refuse)


@pytest.fixture(scope="session")
def built(config):
    """Builds a report of some outcomes with the settings of the run."""

    def build(outcomes, settings=config, **more):
        return build_report(outcomes, settings, **({"counted": THERE, "classes": CLASSES} | more))

    return build
