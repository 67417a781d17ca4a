"""Shapes of known dimension."""

import math

import numpy as np
import pytest

from pipelines.measurements.fractal import box_dimension

SIDE = 256


def sierpinski():
    """A triangle of dimension log 3 / log 2."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (rows & columns) == 0


@pytest.mark.parametrize(
    ("pixels", "dimension"),
    [
        (np.eye(SIDE, dtype=bool), 1),
        (np.ones((SIDE, SIDE), bool), 2),
        (sierpinski(), math.log2(3)),
    ],
    ids=["line", "square", "triangle"],
)
def test_a_shape_has_its_dimension(pixels, dimension):
    assert box_dimension(pixels, SIDE) == pytest.approx(dimension, abs=0.04)


def test_nothing_has_none_and_a_small_field_has_no_boxes():
    assert math.isnan(box_dimension(np.zeros((SIDE, SIDE), bool), SIDE))
    assert math.isnan(box_dimension(np.eye(64, dtype=bool), 64))
