"""What is counted of a scene, against plain loops over its pixels and scikit-learn."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.scores.counts import Counter, SceneCounts, combined, together
from pipelines.scores.curve import HALF
from pipelines.scores.relaxed import Disc
from pipelines.scores.topology import TopologyCounts
from tiling.masks.mask import class_mask
from tiling.window import Window, split

ARRAYS = ("strict", "near", "reached", "confusion")


@st.composite
def scenes(draw, classes=None, largest=12):
    """Levels [classes - 1, h, w] and label [h, w], both with pixels left out."""
    classes = draw(st.sampled_from([2, 2, 3, 4])) if classes is None else classes
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, largest), st.integers(1, largest)))
    label = random.integers(0, draw(st.integers(1, classes)), shape)
    sharp = draw(st.sampled_from([0.3, 3, 30]))
    odds = np.exp(sharp * random.normal(size=(classes, *shape)))
    odds[0] *= draw(st.sampled_from([0.3, 3]))
    odds += np.moveaxis(np.eye(classes)[label], -1, 0) * draw(st.sampled_from([0, 3]))
    levels = np.round(254 * odds / odds.sum(axis=0))[1:].astype(np.uint8)
    levels[:, random.random(shape) < draw(st.sampled_from([0.0, 0.2, 1.0]))] = 255
    label[random.random(shape) < draw(st.sampled_from([0.0, 0.2, 1.0]))] = IGNORE_INDEX
    return levels, label.astype(np.uint8)


def counted(levels, label, rho=0.0, windows=None, topology=None, graded=True):
    disc = Disc(rho)
    counter = Counter(len(levels) + 1, disc)
    scene = Window(0, 0, *label.shape)
    for window in windows or [scene]:
        around = window.grown(disc.margin).intersection(scene)
        rows, columns = around.slices()
        counter.add(levels[:, rows, columns], label[rows, columns], window, around)
    return counter.counts(topology, graded=graded)


def assert_same(found, expected):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def kept(levels, label):
    """Levels [classes - 1, n] and label [n] of the pixels that count."""
    there = (levels[0] != 255) & (label != IGNORE_INDEX)
    return levels[:, there], label[there]


@given(scenes())
@settings(max_examples=60)
def test_the_confusion_is_that_of_scikit_learn(scene):
    levels, label = kept(*scene)
    classes = len(levels) + 1
    if classes == 2:
        predicted = (levels[0] >= HALF).astype(int)
    else:
        predicted = class_mask(levels[:, None], HALF)[0]
    expected = np.zeros((classes, classes))
    if label.size:
        expected = confusion_matrix(label, predicted, labels=range(classes))
    np.testing.assert_array_equal(counted(*scene).confusion, expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_pixel_is_foreground_from_the_level_of_one_half_on(classes):
    levels = np.zeros((classes - 1, 1, 2), np.uint8)
    levels[0] = 126, 127
    found = counted(levels, np.array([[1, 1]], np.uint8)).confusion
    assert found[1, :2].tolist() == [1, 1]


@given(scenes(classes=4))
def test_with_several_classes_a_pixel_is_predicted_as_its_likeliest(scene):
    levels, label = kept(*scene)
    expected = np.zeros((4, 4))
    for pixel, drawn in zip(levels.T.astype(int), label, strict=True):
        every = [max(0, 254 - pixel.sum()), *pixel]
        likeliest = max(range(4), key=lambda index: every[index])
        if every[0] == max(pixel):  # A tie with the background is foreground, as it is at 0.5.
            likeliest = 1 + int(pixel.argmax())
        expected[drawn, likeliest] += 1
    np.testing.assert_array_equal(counted(*scene).confusion, expected)


@given(scenes())
@settings(max_examples=60)
def test_each_class_is_counted_against_all_others(scene):
    levels, label = kept(*scene)
    whole = np.minimum(levels.sum(axis=0, dtype=int), 254)
    targets = [(whole, label > 0)]
    if len(levels) > 1:
        targets += [(levels[index], label == index + 1) for index in range(len(levels))]
    found = counted(*scene).strict
    assert found.shape == (len(targets), 2, 255)
    for counts, (of_target, truth) in zip(found, targets, strict=True):
        expected = np.zeros((2, 255))
        np.add.at(expected, (truth.astype(int), of_target), 1)
        np.testing.assert_array_equal(counts, expected)


@given(scenes(), st.sampled_from([0, 1, 1.5, 3]))
def test_each_class_is_matched_with_its_own_pixels_nearby(scene, rho):
    levels, label = scene
    there = (levels[0] != 255) & (label != IGNORE_INDEX)
    row, column = (axis[there] for axis in np.indices(label.shape))
    near = np.hypot(row[:, None] - row, column[:, None] - column) <= rho
    whole = np.minimum(levels[:, there].sum(axis=0, dtype=int), 254)
    targets = [(whole, label[there] > 0)]
    if len(levels) > 1:
        targets += [(levels[i][there], label[there] == i + 1) for i in range(len(levels))]
    counts = counted(levels, label, rho)
    for of_near, of_reached, (values, truth) in zip(
        counts.near, counts.reached, targets, strict=True
    ):
        expected = np.zeros((2, 255))
        np.add.at(expected, ((near & truth).any(axis=1).astype(int), values), 1)
        np.testing.assert_array_equal(of_near, expected)
        expected = np.zeros(255)
        for pixel in np.flatnonzero(truth):
            expected[values[near[pixel]].max()] += 1
        np.testing.assert_array_equal(of_reached, expected)


@given(scenes())
def test_at_rho_zero_a_pixel_matches_itself_alone(scene):
    counts = counted(*scene, rho=0)
    np.testing.assert_array_equal(counts.near, counts.strict)
    np.testing.assert_array_equal(counts.reached, counts.strict[:, 1])


@given(scenes(largest=20), st.sampled_from([0, 1, 1.5, 2, 3]), st.integers(1, 21), st.randoms())
@settings(max_examples=80)
def test_windows_of_any_size_in_any_order_give_the_counts_of_the_whole(scene, rho, size, random):
    windows = list(split(*scene[1].shape, size))
    random.shuffle(windows)
    assert_same(counted(*scene, rho, windows), counted(*scene, rho))


@given(scenes(), st.integers(0, 2**32 - 1))
def test_what_the_label_and_levels_are_where_they_are_left_out_does_not_matter(scene, seed):
    levels, label = scene
    random = np.random.default_rng(seed)
    left_out = (levels[0] == 255) | (label == IGNORE_INDEX)
    by_levels, by_label = levels.copy(), label.copy()
    by_levels[:, left_out] = 255
    by_label[left_out] = random.integers(0, len(levels) + 1, left_out.sum())
    expected = counted(levels, label, 1.5)
    assert_same(counted(by_levels, by_label, 1.5), expected)
    by_levels[:, left_out] = random.integers(0, 100, (len(levels), left_out.sum()))
    by_label[left_out] = IGNORE_INDEX
    assert_same(counted(by_levels, by_label, 1.5), expected)


@given(scenes(), st.integers(0, 3))
def test_all_kinds_of_counts_hold_the_same_pixels(scene, rho):
    levels, label = kept(*scene)
    counts = counted(*scene, rho)
    of_label = np.bincount(label, minlength=len(levels) + 1)
    np.testing.assert_array_equal(counts.confusion.sum(axis=1), of_label)
    np.testing.assert_array_equal(counts.strict.sum(axis=1), counts.near.sum(axis=1))
    np.testing.assert_array_equal(counts.reached.sum(axis=1), counts.strict[:, 1].sum(axis=1))
    assert (counts.strict.sum(axis=(1, 2)) == len(label)).all()


@st.composite
def alike(draw):
    """Scenes of the same classes."""
    return draw(st.lists(scenes(classes=draw(st.sampled_from([2, 3]))), min_size=1, max_size=4))


@given(alike())
def test_scenes_added_up_are_their_pixels_pooled(several):
    """At rho = 0: scenes side by side would else match across their border."""
    total = combined([counted(*scene) for scene in several])
    flat = [(levels.reshape(len(levels), 1, -1), label.reshape(1, -1)) for levels, label in several]
    assert_same(
        total,
        counted(*(np.concatenate(arrays, axis=-1) for arrays in zip(*flat, strict=True))),
    )


def some_counts(number=3, classes=2, topology=True):
    found = []
    for index in range(number):
        random = np.random.default_rng(index)
        label = random.integers(0, classes, (6, 7)).astype(np.uint8)
        levels = random.integers(0, 255 // (classes - 1), (classes - 1, 6, 7)).astype(np.uint8)
        one = TopologyCounts(*range(index, index + 13)) if topology else None
        found.append(counted(levels, label, 1.5, topology=one))
    return found


@pytest.mark.parametrize("classes", [2, 3])
def test_order_does_not_matter(classes):
    counts = some_counts(classes=classes)
    for order in itertools.permutations(counts):
        assert_same(combined(order), combined(counts))


def test_scenes_taken_several_times_are_added_as_often():
    one, two, three = counts = some_counts()
    found = combined(counts, np.array([2, 0, 1]))
    assert_same(found, combined([one, three, one]))
    np.testing.assert_array_equal(found.topology, one.topology * 2 + three.topology)
    assert_same(combined([two]), two)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,)])
def test_draws_of_any_shape_give_what_each_gives(shape):
    counts = some_counts(classes=3)
    times = np.random.default_rng(0).integers(0, 4, (*shape, 3))
    found = combined(counts, times)
    for name in (*ARRAYS, "topology"):
        assert getattr(found, name).shape == (*shape, *getattr(counts[0], name).shape)
    for index in np.ndindex(shape):
        each = combined([one for one, n in zip(counts, times[index], strict=True) for _ in range(n)]
                        or [nothing_like(counts[0])])  # fmt: skip
        for name in (*ARRAYS, "topology"):
            np.testing.assert_array_equal(getattr(found, name)[index], getattr(each, name))


def nothing_like(counts):
    arrays = {name: np.zeros_like(getattr(counts, name)) for name in (*ARRAYS, "topology")}
    return SceneCounts(**arrays, rho=counts.rho, graded=True)


def test_topology_is_there_only_where_every_scene_has_it():
    with_topology, without = some_counts(1)[0], some_counts(1, topology=False)[0]
    assert combined([without]).topology is None
    assert combined([with_topology, without]).topology is None
    assert combined([with_topology, with_topology]).topology is not None


def test_one_drawing_among_predictions_makes_thresholds_meaningless():
    label = np.ones((2, 2), np.uint8)
    drawing = counted(label[None] * 254, label, graded=False)
    assert not drawing.graded
    assert not combined([drawing, some_counts(1, topology=False)[0]]).graded


def test_counts_stay_exact_where_there_are_many_pixels():
    one = some_counts(1)[0]
    huge = SceneCounts(
        one.strict + 10**12, one.near, one.reached, one.confusion, None, one.rho, one.graded
    )
    total = combined([huge] * 1000)
    np.testing.assert_array_equal(total.strict, (one.strict + 10**12) * 1000)


def test_the_foreground_as_a_whole_has_the_sum_of_its_classes_levels():
    levels = np.array([[[100, 127, 0, 255]], [[100, 128, 0, 255]]], np.uint8)
    np.testing.assert_array_equal(together(levels), [[200, 254, 0, 255]])
    np.testing.assert_array_equal(together(levels[:1]), [[100, 127, 0, 255]])
