"""Bootstrap intervals against all draws one by one, and what they must and must not do."""

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from pipelines.scores.counts import Counter, combined
from pipelines.scores.curve import HALF
from pipelines.scores.intervals import differences, intervals
from pipelines.scores.relaxed import Disc
from pipelines.scores.scores import by_path, per_scene, scores_of
from pipelines.scores.topology import TopologyCounts
from tiling.window import Window

NAN = float("nan")
SIDE = 20


def scene(seed, skill=80.0, share=0.2, hard=0.0):
    """Levels and label [SIDE, SIDE]; `hard` is how far skill varies from scene to scene."""
    random = np.random.default_rng(seed)
    label = random.random((SIDE, SIDE)) < share
    skill += hard * np.random.default_rng(seed + 10_000).normal()
    levels = np.clip(random.normal(100, 40, label.shape) + skill * label, 0, 254)
    return levels.astype(np.uint8), label


def counted(levels, label, graded=True):
    counter = Counter(2, Disc(1))
    whole = Window(0, 0, *label.shape)
    counter.add(levels[None], label.astype(np.uint8), whole, whole)
    return counter.counts(TopologyCounts(components=int(label.sum())), graded=graded)


def scenes(number, **how):
    return [scene(seed, **how) for seed in range(number)]


def counts_of(images, **how):
    return [counted(*image, **how) for image in images]


def pooled(counts):
    return by_path(scores_of(combined(counts), HALF))


def f1_of(images):
    levels, label = (np.concatenate([one.ravel() for one in arrays])
                     for arrays in zip(*images, strict=True))  # fmt: skip
    return f1_score(label, levels >= HALF)


def width(interval):
    return interval[1] - interval[0]


def test_the_same_scenes_give_the_same_intervals():
    counts = counts_of(scenes(5, hard=30))
    assert intervals(counts, HALF) == intervals(counts, HALF)


def test_the_state_of_other_random_numbers_does_not_matter():
    counts = counts_of(scenes(5, hard=30))
    first = intervals(counts, HALF)
    np.random.seed(7)
    assert intervals(counts, HALF) == first


@pytest.mark.parametrize("number", [3, 8, 30])
def test_the_interval_holds_the_score_of_all_scenes(number):
    counts = counts_of(scenes(number, hard=40))
    whole, found = pooled(counts), intervals(counts, HALF)
    for path in (
        "foreground.f1", "foreground.mcc", "break_even.value", "best.f1", "roc_auc",
        "average_precision", "class_mean.iou", "relaxed.f1", "foreground_share",
    ):  # fmt: skip
        low, high = found[path]
        assert low < whole[path] < high


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_scenes_have_no_intervals(number):
    assert intervals(counts_of(scenes(number)), HALF) == {}


def test_two_scenes_are_drawn_in_three_ways():
    """One twice, the other twice, and both: each more often than 1 in 40, so the ends are these."""
    images = scenes(2, hard=60)
    low, high = intervals(counts_of(images), HALF)["foreground.f1"]
    ways = [f1_of([images[i], images[j]]) for i, j in product(range(2), repeat=2)]
    assert (low, high) == pytest.approx((min(ways), max(ways)))


@pytest.mark.parametrize("number", [3, 4])
def test_the_ends_are_percentiles_of_all_ways_to_draw_the_scenes(number):
    images = scenes(number, hard=60)
    ways = [f1_of([images[i] for i in drawn]) for drawn in product(range(number), repeat=number)]
    low, high = intervals(counts_of(images), HALF)["foreground.f1"]
    # 1000 draws hit the 2.5th of 100 within a hundredth and a half of all draws.
    ends = np.percentile(ways, [1, 4, 96, 99], method="inverted_cdf")
    assert ends[0] - 1e-9 <= low <= ends[1] + 1e-9
    assert ends[2] - 1e-9 <= high <= ends[3] + 1e-9


def test_the_ends_leave_out_one_draw_in_forty_each():
    """The mean of six numbers, in all ways to draw them."""
    counts = counts_of([scene(seed, share=seed / 10) for seed in range(6)])
    own = per_scene(counts, HALF)["foreground_share"]
    ways = own[np.array(list(product(range(6), repeat=6)))].mean(axis=1)
    tails = []
    for shift in range(6):  # Each takes other draws.
        shifted = counts[shift:] + counts[:shift]
        low, high = intervals(shifted, HALF)["foreground_share"]
        tails += [(ways < low).mean(), (ways > high).mean()]
    assert np.mean(tails) == pytest.approx(0.025, abs=0.004)


