"""Scores of scenes, steps and the second observer in a report, counted anew from the rasters."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from scipy.ndimage import distance_transform_edt

from pipelines.inference.job import report_of
from pipelines.report.build import THERE
from pipelines.results.outcome import SceneScores
from pipelines.scores.scores import PATHS, by_path

MASKS_LACK = ("best", "break_even", "roc_auc", "average_precision", "calibration", "certainty")
"""Scores that take all thresholds."""


def scene_of(report, name):
    return next(scene for scene in report["scenes"] if scene["name"] == name)


def labelled(report):
    return [scene for scene in report["scenes"] if scene["label"] is not None]


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


def around(mask):
    """Pixels within rho of a mask."""
    return distance_transform_edt(~mask) <= 2 if mask.any() else mask


def test_pixels_count_where_they_are_there_and_not_left_out(report, run):
    for scene in labelled(report):
        levels, label = read_scene(scene, report)
        assert scene["pixels"] == levels.size
        assert scene["pixels"] <= run.height * run.width - 81
        assert scene["foreground_share"] == (label > 0).mean()


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


def test_mean_and_sd_are_those_of_the_scenes_own_scores(whole):
    for of in (whole, whole.second_observer):
        lines = [by_path(scene.scores) for scene in of.scenes if scene.scores is not None]
        assert tuple(of.mean) == tuple(of.sd) == PATHS
        for path in PATHS:
            defined = [line[path] for line in lines if path in line]
            mean = np.mean(defined) if defined else None
            sd = np.std(defined, ddof=1) if len(defined) > 1 else None
            assert of.mean[path] == (None if mean is None else pytest.approx(mean)), path
            assert of.sd[path] == (None if sd is None else pytest.approx(sd)), path
    # Two of three scenes have a recall; none of the second observer's has a threshold.
    assert whole.sd["foreground.recall"] > 0
    assert whole.second_observer.mean["best.f1"] is None


def test_intervals_have_the_columns_names_and_two_ends(report):
    for of in (report, report["second_observer"], *report["steps"]):
        assert tuple(of["intervals"]) == PATHS
        ends = [interval for interval in of["intervals"].values() if interval is not None]
        assert len(ends) >= 20
        assert all(low <= high for low, high in ends)
    assert report["second_observer"]["intervals"]["best.f1"] is None
    low, high = report["intervals"]["foreground.precision"]
    assert low <= report["pooled"]["foreground"]["precision"] <= high


def test_a_score_that_is_undefined_in_many_draws_has_no_interval(outcomes, built, run):
    two = [one for one in outcomes if one.name in (run.awkward, "empty")]
    found = built(two)  # A quarter of the draws take the empty one twice.
    assert found.pooled.foreground.recall is not None
    assert found.intervals["foreground.recall"] is None
    assert found.intervals["foreground.specificity"] is not None


def test_one_scene_has_neither_deviation_nor_interval(outcomes, built, run):
    [outcome] = [one for one in outcomes if one.name == run.awkward]
    found = built([outcome])
    assert found.intervals is None
    assert set(found.sd.values()) == {None}
    defined = {path: mean for path, mean in found.mean.items() if mean is not None}
    assert defined == by_path(found.pooled)
    [scene] = found.scenes
    assert scene.scores == found.pooled


@pytest.mark.parametrize("names", [("plain",), ()])
def test_without_any_label_there_is_no_pool(outcomes, config, model, names):
    some = [one for one in outcomes if one.name in names]
    found = report_of(some, [model], config)
    for key in ("pooled", "mean", "sd", "intervals", "second_observer", "curve", "comparison"):
        assert getattr(found, key) is None
    assert found.steps == []
    assert [scene.name for scene in found.scenes] == list(names)


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


def test_each_class_has_scores_of_its_own(report, run):
    assert list(report["pooled"]["classes"]) == list(run.classes)
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


def test_without_topology_it_is_null(outcomes, built):
    def without(scores):
        return scores and SceneScores(replace(scores.counts, topology=None))

    found = built([replace(one, scores=without(one.scores)) for one in outcomes])
    assert found.pooled.topology is None
    for summary in (found.mean, found.sd, found.intervals):
        assert tuple(summary) == PATHS
        assert summary["topology.cldice"] is None


def test_a_mask_has_no_curve_and_no_score_of_all_thresholds(outcomes, built):
    masks = [
        replace(one, scores=SceneScores(one.scores.second))
        for one in outcomes
        if one.scores is not None
    ]
    found = built(masks)
    assert found.curve is None
    assert not [path for path in by_path(found.pooled) if path.split(".")[0] in MASKS_LACK]
    assert found.pooled.foreground.f1 is not None


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


def test_steps_say_what_they_took_where_that_was_measured(
    report, outcomes, config, model, built, run
):
    assert [step["seconds_per_megapixel"] for step in report["steps"]] == list(run.step_seconds)
    unknown = built(outcomes).steps
    assert [step.seconds_per_megapixel for step in unknown] == [None] * 3
    # Measured. One thread of a busy machine is not exact, but three steps are more than one.
    measured = [step.seconds_per_megapixel for step in report_of(outcomes, [model], config).steps]
    assert 0 < measured[0] < measured[2]


def test_there_are_no_steps_where_none_were_kept(outcomes, config, model, built):
    def without_steps(one):
        return replace(one, scores=one.scores and replace(one.scores, steps=()))

    without = [without_steps(one) for one in outcomes]
    assert report_of(without, [model], config).steps == []
    one_lacks = [without_steps(one) if one.name == "other" else one for one in outcomes]
    assert built(one_lacks).steps == []


def test_the_second_observer_is_scored_where_the_prediction_counts(report, whole, run):
    second = report["second_observer"]
    assert [scene["name"] for scene in second["scenes"]] == [run.awkward, "empty", "other"]
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
    defined = by_path(whole.second_observer.pooled)
    assert not [path for path in defined if path.split(".")[0] in MASKS_LACK]


def test_a_comparison_has_a_row_for_each_column_and_a_pair_for_each_scene(whole, run):
    found, second = whole.comparison, whole.second_observer
    assert (found.a, found.b, found.scenes) == ("ours", "drawn", 3)
    assert [row.column for row in found.rows] == list(PATHS)
    ours, drawn = by_path(whole.pooled), by_path(second.pooled)
    for row in found.rows:
        a, b = ours.get(row.column), drawn.get(row.column)
        assert row.a == (None if a is None else pytest.approx(a))
        assert row.b == (None if b is None else pytest.approx(b))
        assert row.difference == (None if None in (a, b) else pytest.approx(b - a, abs=1e-12))
    by_column = {row.column: row for row in found.rows}
    row = by_column["foreground.precision"]
    assert row.low <= row.difference <= row.high
    assert row.mean_low <= row.mean <= row.mean_high
    assert by_column["best.f1"].low is None
    assert by_column["best.f1"].mean_high is None
    assert [pair.scene for pair in found.paired] == [run.awkward, "empty", "other"]
    for pair, scene, other in zip(found.paired, whole.scenes, second.scenes, strict=False):
        assert pair.a == scene.scores.foreground.f1
        assert pair.b == other.scores.foreground.f1
        assert pair.difference == (None if None in (pair.a, pair.b) else pair.b - pair.a)


def test_one_run_alone_has_no_comparison(outcomes, built):
    assert built(outcomes).comparison is None
