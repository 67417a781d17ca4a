"""How often each pixel is read and blended, from the scene to its scores."""

from collections import Counter
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import pytest

from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import PredictionSettings
from pipelines.datasets.synthetic import draw_road_scene
from pipelines.evaluation.run import evaluate
from pipelines.inference.batch import run_batch
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.opening import Reading
from pipelines.models.weights import load
from pipelines.scores.topology import TopologyCounter
from tiling.fingerprint import fingerprint
from tiling.readers.raster import RasterScene
from tiling.store import PartStore

SIDE = 244
TILES = {"tile": 64, "overlap": 4, "part_size": 124, "device": "cpu", "steps": 1}
"""Four parts of four tiles each."""

ONCE = pytest.approx(1.05, abs=0.06)
TWICE = pytest.approx(2.05, abs=0.06)
"""Of a label: before its scene is predicted, for what would end it after hours, and for scores."""
"""Windows overlap: parts where tiles do, those of scores by rho, resampled ones by a filter."""


@pytest.fixture
def passes(monkeypatch):
    """Pixels that were read of each file, and blended ("parts"), as shares of a scene's."""
    read, lock = Counter(), Lock()

    def counting(reader, name_of):
        def counted(self, window):
            with lock:
                read[name_of(self)] += window.pixels / SIDE**2
            return reader(self, window)

        return counted

    monkeypatch.setattr(RasterScene, "read", counting(RasterScene.read, name_of_file))
    monkeypatch.setattr(PartStore, "read", counting(PartStore.read, lambda store: "parts"))
    # Several windows and several parts, as of a large scene.
    monkeypatch.setattr("pipelines.inference.rasters._AT_ONCE", 100)
    monkeypatch.setattr("pipelines.evaluation.scoring.AT_ONCE", 122)
    monkeypatch.setattr(
        "pipelines.evaluation.scoring.TopologyCounter",
        partial(TopologyCounter, part=90, margin=25),
    )
    return read


def name_of_file(raster):
    """Of inputs the folder's: they are called alike."""
    path = Path(raster.name)
    return path.parent.name if path.name == "s.tif" else path.stem


@pytest.fixture
def inputs(write_raster, tmp_path):
    """A scene of a metre per pixel and with missing pixels, and what two observers drew."""
    pixels, label, valid = draw_road_scene(SIDE, SIDE, seed=4)
    valid[30:50, 60:90] = False
    for name, drawn in (("label", label), ("second", np.roll(label, 2, axis=0))):
        write_raster(tmp_path / name / "s.tif", drawn[None].astype(np.uint8))
    return write_raster(tmp_path / "scene" / "s.tif", pixels, nodata_kind="mask", valid=valid)


@pytest.fixture
def run(inputs, roads_weights, tmp_path, passes, told):
    """Predicts the scene, scores it where it is labelled, and returns the outcome."""

    def run(*, labelled=False, gsd=None, **settings):
        labels = tmp_path / "label" if labelled else None
        items = road_inputs([str(inputs)], labels, Reading(gsd=gsd))
        with items[0].open() as opened:
            fingerprint(opened.seen)
        samples = passes.pop("scene")
        assert samples < 0.3  # Of so small a scene.
        wanted = PredictionSettings(**TILES | settings)
        [outcome] = run_batch(items, [load(str(roads_weights))], wanted, tmp_path / "out", told)
        assert outcome.error is None
        passes["scene"] -= samples
        return outcome

    return run


@pytest.mark.parametrize(
    "settings", [{}, {"min_size": "30"}, {"dtype": "float32"},
                 {"dtype": "float32", "min_size": "30", "save_steps": True, "steps": 2}],
    ids=["by default", "without small regions", "floats", "all together"],
)  # fmt: skip
def test_a_scene_is_read_once_and_its_parts_are_blended_once(run, passes, settings):
    run(**settings)
    assert passes == {"scene": ONCE, "parts": ONCE}


@pytest.mark.parametrize("settings", [{}, {"min_size": "30"}, {"dtype": "float32"}])
def test_a_resampled_scene_is_read_once_more_for_which_pixels_are_there(run, passes, settings):
    run(gsd=2.0, **settings)
    # The network sees a quarter of the pixels.
    assert passes == {"scene": pytest.approx(2.1, abs=0.1), "parts": pytest.approx(0.25, abs=0.02)}


def test_scores_and_topology_come_of_one_walk_over_label_and_prediction(run, passes):
    outcome = run(labelled=True)
    assert outcome.scores.counts.topology is not None
    assert passes == {"scene": ONCE, "parts": ONCE, "probability": ONCE, "label": TWICE}


def test_all_steps_are_scored_in_one_walk(run, passes):
    outcome = run(labelled=True, save_steps=True, steps=3)
    assert len(outcome.scores.steps) == 3
    steps = {f"probability-step{step}": ONCE for step in (1, 2, 3)}
    assert passes == {"scene": ONCE, "parts": ONCE, "label": TWICE, **steps}


def test_an_evaluation_reads_every_raster_once(run, passes, tmp_path, told):
    run(save_steps=True, steps=2)
    passes.clear()
    evaluate(
        Evaluate(
            predictions=[str(tmp_path / "out")], labels=tmp_path / "label",
            second=tmp_path / "second", output=tmp_path / "report",
        ),
        told,
    )  # fmt: skip
    [outcome] = [done for done in told.outcomes if done.scores and done.scores.second]
    assert outcome.error is None
    steps = {f"probability-step{step}": ONCE for step in (1, 2)}
    assert passes == {"label": ONCE, "second": ONCE, **steps}


@pytest.mark.parametrize("side", [20, 64, 100, 300, 1000, 5000])
def test_the_samples_of_a_fingerprint_are_a_small_share_of_a_scene(side):
    read = []

    class Zeros:
        height = width = side
        bands, dtype, files = 1, np.dtype(np.uint8), ()

        def read(self, window):
            read.append(window.pixels)
            shape = window.height, window.width
            return np.zeros((1, *shape), np.uint8), np.ones(shape, bool)

    fingerprint(Zeros())
    assert sum(read) <= max(min(side, 64) ** 2, side**2 / 4)
    assert sum(read) <= 64 * 64**2
