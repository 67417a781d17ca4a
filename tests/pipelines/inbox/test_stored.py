"""What a ledger keeps of a scene's outcome."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from shapely.geometry import MultiPolygon, box

from pipelines.config.inference import InferRoads
from pipelines.inbox.stored import as_text, from_text
from pipelines.inputs.scene_input import FieldUsed, StacItem
from pipelines.measurements.certainty import Place
from pipelines.measurements.errors import ErrorRegion
from pipelines.measurements.measured import SceneMeasures
from pipelines.measurements.vessels import Node, Segment, Stretch, VesselTree
from pipelines.report.build import build_report
from pipelines.results.lines import LinesFound
from pipelines.results.outcome import (
    Prediction,
    SceneErrors,
    SceneOutcome,
    SceneScores,
    Updated,
)
from pipelines.results.report import as_json
from pipelines.scores.counts import OwnThreshold, SceneCounts
from tiling.scenes.ground import PixelSize
from tiling.window import Window


@pytest.fixture
def outcome():
    """An outcome with a value in every field."""
    random = np.random.default_rng(1)

    def counts(own=None):
        return SceneCounts(
            random.integers(0, 9, (1, 2, 255)), random.integers(0, 9, (1, 2, 255)),
            random.integers(0, 9, (1, 255)), random.integers(0, 9, (2, 2)),
            random.integers(1, 9, 13), 3.0, True, own,
        )  # fmt: skip

    own = OwnThreshold(
        np.asarray(90.0), random.integers(0, 9, (2, 2)), random.integers(0, 9, (2, 2)),
        random.integers(0, 9, 2),
    )  # fmt: skip
    whole = Stretch(100, 0.1, 20.0, 3.0, float("nan"))
    tree = VesselTree(
        50.0, whole, 1.1, 0.02, 1.4, [Segment(0, 1, 9.5, 3.0, 0.5, 1.2, 0.1, 4.0, 5.0)],
        [Node("end", 1.0, 2.0, float("nan")), Node("bifurcation", 3.0, 4.0, 70.0)], {"B": whole},
    )  # fmt: skip
    files = {"probability": Path("out/s/probability.tif"), "mask": Path("out/s/mask.tif")}
    pixel = PixelSize(0.5, 0.25)
    region = ErrorRegion("miss", 12, MultiPolygon([box(0, 0, 3, 4)]))
    errors = SceneErrors([region], "EPSG:26986", Affine(1, 0, 5, 0, -1, 6), pixel)
    return SceneOutcome(
        "s", "in/s.tif", 64, 70,
        prediction=Prediction(
            files, 4, 1, 1, 2.5, ("grey",), LinesFound(1.5, 9, 1, 2, 3, 0), 0.4, 2.5, "openvino",
            Updated(1, 2, 1),
        ),
        files=files, image="in/s.tif", label="labels/s.tif", pixel=pixel, seen=(64, 70),
        remarks=("read as grey",), field=FieldUsed("derived", 0.7, 50, 1.0),
        laterality="L", micrometres=6.5,
        scores=SceneScores(counts(own), counts(), (counts(), counts()), 0.25, errors, ("odd",)),
        lines=LinesFound(None, 9.0, 1, 2, 3, 0),
        measures=SceneMeasures(tree, [Place(Window(1, 2, 3, 4), 0.9)], Affine.identity()),
        stac_item=StacItem("s", "in/s.json", "town", "2024-05-31T10:30:00+00:00"),
    )  # fmt: skip


def test_an_outcome_that_comes_back_is_reported_alike(outcome):
    back = from_text(as_text(outcome))
    plain, restored = (
        as_json(build_report([one], InferRoads(), counted="all")) for one in (outcome, back)
    )
    assert plain["scenes"][0]["foreground"] is not None
    for report in (plain, restored):
        del report["created"]
    assert json.dumps(restored) == json.dumps(plain)
    assert as_text(back) == as_text(outcome)
    assert back.scores.errors.regions[0].outline.equals(outcome.scores.errors.regions[0].outline)
    assert back.scores.counts.strict.dtype == outcome.scores.counts.strict.dtype
    assert back.files == outcome.files


def test_every_field_of_the_example_has_a_value(outcome):
    # So that a new field of an outcome is tried too.
    for name, value in {**vars(outcome.prediction), **vars(outcome)}.items():
        if name not in ("error", "skipped", "of_scene", "open_raster"):
            assert value not in (None, (), {}, 0), name


@pytest.mark.parametrize(
    "text",
    [
        "[]", '{"is": "Popen", "args": "ls"}', '{"is": "SceneOutcome", "novel": 1}', '{"of": 1}',
        '{"is": "Path", "of": "a"}', "no json",
    ],
)  # fmt: skip
def test_what_is_no_outcome_of_this_version_is_refused(text):
    with pytest.raises(ValueError, match="no outcome"):
        from_text(text)


def test_a_failure_can_be_kept_too(outcome):
    failed = replace(SceneOutcome("s", "in/s.tif"), skipped="outside")
    assert from_text(as_text(failed)).skipped == "outside"
