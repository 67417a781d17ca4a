"""`report.json` of a run that has everything, against its rasters and against docs/report.md."""

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy.ndimage import distance_transform_edt

from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import draw_road_scene
from pipelines.evaluation.scoring import count
from pipelines.inference.batch import run_batch
from pipelines.inference.run import report_of
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.labels import Labelling, open_label
from pipelines.inputs.opening import Reading
from pipelines.models.weights import load
from pipelines.report.contents import PATHS, SCHEMA, THERE, Comparison, build_report, flattened
from pipelines.report.write import write_report
from pipelines.results.outcome import SceneOutcome
from pipelines.results.progress import Silence
from pipelines.scores.intervals import differences
from tiling.mask import threshold_level

DOCUMENT = Path(__file__).parents[3] / "docs" / "report.md"
HEIGHT, WIDTH = 80, 120
AWKWARD = "a&b <i>, 'c'"
BAD = "bad <b>"
CLASSES = ("road", "path")
STEPS = (0.5, 1.1, 1.7)
"""Seconds per megapixel that are said to have been measured."""

OWN = {"settings", "files", "packages", "mean", "sd", "intervals"}
"""What has keys that the report does not choose: options, files, packages, columns."""

MASKS_LACK = ("best", "break_even", "roc_auc", "average_precision", "calibration")
"""Scores that take all thresholds."""


