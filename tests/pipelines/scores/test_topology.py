from dataclasses import astuple
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, label
from skimage.morphology import skeletonize

from pipelines.datasets.synthetic import draw_road_scene
from pipelines.scores.topology import Topology, TopologyCounter, TopologyCounts
from tiling.window import split

SIDES = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
NAN = float("nan")


def counts(prediction, truth, metres=None, window=256, **cut):
    """Counts masks that are added in windows of a size."""
    counter = TopologyCounter(*truth.shape, metres, **cut)
    for of in split(*truth.shape, window):
        counter.add(of, prediction[of.slices()], truth[of.slices()])
    return counter.counts()


def scores(prediction, truth, metres=None, **cut):
    return counts(prediction, truth, metres, **cut).scores()


@st.composite
def pairs(draw):
    """Prediction and label, dense or sparse, alike or not, with and without missing pixels."""
    shape = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    truth = random.random(shape) < draw(st.sampled_from([0.0, 0.2, 0.6, 0.9]))
    wrong = random.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.5]))
    missing = random.random(shape) < draw(st.sampled_from([0, 0.05]))
    return tuple(np.where(missing, 255, mask).astype(np.uint8) for mask in (truth ^ wrong, truth))


def share_inside(mask, other):
    """Of the skeletons of a mask in its four quarter turns, the share inside another mask."""
    inside = total = 0
    for turn in range(4):
        skeleton, lies_in = skeletonize(np.rot90(mask == 1, turn)), np.rot90(other, turn)
        for row, column in np.argwhere(skeleton):
            total += 1
            inside += lies_in[row, column] == 1
    return inside / total if total else NAN


@settings(deadline=None)
@given(pairs())
def test_cldice_is_that_of_the_definition(pair):
    prediction, truth = pair
    precision, recall = share_inside(prediction, truth), share_inside(truth, prediction)
    found = scores(prediction, truth)
    assert found.cl_precision == pytest.approx(precision, nan_ok=True)
    assert found.cl_recall == pytest.approx(recall, nan_ok=True)
    if (prediction == 1).any() and (truth == 1).any():
        both = precision + recall
        expected = 2 * precision * recall / both if both else 0
    else:
        expected = 0 if (prediction == 1).any() or (truth == 1).any() else NAN
    assert found.cldice == pytest.approx(expected, nan_ok=True)


def components_and_loops(mask):
    """As the whole image has them."""
    _, components = label(mask == 1, np.ones((3, 3)))
    background, regions = label(mask == 0, SIDES)
    beyond = binary_dilation(np.pad(mask == 255, 1, constant_values=True), SIDES)[1:-1, 1:-1]
    return components, regions - np.setdiff1d(background[beyond], 0).size


@settings(deadline=None)
@given(pairs(), st.integers(3, 30))
def test_components_and_loops_are_those_of_the_whole_scene(pair, part):
    found = scores(*pair, part=part, margin=2)
    of_prediction, of_label = (components_and_loops(mask) for mask in pair)
    assert (found.components, found.loops) == of_prediction
    assert (found.label_components, found.label_loops) == of_label


def test_a_ring_that_is_cut_is_a_component_without_a_loop():
    ring = np.zeros((60, 60), np.uint8)
    ring[10:50, 10:50] = 1
    ring[15:45, 15:45] = 0
    cut = ring.copy()
    cut[10:15, 28:33] = 0
    found = scores(cut, ring)
    assert (found.components, found.label_components) == (1, 1)
    assert (found.loops, found.label_loops) == (0, 1)
    assert found.cl_precision == 1
    assert found.cl_recall < 1
    assert found.apls < 0.9


def test_half_a_road_is_precise_and_recalls_half():
    road = np.zeros((40, 240), np.uint8)
    road[15:22, 20:220] = 1
    half = road.copy()
    half[:, 120:] = 0
    found = scores(half, road)
    assert found.cl_precision == 1
    assert found.cl_recall == pytest.approx(0.5, abs=0.02)
    assert found.cldice == pytest.approx(2 / 3, abs=0.02)


def test_the_width_of_a_road_does_not_matter():
    wide = np.zeros((60, 240), np.uint8)
    wide[20:35, 20:220] = 1
    narrow = np.zeros_like(wide)
    narrow[26:29, 20:220] = 1
    found = scores(narrow, wide)
    assert found.cl_precision == 1
    # The wide road's centre line begins as far inside as it is from the sides.
    assert found.cldice == 1


ROAD = np.zeros((40, 120), np.uint8)
ROAD[18:23, 5:115] = 1
EMPTY = np.zeros_like(ROAD)


def test_an_empty_prediction_scores_nothing():
    found = scores(EMPTY, ROAD)
    assert (found.cldice, found.cl_recall, found.apls) == (0, 0, 0)
    assert isnan(found.cl_precision)
    assert (found.components, found.label_components) == (0, 1)


def test_with_an_empty_label_there_are_no_paths_to_be_found():
    found = scores(ROAD, EMPTY)
    assert (found.cldice, found.cl_precision) == (0, 0)
    assert isnan(found.cl_recall)
    assert isnan(found.apls)


def test_of_two_empty_masks_nothing_is_defined():
    found = scores(EMPTY, EMPTY)
    assert all(map(isnan, (found.cldice, found.cl_precision, found.cl_recall, found.apls)))
    assert (found.components, found.label_components, found.loops, found.label_loops) == (0,) * 4


def test_a_mask_is_like_itself():
    assert scores(ROAD, ROAD) == Topology(1, 1, 1, 1, 1, 1, 0, 0, 1)