def test_the_interval_shrinks_with_the_root_of_the_number_of_scenes():
    counts = counts_of(scenes(64, hard=30))
    few, many = [intervals(counts[i::16], HALF) for i in range(16)], intervals(counts, HALF)
    for path in ("foreground.f1", "break_even.value", "relaxed.f1", "roc_auc"):
        of_four = np.mean([width(one[path]) for one in few])
        assert 0.15 < width(many[path]) / of_four < 0.45


def test_scenes_that_are_all_alike_leave_no_doubt():
    counts = counts_of([scene(1)] * 6)
    whole = pooled(counts)
    for path, (low, high) in intervals(counts, HALF).items():
        assert low == pytest.approx(whole[path])
        assert high == pytest.approx(whole[path])


def test_the_order_of_scenes_moves_the_ends_only_as_chance_does():
    counts = counts_of(scenes(12, hard=40))
    one, other = intervals(counts, HALF), intervals(counts[::-1], HALF)
    for path in ("foreground.f1", "break_even.value"):
        assert one[path] == pytest.approx(other[path], abs=0.2 * width(one[path]))


def test_what_is_never_defined_has_no_interval():
    found = intervals(counts_of(scenes(4, share=0.0)), HALF)
    assert "foreground.recall" not in found
    assert "break_even.value" not in found
    assert "foreground.specificity" in found
    assert not np.isnan(list(found.values())).any()


def test_what_is_undefined_in_too_many_draws_has_no_interval():
    """Of three scenes one has foreground: 30 in 100 draws leave it out; three of four: 1 in 256."""
    rare = [scene(0), *scenes(2, share=0.0)]
    assert "foreground.recall" not in intervals(counts_of(rare), HALF)
    often = [*scenes(3), scene(20, share=0.0)]
    assert "foreground.recall" in intervals(counts_of(often), HALF)


def test_a_drawing_has_no_intervals_of_what_takes_thresholds():
    drawings = [((levels > 120) * np.uint8(254), label) for levels, label in scenes(4, hard=30)]
    found = intervals(counts_of(drawings, graded=False), HALF)
    assert {"foreground.f1", "relaxed.f1", "class_mean.iou"} <= found.keys()
    assert not {"break_even.value", "best.f1", "roc_auc", "calibration.ece"} & found.keys()


@pytest.mark.parametrize("number", [2, 7])
def test_a_run_does_not_differ_from_itself(number):
    counts = counts_of(scenes(number, hard=40))
    found = differences(counts, counts, HALF)
    assert found.keys() == pooled(counts).keys() == per_scene(counts, HALF).keys()
    undefined = {path for path, value in pooled(counts).items() if np.isnan(value)}
    assert {path.split(".")[0] for path in undefined} <= {"topology"}
    for path in found.keys() - undefined:
        one = found[path]
        assert one.a == one.b == pooled(counts)[path]
        assert one.difference == one.mean == 0
        assert one.interval == one.mean_interval == (0, 0)
    for path in undefined:
        assert found[path].interval is found[path].mean_interval is None


def better(images, by):
    """The same scenes by another network that raises all labelled pixels."""
    return [(np.clip(levels + by * label, 0, 254).astype(np.uint8), label)
            for levels, label in images]  # fmt: skip


def test_a_difference_is_the_second_run_less_the_first():
    images = scenes(5, hard=30)
    second = better(images, 25)
    found = differences(counts_of(images), counts_of(second), HALF)["foreground.f1"]
    assert (found.a, found.b) == pytest.approx((f1_of(images), f1_of(second)))
    assert found.difference == pytest.approx(f1_of(second) - f1_of(images))
    own = [f1_of([b]) - f1_of([a]) for a, b in zip(images, second, strict=True)]
    assert found.mean == pytest.approx(np.mean(own))
    assert 0 < found.interval[0] < found.difference < found.interval[1]
    assert 0 < found.mean_interval[0] < found.mean < found.mean_interval[1]


def test_swapping_the_runs_swaps_the_signs():
    first, second = counts_of(scenes(6, hard=30)), counts_of(scenes(6, skill=60))
    there, back = differences(first, second, HALF), differences(second, first, HALF)
    for path in ("foreground.f1", "break_even.value", "relaxed.f1"):
        one, other = there[path], back[path]
        assert (one.a, one.b, one.difference) == (other.b, other.a, -other.difference)
        for of in ("interval", "mean_interval"):
            low, high = getattr(other, of)
            assert getattr(one, of) == pytest.approx((-high, -low))


