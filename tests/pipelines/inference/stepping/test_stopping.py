"""What tells whether a tile takes another step."""

import torch

from pipelines.inference.stepping.stopping import changed, going_on, in_fixed_point, unsure
from pipelines.models.stopping import StopRule


def tile(*, classes=1, side=10):
    return torch.zeros(1, classes, side, side)


def fixed(probability):
    return in_fixed_point(probability)


def test_pixels_are_unsure_between_a_fifth_and_four_fifths():
    probability = tile()
    probability[0, 0, 0, :5] = torch.tensor([0.19, 0.21, 0.5, 0.79, 0.81])
    assert unsure(fixed(probability)).tolist() == [3]


def test_one_class_that_is_unsure_is_enough():
    probability = tile(classes=2)
    probability[0, 0, 0, :3] = 0.5
    probability[0, 1, 0, 2:4] = 0.5
    assert unsure(fixed(probability)).tolist() == [4]


def test_an_edge_that_moves_by_a_pixel_is_no_change_but_a_new_road_is():
    road, wider, longer = tile(), tile(), tile()
    road[..., 3:6, :5] = 1
    wider[..., 2:6, :5] = 1
    longer[..., 3:6, :] = 1
    assert changed(fixed(wider), fixed(road)).tolist() == [0]
    # Five columns of three rows are new; inside of them, and at the tile's border, four are.
    assert changed(fixed(longer), fixed(road)).tolist() == [3]


def test_a_pixel_moved_if_its_probability_changed_by_a_fifth():
    before = tile()
    for step, expected in ((0.19, 0), (0.21, 64)):
        assert changed(fixed(before + step), fixed(before)).tolist() == [expected]


def test_gates_are_millionths_of_a_tile_and_each_tile_has_its_own_answer():
    probability = torch.cat([tile(), tile()])
    probability[1, 0, 0, :2] = 0.5  # 2 of 100 pixels.
    assert going_on(StopRule(20_000, 0), fixed(probability), None).tolist() == [False, True]
    assert going_on(StopRule(20_001, 0), fixed(probability), None).tolist() == [False, False]
    after = probability.clone()
    after[0] = 1.0
    rule = StopRule(0, 640_000)
    assert going_on(rule, fixed(after), fixed(probability)).tolist() == [True, False]