def test_metres_per_pixel_say_how_far_off_a_road_may_be():
    # 6 pixels are 3 m or 6 m, and 4 m are near enough. The ends of skeletons are crooked.
    shifted = np.roll(ROAD, 6, axis=0)
    assert scores(shifted, ROAD, metres=0.5).apls > 0.95
    assert scores(shifted, ROAD, metres=1.0).apls == 0
    assert scores(shifted, ROAD).apls == 0


def test_pixels_that_do_not_count_are_background_to_skeletons():
    missing, absent = ROAD.copy(), ROAD.copy()
    missing[:, 50:70], absent[:, 50:70] = 255, 0
    other = np.roll(ROAD, 2, axis=0)
    other_missing, other_absent = (
        np.where(missing == 255, value, other).astype(np.uint8) for value in (255, 0)
    )
    assert counts(other_missing, missing) == counts(other_absent, absent)


def test_a_loop_around_pixels_that_do_not_count_is_none():
    ring = np.zeros((20, 20), np.uint8)
    ring[4:16, 4:16] = 1
    ring[6:14, 6:14] = 0
    missing = ring.copy()
    missing[9:11, 9:11] = 255
    assert scores(ring, ring).loops == 1
    found = scores(missing, missing)
    assert (found.loops, found.label_loops) == (0, 0)


@pytest.fixture(scope="module")
def scene():
    """Prediction and label [600, 600]: roads, thinner, with gaps and specks, and a corner less."""
    _, truth, valid = draw_road_scene(600, 600, seed=5)
    random = np.random.default_rng(0)
    specks = binary_dilation(random.random(truth.shape) < 0.0005, iterations=4)
    gaps = binary_dilation(random.random(truth.shape) < 0.0005, iterations=5)
    prediction = (np.roll(truth, 1, axis=1) & ~gaps) | specks
    return tuple(np.where(valid, mask, 255).astype(np.uint8) for mask in (prediction, truth))


def test_parts_score_as_the_scene_does(scene):
    whole, cut = scores(*scene), scores(*scene, part=200, margin=64)
    assert (whole.parts, cut.parts) == (1, 9)
    assert (cut.components, cut.loops) == (whole.components, whole.loops)
    assert (cut.label_components, cut.label_loops) == (whole.label_components, whole.label_loops)
    assert whole.components > 20
    assert whole.loops > 5
    assert 0.3 < whole.cldice < 0.97
    assert cut.cldice == pytest.approx(whole.cldice, abs=0.02)
    assert cut.cl_precision == pytest.approx(whole.cl_precision, abs=0.02)
    assert cut.cl_recall == pytest.approx(whole.cl_recall, abs=0.02)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_scene_has_the_same_scores(scene, turn):
    upright = counts(*scene)
    turned = (np.ascontiguousarray(np.rot90(mask, turn)) for mask in scene)
    assert counts(*turned) == upright
    one, other = (skeletonize(np.rot90(scene[0] == 1, by)).sum() for by in (0, turn))
    assert one != other  # A single skeleton would show the turn.


@pytest.mark.parametrize("part", [150, 256, 599])
def test_every_skeleton_pixel_is_counted_once(scene, part):
    # With a margin of the scene's size each part is cut from the skeleton of the whole scene.
    whole, cut = counts(*scene), counts(*scene, part=part, margin=600)
    assert astuple(cut)[:4] == astuple(whole)[:4]


def test_paths_end_where_a_part_ends(scene):
    _, truth = scene
    whole, cut = counts(truth, truth), counts(truth, truth, part=150)
    assert 0 < cut.label_paths < whole.label_paths
    assert cut.scores().apls == 1


@pytest.mark.parametrize("window", [37, 200])
@pytest.mark.parametrize(("part", "margin"), [(150, 30), (200, 256), (4096, 256)])
def test_the_windows_that_are_added_do_not_show(scene, window, part, margin):
    in_one = counts(*scene, window=600, part=part, margin=margin)
    assert in_one.parts == (600 / min(part, 600)) ** 2
    assert counts(*scene, window=window, part=part, margin=margin) == in_one


def test_what_is_kept_is_a_strip_and_not_the_scene():
    mask = np.zeros((1000, 120), np.uint8)
    counter = TopologyCounter(*mask.shape, part=100, margin=20)
    for window in split(*mask.shape, 60):
        counter.add(window, mask[window.slices()], mask[window.slices()])
        rows = [kept.row for kept in counter.kept]
        assert window.bottom - min(rows, default=window.bottom) <= 100 + 2 * 20 + 2 * 60
    assert not counter.kept
    assert counter.counts().parts == 20


def test_scenes_are_pooled(scene):
    one, other = counts(*scene), counts(ROAD, np.roll(ROAD, 3, axis=0))
    both = (one + other).scores()
    assert both.cl_precision == pytest.approx(
        (one.skeleton_inside + other.skeleton_inside) / (one.skeleton + other.skeleton)
    )
    assert both.cl_recall == pytest.approx(
        (one.label_skeleton_inside + other.label_skeleton_inside)
        / (one.label_skeleton + other.label_skeleton)
    )
    assert both.components == one.components + other.components
    assert both.label_loops == one.label_loops + other.label_loops
    assert both.parts == 2
    assert one.scores().apls < both.apls < other.scores().apls
    assert one + TopologyCounts() == one


def test_a_scene_added_to_itself_has_its_own_scores(scene):
    one = counts(*scene)
    once, twice = astuple(one.scores()), astuple((one + one).scores())
    np.testing.assert_allclose(twice[:4], once[:4])


def test_counts_can_be_kept_as_an_array_of_numbers(scene):
    one = counts(*scene)
    kept = np.array(astuple(one))
    twice = np.stack([kept, 2 * kept], axis=-1)
    for place, expected in enumerate((one, one + one)):
        found = [values[place] for values in astuple(TopologyCounts(*twice).scores())]
        np.testing.assert_allclose(found, astuple(expected.scores()))