def test_both_runs_take_the_same_scenes_in_every_draw():
    """Of two scenes: one twice, the other twice, or both."""
    first = scenes(2, hard=60)
    second = [scene(8, skill=40), scene(9, skill=150)]
    found = differences(counts_of(first), counts_of(second), HALF)["foreground.f1"]
    draws = list(product(range(2), repeat=2))
    ways = [f1_of([second[i] for i in drawn]) - f1_of([first[i] for i in drawn]) for drawn in draws]
    assert found.interval == pytest.approx((min(ways), max(ways)))
    own = [f1_of([b]) - f1_of([a]) for a, b in zip(first, second, strict=True)]
    assert found.mean_interval == pytest.approx((min(own), max(own)))


def test_what_makes_a_scene_hard_for_both_cancels_out():
    """Where recall differs by the same pixels in every scene, but from scene to scene by far more.

    Unpaired, the width of a difference is the root of the sum of both widths' squares.
    """
    first, second = [], []
    for seed in range(20):
        label = np.zeros((SIDE, SIDE), bool)
        label[:10] = True
        levels = np.zeros(label.shape, np.uint8)
        found = np.random.default_rng(seed).integers(20, 180)
        levels.ravel()[:found] = 200
        first.append((levels, label))
        raised = levels.copy()
        raised.ravel()[found : found + 10] = 200
        second.append((raised, label))
    runs = counts_of(first), counts_of(second)
    paired = differences(*runs, HALF)["foreground.recall"]
    alone = [width(intervals(run, HALF)["foreground.recall"]) for run in runs]
    assert paired.difference == pytest.approx(0.05)
    assert paired.interval == pytest.approx((0.05, 0.05))
    assert paired.mean_interval == pytest.approx((0.05, 0.05))
    assert min(alone) > 0.1
    f1 = differences(*runs, HALF)["foreground.f1"]
    alone = [width(intervals(run, HALF)["foreground.f1"]) for run in runs]
    assert width(f1.interval) < np.hypot(*alone) / 4


def test_one_scene_has_differences_but_no_intervals():
    found = differences(counts_of(scenes(1)), counts_of(scenes(1, skill=60)), HALF)
    one = found["foreground.f1"]
    assert one.difference == one.b - one.a == one.mean != 0
    assert all(of.interval is of.mean_interval is None for of in found.values())


def test_undefined_differences_have_no_interval():
    images = [(levels, np.zeros_like(label)) for levels, label in scenes(4)]
    found = differences(counts_of(images), counts_of(images), HALF)["foreground.recall"]
    assert all(np.isnan([found.a, found.b, found.difference, found.mean]))
    assert found.interval is found.mean_interval is None


def test_scenes_without_a_score_are_left_out_of_the_mean_difference():
    images = [*scenes(8), *scenes(1, share=0.0)]
    second = better(images, 30)
    found = differences(counts_of(images), counts_of(second), HALF)["foreground.recall"]
    own = [recall_score(label.ravel(), (other >= HALF).ravel())
           - recall_score(label.ravel(), (levels >= HALF).ravel())
           for (levels, label), (other, _) in zip(images[:8], second[:8], strict=True)]  # fmt: skip
    assert found.mean == pytest.approx(np.mean(own))
    assert found.mean_interval[0] < found.mean < found.mean_interval[1]


def test_no_interval_is_nan_whatever_the_scenes():
    images = [
        scene(0),
        scene(1, share=0.0),
        scene(2, share=1.0),
        (np.full((2, 2), 255, np.uint8), np.ones((2, 2), bool)),
    ]
    counts = counts_of(images)
    assert not np.isnan(list(intervals(counts, HALF).values())).any()
    for one in differences(counts, counts_of(better(images[:3], 20)) + counts[3:], HALF).values():
        for interval in (one.interval, one.mean_interval):
            assert interval is None or not np.isnan(interval).any()


def test_scores_of_each_scene_stand_in_the_order_of_the_scenes():
    images = scenes(3, hard=60)
    found = per_scene(counts_of(images), HALF)
    assert found["foreground.f1"] == pytest.approx([f1_of([image]) for image in images])
    assert found["topology.components"].tolist() == [label.sum() for _, label in images]