@pytest.fixture(scope="module")
def model(fresh_weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "fresh.safetensors"
    return load(str(fresh_weights(path, ("background", *CLASSES), seed=3)))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return InferRoads(
        scenes=[str(folder / "scenes")], labels=folder / "labels", output=folder / "out",
        tile=64, overlap=16, batch=2, device="cpu", save_steps=True, ignore="9", threshold=0.6,
        rho=2.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
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
    for outcome in found:
        if outcome.label is not None:
            second = Path(outcome.label.replace("labels", "second"))
            with (
                outcome.open_raster(outcome.files["probability"]) as levels,
                open_label(Path(outcome.label), labelling) as label,
                open_label(second, labelling) as other,
            ):
                outcome.second = count([levels], label, other, config).second
    return found


@pytest.fixture(scope="module")
def comparison(outcomes):
    """Of the run with the second observer."""
    there = [outcome for outcome in outcomes if outcome.counts is not None]
    a, b = ([getattr(one, what) for one in there] for what in ("counts", "second"))
    f1 = [(one.name, 0.5 + index, 0.25) for index, one in enumerate(there)]
    f1[1] = (f1[1][0], float("nan"), 0.25)
    return Comparison("ours", "drawn", differences(a, b, threshold_level(0.6), CLASSES), f1)


@pytest.fixture(scope="module")
def report(outcomes, config, model, comparison, tmp_path_factory):
    """`report.json` as a run with everything leaves it."""
    built = build_report(
        outcomes, config, [model], counted=THERE, classes=CLASSES, seconds=12.34,
        step_seconds=STEPS, comparison=comparison,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, built, outcomes)
    return read_json(folder)


def read_json(folder):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((folder / "report.json").read_text(), parse_constant=refuse)


def built(outcomes, config, **more):
    return build_report(outcomes, config, **({"counted": THERE, "classes": CLASSES} | more))


def scene_of(report, name):
    return next(scene for scene in report["scenes"] if scene["name"] == name)


def labelled(report):
    return [scene for scene in report["scenes"] if scene["label"] is not None]


# What is documented.


def tables():
    """The fields of docs/report.md and what is said of them, by heading: {field: text}."""
    found, heading = {}, ""
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("#"):
            heading = line.strip("# ").split(",")[0]
        elif line.startswith("| `"):
            _, fields, text, _ = line.split("|")
            for field in names(fields):
                assert field not in found.setdefault(heading, {}), f"{field} stands there twice"
                found[heading][field] = text
    return found


def names(text):
    """What stands in backticks and may be a key."""
    return set(re.findall(r"`([a-z0-9_]+)`", text))


def is_scores(value):
    return isinstance(value, dict) and "foreground" in value and "topology" in value


def keys_in(value, scores):
    """All keys in a part of a report, but for those of scores, which are put aside."""
    if isinstance(value, list):
        return {key for inner in value for key in keys_in(inner, scores)}
    if not isinstance(value, dict):
        return set()
    if is_scores(value):
        groups = {group for group in value if group in tables()["Scores"]}
        scores.append({group: value[group] for group in groups})
        value = {key: inner for key, inner in value.items() if key not in groups}
    found = set(value)
    for key, inner in value.items():
        if key not in OWN:
            found |= keys_in(inner, scores)
    return found


def keys_of_group(group, value):
    if group == "classes":
        return {key for scores in value.values() for key in scores}
    if group == "at_threshold":
        return set(value) - set(names(tables()["Scores"]["foreground"]))
    return keys_in(value, [])


def test_every_field_of_the_json_is_documented_and_every_documented_one_is_there(report):
    fields, scores = tables()["report.json"], []
    assert set(report) == set(fields)
    for field, text in fields.items():
        keys = keys_in({} if field in OWN else report[field], scores)
        assert keys <= names(text), field
        assert names(text) <= keys | set(fields), field
    assert len(scores) == 1 + 1 + 3 + 3 + 4  # Pooled, of the second observer, steps, scenes.


def test_every_score_is_documented_and_every_documented_one_is_there(report):
    fields = tables()["Scores"]
    every = [report["pooled"], *labelled(report), *(step["pooled"] for step in report["steps"])]
    for scores in (
        *every,
        report["second_observer"]["pooled"],
        *report["second_observer"]["scenes"],
    ):
        assert set(fields) <= set(scores)
        assert set(scores) - set(fields) <= set(scene_of(report, "plain"))
        for group, text in fields.items():
            keys = keys_of_group(group, scores[group])
            assert keys <= names(text), group
            assert names(text) <= keys | set(fields), group
        # "The same."
        assert set(scores["at_threshold"]) == {*scores["foreground"], "threshold"}


def test_the_schema_is_the_documented_one(report):
    assert report["schema"] == SCHEMA
    [headed] = re.findall(r"^## report\.json, schema (\d+)$", DOCUMENT.read_text(), re.MULTILINE)
    assert int(headed) == SCHEMA
    assert tables()["report.json"]["schema"].strip() == str(SCHEMA)


def test_settings_are_every_option_of_the_run(report, config):
    assert report["settings"] == config.model_dump(mode="json")
    assert set(report["settings"]) == set(InferRoads.model_fields)


# Scenes, failures, what predicted.


def test_a_scene_has_its_files_and_sizes_and_what_it_took(report, config):
    assert [scene["name"] for scene in report["scenes"]] == [AWKWARD, "empty", "other", "plain"]
    for scene in report["scenes"]:
        assert (scene["height"], scene["width"]) == (HEIGHT, WIDTH)
        assert scene["input"] == str(config.output.parent / "scenes" / f"{scene['name']}.tif")
        kinds = ("probability", "mask", *(f"probability-step{step}" for step in (1, 2, 3)))
        folder = config.output / scene["name"]
        assert scene["files"] == {kind: str(folder / f"{kind}.tif") for kind in kinds}
        assert scene["tiles"] == 6
        assert (scene["parts"], scene["parts_computed"]) == (1, 1)
        assert scene["seconds"] > 0


def test_a_failure_is_named_with_its_reason_and_is_no_scene(report):
    [failed] = report["failed"]
    assert failed["input"].endswith(f"{BAD}.tif")
    assert "not a raster" in failed["error"]
    assert BAD not in [scene["name"] for scene in report["scenes"]]


def test_a_scene_without_a_label_has_no_scores_and_does_not_count_in_the_pool(report):
    plain = scene_of(report, "plain")
    assert all(plain[group] is None for group in tables()["Scores"])
    assert plain["label"] is None
    counted = [scene["pixels"] for scene in labelled(report)]
    assert len(counted) == 3
    assert report["pooled"]["pixels"] == sum(counted)


def test_pixels_count_where_they_are_there_and_not_left_out(report):
    for scene in labelled(report):
        levels, label = read_scene(scene, report)
        assert scene["pixels"] == levels.size
        assert scene["pixels"] <= HEIGHT * WIDTH - 81
        assert scene["foreground_share"] == (label > 0).mean()


def test_the_model_is_what_predicted(report, model, outcomes, config):
    assert report["model"] == {
        "name": model.name, "task": "roads", "bands": 3, "classes": ["background", *CLASSES],
        "network": "dru-4", "steps": 3, "weights_sha256": model.digest,
    }  # fmt: skip
    fewer = config.model_copy(update={"steps": 2})
    assert built(outcomes, fewer, models=[model])["model"]["steps"] == 2
    both = built(outcomes, config, models=[model, replace(model, name="other", digest="ab12")])
    assert both["model"]["name"] == f"{model.name} + other"
    assert both["model"]["network"] == "dru-4"
    assert both["model"]["weights_sha256"] == f"{model.digest},ab12"


def test_no_model_is_known_of_rasters_that_were_only_scored(outcomes):
    only_scored = [
        replace(outcome, prediction=None) for outcome in outcomes if outcome.error is None
    ]
    found = built(only_scored, Evaluate())
    assert found["model"] is None
    assert set(found["settings"]) == set(Evaluate.model_fields)
    for scene in found["scenes"]:
        took = (scene[key] for key in ("tiles", "parts", "parts_computed", "seconds"))
        assert list(took) == [None] * 4


def test_it_says_what_it_was_made_with(report):
    made = report["made_with"]
    assert made["python"] == ".".join(map(str, sys.version_info[:3]))
    for package in ("rurnet", "torch", "numpy", "scipy", "scikit-image", "rasterio"):
        assert made["packages"][package] == version(package)
    assert made["packages"]["GDAL"] == rasterio.__gdal_version__
    assert "pytest" in made["command"]
    assert made["cores"] >= 1
    assert made["processor"]
    assert made["seconds"] == 12.3


def test_it_says_when_and_by_which_version(report):
    assert report["version"] == version("rurnet")
    created = datetime.fromisoformat(report["created"])
    assert created.utcoffset().total_seconds() == 0
    assert abs((datetime.now(UTC) - created).total_seconds()) < 600


def test_a_command_with_blanks_can_be_pasted_into_a_shell(monkeypatch, config):
    monkeypatch.setattr(sys, "orig_argv", ["/bin/python3", "-m", "flows.evaluate", "my run; rm x"])
    command = built([], config)["made_with"]["command"]
    assert command == "python -m flows.evaluate 'my run; rm x'"


@pytest.mark.parametrize(
    ("sources", "folder"),
    [
        (["/data/a/1.tif"], "/data/a"),
        (["/data/a/1.tif", "/data/b/2.tif"], "/data"),
        (["a/1.tif", "b/2.tif"], "."),
        (["/vsizip/x.zip/1.tif", "/vsizip/x.zip/2.tif"], "/vsizip/x.zip"),
        ([], None),
    ],
)
def test_data_is_the_folder_that_all_inputs_lie_in(config, sources, folder):
    outcomes = [SceneOutcome(str(n), source) for n, source in enumerate(sources)]
    assert built(outcomes, config)["data"] == folder


# Scores.


def read_scene(scene, report):
    """Levels of the foreground and classes of the pixels [n] that count."""
    levels, label = read_whole(scene)
    counted = (levels != 255) & ~np.isin(label, report["scoring"]["ignore"])
    return levels[counted], label[counted]


def read_whole(scene, file="probability"):
    with rasterio.open(scene["files"][file]) as raster:
        bands = raster.read()
    with rasterio.open(scene["label"]) as raster:
        label = raster.read(1)
    together = np.minimum(bands.sum(axis=0, dtype=int), 254)
    return np.where(bands[0] == 255, 255, together), label


def test_what_is_undefined_is_null(report):
    empty = scene_of(report, "empty")
    assert empty["foreground_share"] == 0
    assert empty["foreground"]["recall"] is None
    assert empty["break_even"] == {"value": None, "threshold": None}
    assert empty["relaxed"]["recall"] is None
    assert empty["topology"]["apls"] is None
    assert empty["topology"]["label_components"] == 0
    predicted = (read_scene(empty, report)[0] >= 127).any()
    assert empty["foreground"]["precision"] == (0 if predicted else None)


def test_mean_and_sd_are_those_of_the_scenes_own_scores(report):
    columns = [flattened(scene) for scene in labelled(report)]
    for of, lines in (
        (report, columns),
        (report["second_observer"], map(flattened, report["second_observer"]["scenes"])),
    ):
        lines = list(lines)
        assert tuple(of["mean"]) == tuple(of["sd"]) == PATHS
        for path in PATHS:
            defined = [line[path] for line in lines if line[path] is not None]
            mean = np.mean(defined) if defined else None
            sd = np.std(defined, ddof=1) if len(defined) > 1 else None
            assert of["mean"][path] == (None if mean is None else pytest.approx(mean)), path
            assert of["sd"][path] == (None if sd is None else pytest.approx(sd)), path
    # Two of three scenes have a recall; none of the second observer's has a threshold.
    assert report["sd"]["foreground.recall"] > 0
    assert report["second_observer"]["mean"]["best.f1"] is None


def test_intervals_have_the_columns_names_and_two_ends(report):
    for of in (report, report["second_observer"], *report["steps"]):
        assert tuple(of["intervals"]) == PATHS
        ends = [interval for interval in of["intervals"].values() if interval is not None]
        assert len(ends) >= 20
        assert all(low <= high for low, high in ends)
    assert report["second_observer"]["intervals"]["best.f1"] is None
    low, high = report["intervals"]["foreground.precision"]
    assert low <= report["pooled"]["foreground"]["precision"] <= high


def test_a_score_that_is_undefined_in_many_draws_has_no_interval(outcomes, config):
    two = [one for one in outcomes if one.name in (AWKWARD, "empty")]
    found = built(two, config)  # A quarter of the draws take the empty one twice.
    assert found["pooled"]["foreground"]["recall"] is not None
    assert found["intervals"]["foreground.recall"] is None
    assert found["intervals"]["foreground.specificity"] is not None


def test_one_scene_has_neither_deviation_nor_interval(outcomes, config):
    [outcome] = [one for one in outcomes if one.name == AWKWARD]
    found = built([outcome], config)
    assert found["intervals"] is None
    assert set(found["sd"].values()) == {None}
    assert found["mean"] == flattened(found["pooled"])
    [scene] = found["scenes"]
    assert all(scene[group] == value for group, value in found["pooled"].items())


@pytest.mark.parametrize("names", [("plain",), ()])
def test_without_any_label_there_is_no_pool(outcomes, config, model, names):
    some = [one for one in outcomes if one.name in names]
    found = report_of(some, [model], config)
    for key in ("pooled", "mean", "sd", "intervals", "second_observer", "curve", "comparison"):
        assert found[key] is None
    assert found["steps"] == []
    assert [scene["name"] for scene in found["scenes"]] == list(names)


@pytest.mark.parametrize("level", [0, 1, 60, 90, 127, 153, 200, 254])
def test_the_curve_is_what_counting_at_a_threshold_gives(report, level):
    right = predicted = near = reached = drawn = 0
    for scene in labelled(report):
        levels, label = read_whole(scene)
        counted = (levels != 255) & (label != 9)
        positive, truth = (levels >= level) & counted, (label > 0) & counted
        right += (positive & truth).sum()
        predicted += positive.sum()
        drawn += truth.sum()
        near += (positive & around(truth)).sum()
        reached += (truth & around(positive)).sum()
    curve = {name: values[level] for name, values in report["curve"].items()}
    assert curve["threshold"] == pytest.approx(level / 254, abs=1e-6)
    assert curve["recall"] == pytest.approx(right / drawn, abs=1e-6)
    assert curve["relaxed_recall"] == pytest.approx(reached / drawn, abs=1e-6)
    if predicted:
        assert curve["precision"] == pytest.approx(right / predicted, abs=1e-6)
        assert curve["relaxed_precision"] == pytest.approx(near / predicted, abs=1e-6)
    else:
        assert curve["precision"] is None
        assert curve["relaxed_precision"] is None


def around(mask):
    """Pixels within rho of a mask."""
    return distance_transform_edt(~mask) <= 2 if mask.any() else mask


def test_the_curve_has_a_point_for_every_threshold(report):
    assert {len(values) for values in report["curve"].values()} == {255}
    assert report["curve"]["recall"][0] == 1
    at_half = {name: values[127] for name, values in report["curve"].items()}
    for name in ("precision", "recall"):
        assert at_half[name] == pytest.approx(report["pooled"]["foreground"][name], abs=1e-6)


def test_the_chosen_threshold_is_that_of_the_settings(report):
    assert report["scoring"]["threshold"] == 0.6
    assert (report["scoring"]["rho"], report["scoring"]["ignore"]) == (2.0, [9])
    assert report["scoring"]["counted"] == THERE
    assert report["pooled"]["at_threshold"]["threshold"] == 153 / 254
    assert report["pooled"]["relaxed"]["rho"] == 2.0


def test_each_class_has_scores_of_its_own(report):
    assert list(report["pooled"]["classes"]) == list(CLASSES)
    hits = predicted = 0
    for scene in labelled(report):
        with rasterio.open(scene["files"]["probability"]) as raster:
            levels = raster.read(2)
        _, label = read_whole(scene)
        positive = (levels >= 127) & (levels != 255) & (label != 9)
        hits += (positive & (label == 2)).sum()
        predicted += positive.sum()
    found = report["pooled"]["classes"]["path"]["foreground"]["precision"]
    assert found == (pytest.approx(hits / predicted) if predicted else None)


def test_without_topology_it_is_null(outcomes, config):
    def without(counts):
        return None if counts is None else replace(counts, topology=None)

    bare = [replace(one, counts=without(one.counts), steps=(), second=None) for one in outcomes]
    found = built(bare, config)
    assert found["pooled"]["topology"] is None
    for summary in ("mean", "sd", "intervals"):
        assert tuple(found[summary]) == PATHS
        assert found[summary]["topology.cldice"] is None
    assert flattened(found["pooled"])["topology.cldice"] is None


def test_a_mask_has_no_curve_and_no_score_of_all_thresholds(outcomes, config):
    masks = [
        replace(one, counts=one.second, second=None, steps=())
        for one in outcomes
        if one.second is not None
    ]
    found = built(masks, config)
    assert found["curve"] is None
    for path in PATHS:
        if path.split(".")[0] in MASKS_LACK:
            assert flattened(found["pooled"])[path] is None
    assert found["pooled"]["foreground"]["f1"] is not None


# Steps, second observer, comparison.


def test_there_is_an_entry_for_each_kept_step_though_a_scene_has_no_label(report):
    assert [step["step"] for step in report["steps"]] == [1, 2, 3]
    for step in report["steps"]:
        hits = predicted = 0
        for scene in labelled(report):
            levels, label = read_whole(scene, f"probability-step{step['step']}")
            positive = (levels >= 127) & (levels != 255) & (label != 9)
            hits += (positive & (label > 0)).sum()
            predicted += positive.sum()
        assert predicted > 0
        assert step["pooled"]["foreground"]["precision"] == hits / predicted
    first, _, last = report["steps"]
    assert last["pooled"] == report["pooled"]
    assert last["intervals"] == report["intervals"]
    assert first["pooled"] != report["pooled"]


def test_steps_say_what_they_took_where_that_was_measured(report, outcomes, config, model):
    assert [step["seconds_per_megapixel"] for step in report["steps"]] == list(STEPS)
    unknown = built(outcomes, config)["steps"]
    assert [step["seconds_per_megapixel"] for step in unknown] == [None] * 3
    # Measured. One thread of a busy machine is not exact, but three steps are more than one.
    measured = [
        step["seconds_per_megapixel"] for step in report_of(outcomes, [model], config)["steps"]
    ]
    assert 0 < measured[0] < measured[2]


def test_there_are_no_steps_where_none_were_kept(outcomes, config, model):
    without = [replace(outcome, steps=()) for outcome in outcomes]
    assert report_of(without, [model], config)["steps"] == []
    one_lacks = [replace(one, steps=() if one.name == "other" else one.steps) for one in outcomes]
    assert built(one_lacks, config)["steps"] == []


def test_the_second_observer_is_scored_where_the_prediction_counts(report, config):
    second = report["second_observer"]
    assert [scene["name"] for scene in second["scenes"]] == [AWKWARD, "empty", "other"]
    hits = predicted = drawn = 0
    for scene in labelled(report):
        levels, label = read_whole(scene)
        with rasterio.open(scene["label"].replace("labels", "second")) as raster:
            other = raster.read(1)
        counted = (levels != 255) & (label != 9) & (other != 9)
        positive, truth = (other > 0) & counted, (label > 0) & counted
        hits, predicted, drawn = (
            hits + (positive & truth).sum(),
            predicted + positive.sum(),
            drawn + truth.sum(),
        )
    found = second["pooled"]["foreground"]
    assert found["precision"] == pytest.approx(hits / predicted)
    assert found["recall"] == pytest.approx(hits / drawn)
    assert found["iou"] == pytest.approx(hits / (predicted + drawn - hits))
    for path, value in flattened(second["pooled"]).items():
        if path.split(".")[0] in MASKS_LACK:
            assert value is None


def test_a_comparison_has_a_row_for_each_column_and_a_pair_for_each_scene(report):
    found = report["comparison"]
    assert (found["a"], found["b"], found["scenes"]) == ("ours", "drawn", 3)
    assert [row["column"] for row in found["rows"]] == list(PATHS)
    ours, drawn = flattened(report["pooled"]), flattened(report["second_observer"]["pooled"])
    for row in found["rows"]:
        a, b = ours[row["column"]], drawn[row["column"]]
        assert row["a"] == (None if a is None else pytest.approx(a))
        assert row["b"] == (None if b is None else pytest.approx(b))
        assert row["difference"] == (None if None in (a, b) else pytest.approx(b - a, abs=1e-12))
    by_column = {row["column"]: row for row in found["rows"]}
    row = by_column["foreground.precision"]
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["mean_low"] <= row["mean"] <= row["mean_high"]
    assert by_column["best.f1"]["low"] is None
    assert by_column["best.f1"]["mean_high"] is None
    assert found["paired"] == [
        {"scene": AWKWARD, "a": 0.5, "b": 0.25, "difference": -0.25},
        {"scene": "empty", "a": None, "b": 0.25, "difference": None},
        {"scene": "other", "a": 2.5, "b": 0.25, "difference": -2.25},
    ]


def test_one_run_alone_has_no_comparison(outcomes, config):
    assert built(outcomes, config)["comparison"] is None
